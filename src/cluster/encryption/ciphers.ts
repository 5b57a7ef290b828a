/**
 * The ciphers of encryption at rest, each as upstream's API server writes it, so that either can
 * read what the other wrote: nonce or IV first, then what is encrypted.
 *
 * AES-GCM binds a value to its key in the store: one that was copied to another place cannot be
 * read there. AES-CBC and secretbox do not. What a value is refused with are upstream's words.
 */
import { createCipheriv, createDecipheriv, createSecretKey, type KeyObject } from 'node:crypto';
import type { Random } from '#kit/random.ts';
import { openSecretbox, secretboxNonceBytes, secretboxTagBytes } from '#kit/secretbox.ts';

export interface ValueCipher {
  encrypt(key: string, value: Uint8Array): Uint8Array;
  decrypt(key: string, sealed: Uint8Array): Decrypted;
}

export type Decrypted =
  /** Stale: it would be encrypted in another way today. */
  | { readonly ok: true; readonly value: Uint8Array; readonly stale: boolean }
  | { readonly ok: false; readonly why: string };

type CipherKind = 'aescbc' | 'aesgcm' | 'secretbox';

const blockBytes = 16;
const gcmNonceBytes = 12;
const gcmTagBytes = 16;

const tooShort = refused('the stored data was shorter than the required size');

export function openCipher(
  deps: { readonly random: Random },
  { kind, secret }: { readonly kind: CipherKind; readonly secret: Uint8Array },
): ValueCipher {
  if (kind === 'secretbox') return secretboxCipher(deps.random, secret);
  const key = createSecretKey(secret);
  return kind === 'aesgcm' ? gcmCipher(deps.random, key) : cbcCipher(deps.random, key);
}

function gcmCipher(random: Random, key: KeyObject): ValueCipher {
  const algorithm = `aes-${(key.symmetricKeySize ?? 0) * 8}-gcm` as const;
  return {
    encrypt: (place, value) => {
      const nonce = random.bytes(gcmNonceBytes);
      // Node declares only the three names that there are.
      const cipher = createCipheriv(algorithm as 'aes-256-gcm', key, nonce);
      cipher.setAAD(Buffer.from(place));
      return Buffer.concat([nonce, cipher.update(value), cipher.final(), cipher.getAuthTag()]);
    },
    decrypt: (place, sealed) => {
      if (sealed.byteLength < gcmNonceBytes) return tooShort;
      const end = sealed.byteLength - gcmTagBytes;
      if (end < gcmNonceBytes) return refused('cipher: message authentication failed');
      const nonce = sealed.subarray(0, gcmNonceBytes);
      const cipher = createDecipheriv(algorithm as 'aes-256-gcm', key, nonce);
      cipher.setAAD(Buffer.from(place));
      cipher.setAuthTag(sealed.subarray(end));
      const value = cipher.update(sealed.subarray(gcmNonceBytes, end));
      try {
        cipher.final();
      } catch {
        // The one thing that can be wrong here.
        return refused('cipher: message authentication failed');
      }
      return { ok: true, value, stale: false };
    },
  };
}

function cbcCipher(random: Random, key: KeyObject): ValueCipher {
  const algorithm = `aes-${(key.symmetricKeySize ?? 0) * 8}-cbc`;
  return {
    encrypt: (_place, value) => {
      const vector = random.bytes(blockBytes);
      const cipher = createCipheriv(algorithm, key, vector);
      return Buffer.concat([vector, cipher.update(value), cipher.final()]);
    },
    decrypt: (_place, sealed) => {
      if (sealed.byteLength < blockBytes) return tooShort;
      const body = sealed.subarray(blockBytes);
      if (body.byteLength % blockBytes !== 0) {
        return refused('the stored data is not a multiple of the block size');
      }
      const cipher = createDecipheriv(algorithm, key, sealed.subarray(0, blockBytes));
      cipher.setAutoPadding(false);
      return withoutPadding(Buffer.concat([cipher.update(body), cipher.final()]));
    },
  };
}

/** PKCS#7: the last byte says how many bytes of its own value end the text. */
function withoutPadding(padded: Uint8Array): Decrypted {
  const count = padded.at(-1) ?? 0;
  if (count === 0 || count > padded.byteLength) {
    return refused('invalid PKCS7 data (empty or not padded)');
  }
  const end = padded.byteLength - count;
  if (padded.subarray(end).some((byte) => byte !== count)) {
    return refused('invalid padding on input');
  }
  return { ok: true, value: padded.subarray(0, end), stale: false };
}

function secretboxCipher(random: Random, secret: Uint8Array): ValueCipher {
  const box = openSecretbox(secret);
  return {
    encrypt: (_place, value) => {
      const nonce = random.bytes(secretboxNonceBytes);
      return Buffer.concat([nonce, box.seal(value, nonce)]);
    },
    decrypt: (_place, sealed) => {
      if (sealed.byteLength < secretboxNonceBytes + secretboxTagBytes) return tooShort;
      const nonce = sealed.subarray(0, secretboxNonceBytes);
      const value = box.open(sealed.subarray(secretboxNonceBytes), nonce);
      // Upstream's words for a wrong key.
      if (value === undefined) return refused('output array was not large enough for encryption');
      return { ok: true, value, stale: false };
    },
  };
}

function refused(why: string): Decrypted {
  return { ok: false, why };
}
