/**
 * Without a configuration nothing is encrypted, and what was encrypted once cannot be read: that is
 * all that a cluster without one has to know. What is encrypted begins with a prefix of its own,
 * which no JSON and no protobuf of Kubernetes begins with.
 */
import type { ValueTransformer } from '#store';

const encryptedPrefix = Buffer.from('k8s:enc:');

/** How the form is called in which values are kept as they are. */
export const plainForm = 'identity';

export const plainTransformer: ValueTransformer = {
  encrypts: false,
  formOf: () => plainForm,
  toStorage: (_key, value) => value,
  fromStorage: (_key, stored) =>
    isEncrypted(stored)
      ? { ok: false, why: 'identity transformer tried to read encrypted data' }
      : { ok: true, value: stored, stale: false },
};

export function isEncrypted(stored: Uint8Array): boolean {
  return startsWith(stored, encryptedPrefix);
}

export function startsWith(bytes: Uint8Array, prefix: Uint8Array): boolean {
  // The first byte decides nearly always.
  if (bytes.byteLength < prefix.length || bytes[0] !== (prefix[0] ?? bytes[0])) return false;
  return prefix.every((byte, index) => bytes[index] === byte);
}
