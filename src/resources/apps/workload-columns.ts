/**
 * Columns that Deployments, ReplicaSets and other kinds with a pod template share.
 * They are shown with `-o wide` only.
 */

import type { KubeObject } from '#api/object.ts';
import type { Column } from '#api/resource.ts';
import { formatLabelSelector, type LabelSelector } from '#api/selectors.ts';
import type { PodTemplateSpec } from '../types/core-v1.ts';

interface Workload {
  readonly template?: PodTemplateSpec | undefined;
  readonly selector?: LabelSelector | undefined;
}

/** Of whatever has the template: the spec of most kinds. */
export function templateColumns<Hub extends KubeObject>(
  workloadOf: (hub: Hub) => Workload | undefined,
): readonly Column<Hub>[] {
  const containersOf = (hub: Hub) => workloadOf(hub)?.template?.spec?.containers ?? [];
  return [
    {
      name: 'Containers',
      type: 'string',
      description: 'Names of the containers in the template.',
      priority: 1,
      cell: (hub) =>
        containersOf(hub)
          .map(({ name }) => name)
          .join(','),
    },
    {
      name: 'Images',
      type: 'string',
      description: 'Images of the containers in the template.',
      priority: 1,
      cell: (hub) =>
        containersOf(hub)
          .map(({ image }) => image ?? '')
          .join(','),
    },
    {
      name: 'Selector',
      type: 'string',
      description: 'Labels of the pods that belong here.',
      priority: 1,
      cell: (hub) => formatLabelSelector(workloadOf(hub)?.selector),
    },
  ];
}

/** `a=b,c=d`, keys in order; `<none>` without labels. */
export function formatPlainLabels(labels: Readonly<Record<string, string>> | undefined): string {
  const entries = Object.entries(labels ?? {}).sort(([a], [b]) => (a < b ? -1 : 1));
  if (entries.length === 0) return '<none>';
  return entries.map(([key, value]) => `${key}=${value}`).join(',');
}
