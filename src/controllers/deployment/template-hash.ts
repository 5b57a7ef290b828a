/**
 * Which ReplicaSet belongs to a pod template, and what a new one is called. Pure.
 *
 * The name ends in a hash of the template (FNV-1a over its canonical JSON), written with the
 * letters of generated names. Should a foreign set have that name already, the Deployment's
 * collision count goes into the hash as well, so that the next attempt gets another name.
 */
import type { PodTemplateSpec } from '#resources/types/core-v1.ts';
import { isSameValue } from '../same-value.ts';

export const hashLabel = 'pod-template-hash';

const letters = 'bcdfghjklmnpqrstvwxz2456789';

export function templateHash(template: PodTemplateSpec, collisionCount?: number): string {
  let hash = 0x811c9dc5;
  const text = canonicalJson(template) + (collisionCount === undefined ? '' : `#${collisionCount}`);
  for (const byte of new TextEncoder().encode(text)) {
    hash = Math.imul(hash ^ byte, 0x01000193) >>> 0;
  }
  return Array.from(String(hash), (digit) => letters[digit.charCodeAt(0) % letters.length]).join(
    '',
  );
}

/** The hash label is put in by the controller and does not count. */
export function isSameTemplate(
  a: PodTemplateSpec | undefined,
  b: PodTemplateSpec | undefined,
): boolean {
  return isSameValue(withoutHash(a), withoutHash(b));
}

export function withHash(template: PodTemplateSpec, hash: string): PodTemplateSpec {
  const labels = { ...template.metadata?.labels, [hashLabel]: hash };
  return { ...template, metadata: { ...template.metadata, labels } };
}

function withoutHash(template: PodTemplateSpec | undefined): PodTemplateSpec {
  const { [hashLabel]: _, ...labels } = template?.metadata?.labels ?? {};
  // An empty object and null creation time are how clients write "no metadata".
  const { creationTimestamp: __, ...metadata } = template?.metadata ?? {};
  return { ...template, metadata: { ...metadata, labels } };
}

/** Keys in order; what is undefined or null left out. */
function canonicalJson(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(canonicalJson).join(',')}]`;
  if (typeof value !== 'object' || value === null) return JSON.stringify(value) ?? 'null';
  const entries = Object.entries(value).filter(
    ([, inner]) => inner !== undefined && inner !== null,
  );
  entries.sort(([a], [b]) => (a < b ? -1 : 1));
  const parts = entries.map(([key, inner]) => `${JSON.stringify(key)}:${canonicalJson(inner)}`);
  return `{${parts.join(',')}}`;
}
