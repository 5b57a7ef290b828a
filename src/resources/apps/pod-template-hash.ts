/**
 * The value of the label `pod-template-hash`: the same for equal templates, whatever the order of
 * their keys; another one when `collisionCount` says that a hash was taken by a different template.
 *
 * Written with the letters of generated names, so that it can end a name. Used by the deployment
 * controller to name and find the ReplicaSet of a template.
 */
import { canonicalJson } from '#kit/canonical-json.ts';
import { fnv1a32 } from '#kit/fnv.ts';
import type { PodTemplateSpec } from '../types/core-v1.ts';

const letters = 'bcdfghjklmnpqrstvwxz2456789';

export function podTemplateHash(
  template: PodTemplateSpec,
  collisionCount: number | undefined,
): string {
  const text = canonicalJson(template) + (collisionCount === undefined ? '' : `#${collisionCount}`);
  const decimal = String(fnv1a32(Buffer.from(text)));
  return [...decimal].map((digit) => letters[digit.charCodeAt(0) % letters.length]).join('');
}
