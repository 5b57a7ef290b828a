/**
 * The pod that a controller makes from its template: labels, annotations and finalizers of the
 * template, and the maker as managing owner. Pure. Names and what else the kind adds is the
 * caller's.
 */
import type { KindOf } from '#api/kind-of.ts';
import type { KubeObject } from '#api/object.ts';
import type { Pod, PodTemplateSpec } from '#resources/types/core-v1.ts';
import { controllerReference } from './ownership.ts';

export function podFromTemplate(
  template: PodTemplateSpec | undefined,
  owner: KubeObject,
  kind: Pick<KindOf<KubeObject>, 'group' | 'version' | 'kind'>,
): Pod {
  const { labels, annotations, finalizers } = template?.metadata ?? {};
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: {
      namespace: owner.metadata.namespace,
      generateName: `${owner.metadata.name}-`,
      labels,
      annotations,
      finalizers,
      ownerReferences: [controllerReference(owner, kind)],
    },
    spec: template?.spec,
  };
}
