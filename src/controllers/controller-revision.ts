/**
 * ControllerRevisions: the pod templates that a StatefulSet or DaemonSet has had. Pure,
 * but for deleting those that are of no use any more.
 *
 * A revision holds the template as a strategic merge patch that would put it back, which is what
 * `kubectl rollout undo` applies; its number is its place in history, and going back to an old
 * template gives the old revision the highest number. Its name ends in a hash of the patch's bytes
 * (FNV-1, keys in order, as upstream), so equal templates of equal sets have equal names. Compared
 * are the templates, not the bytes. Used by `stateful-set` and `daemon-set`.
 */

import type { KindOf } from '#api/kind-of.ts';
import { formatGroupVersion, type KubeObject } from '#api/object.ts';
import type { Client } from '#client';
import { controllerRevisions as revisionKind } from '#resources/kinds.ts';
import type { ControllerRevision } from '#resources/types/apps-v1.ts';
import type { PodTemplateSpec } from '#resources/types/core-v1.ts';
import { ignoreNotFound } from './api-failure.ts';
import { compareCreation } from './creation-order.ts';
import { controllerReference } from './ownership.ts';
import { safeHash } from './safe-hash.ts';
import { isSameValue } from './same-value.ts';

/** Of a pod: the revision that it was made from. */
export const revisionLabel = 'controller-revision-hash';

const nameLengthMax = 223;

export interface RevisionShape {
  readonly template: PodTemplateSpec;
  /** The last part of the name. */
  readonly hash: string;
  readonly hashLabel: string;
  readonly revision: number;
}

export function newRevision<T extends KubeObject>(
  owner: T,
  kind: KindOf<T>,
  { template, hash, hashLabel, revision }: RevisionShape,
): ControllerRevision {
  const { name = '', namespace, annotations } = owner.metadata;
  return {
    apiVersion: formatGroupVersion(revisionKind),
    kind: revisionKind.kind,
    metadata: {
      namespace,
      name: `${name.slice(0, nameLengthMax)}-${hash}`,
      labels: { ...template.metadata?.labels, [hashLabel]: hash },
      annotations,
      ownerReferences: [controllerReference(owner, kind)],
    },
    // Others compare the bytes, so the keys are in upstream's order.
    data: JSON.parse(canonicalJson(patchOf(template))) as unknown,
    revision,
  };
}

/** What puts the template back, whatever the object says now. */
function patchOf(template: PodTemplateSpec): unknown {
  return { spec: { template: { ...template, $patch: 'replace' } } };
}

/** FNV-1 over the patch as JSON and the number of collisions. */
export function revisionHash(template: PodTemplateSpec, collisionCount: number): string {
  return safeHash(canonicalJson(patchOf(template)) + String(collisionCount), 'FNV-1');
}

/** The template that a revision holds; undefined where its data is something else. */
export function templateOf(revision: ControllerRevision): PodTemplateSpec | undefined {
  // Parse edge: the data is any JSON; whoever wrote it, only a template that fits is ever equal.
  const data = revision.data as { spec?: { template?: PodTemplateSpec & { $patch?: string } } };
  const template = data?.spec?.template;
  if (template === undefined || template === null) return undefined;
  const { $patch: _, ...rest } = template;
  return rest;
}

export function holds(revision: ControllerRevision, template: PodTemplateSpec): boolean {
  return isSameValue(plain(templateOf(revision)), plain(template));
}

/** Clients write "no metadata" with a null creation time. */
function plain(template: PodTemplateSpec | undefined): unknown {
  const { creationTimestamp: _, ...metadata } = template?.metadata ?? {};
  return { ...template, metadata };
}

/** Oldest first: by number, then time, then name. */
export function compareRevisions(a: ControllerRevision, b: ControllerRevision): number {
  return a.revision === b.revision ? compareCreation(a, b) : a.revision - b.revision;
}

export function highestOf(revisions: readonly ControllerRevision[]): number {
  return revisions.reduce((highest, { revision }) => Math.max(highest, revision), 0);
}

export async function deleteRevisions(
  client: Client,
  revisions: readonly ControllerRevision[],
  { signal }: { readonly signal: AbortSignal },
): Promise<void> {
  for (const { metadata } of revisions) {
    const { namespace, name = '', uid = '' } = metadata;
    const options = { preconditions: { uid }, signal };
    await client.delete(revisionKind, { namespace, name }, options).catch(ignoreNotFound);
  }
}

/** As Go writes JSON: keys in order, nothing absent or null, `<`, `>` and `&` as code points. */
export function canonicalJson(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(canonicalJson).join(',')}]`;
  if (typeof value !== 'object' || value === null) {
    const text = JSON.stringify(value) ?? 'null';
    return text.replaceAll(/[<>&\u2028\u2029]/g, codePoint);
  }
  const entries = Object.entries(value).filter(
    ([, inner]) => inner !== undefined && inner !== null,
  );
  entries.sort(([a], [b]) => (a < b ? -1 : 1));
  const parts = entries.map(([key, inner]) => `${canonicalJson(key)}:${canonicalJson(inner)}`);
  return `{${parts.join(',')}}`;
}

function codePoint(character: string): string {
  return `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`;
}
