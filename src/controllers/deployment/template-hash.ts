/**
 * Which ReplicaSet belongs to a pod template, and what a new one is called. Pure.
 *
 * The name ends in a hash of the template (FNV-1a over its canonical JSON), written with the
 * letters of generated names. The values are not upstream's (docs/decisions/0014): sets are found
 * by their templates. Should a foreign set have that name already, the Deployment's collision count
 * goes into the hash as well, so that the next attempt gets another name.
 */
import type { PodTemplateSpec } from '#resources/types/core-v1.ts';
import { canonicalJson } from '../controller-revision.ts';
import { safeHash } from '../safe-hash.ts';
import { isSameValue } from '../same-value.ts';

export const hashLabel = 'pod-template-hash';

export function templateHash(template: PodTemplateSpec, collisionCount?: number): string {
  const collisions = collisionCount === undefined ? '' : `#${collisionCount}`;
  return safeHash(canonicalJson(template) + collisions, 'FNV-1a');
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

export function withoutHash(template: PodTemplateSpec | undefined): PodTemplateSpec {
  const { [hashLabel]: _, ...labels } = template?.metadata?.labels ?? {};
  // An empty object and null creation time are how clients write "no metadata".
  const { creationTimestamp: __, ...metadata } = template?.metadata ?? {};
  return { ...template, metadata: { ...metadata, labels } };
}
