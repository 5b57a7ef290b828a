/**
 * The sub-resource `scale` of kinds whose spec says how many pods there shall be and which they
 * are. Where nothing is said of the number it is one.
 */
import type { KubeObject } from '#api/object.ts';
import type { ScaleBinding } from '#api/resource.ts';
import { formatLabelSelector, type LabelSelector } from '#api/selectors.ts';

interface Scaled extends KubeObject {
  readonly spec?:
    | {
        readonly replicas?: number | undefined;
        readonly selector?: LabelSelector | undefined;
      }
    | undefined;
  readonly status?: { readonly replicas?: number | undefined } | undefined;
}

export function workloadScale<Hub extends Scaled>(): ScaleBinding<Hub> {
  return {
    specReplicas: ({ spec }) => spec?.replicas ?? 1,
    statusReplicas: ({ status }) => status?.replicas ?? 0,
    selector: ({ spec }) => formatLabelSelector(spec?.selector ?? {}),
    withReplicas: (hub, replicas) =>
      hub.spec === undefined ? hub : { ...hub, spec: { ...hub.spec, replicas } },
  };
}
