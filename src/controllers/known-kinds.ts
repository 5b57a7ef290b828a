/**
 * The kinds of the slice: what a namespace may contain and what owner references may name. Used
 * where the caller of `runControllers` passes no list of its own (one taken from discovery).
 */
import type { KindOf } from '#api/kind-of.ts';
import type { KubeObject } from '#api/object.ts';
import * as kinds from '#resources/kinds.ts';

export const knownKinds: readonly KindOf<KubeObject>[] = [
  kinds.pods,
  kinds.deployments,
  kinds.replicaSets,
  kinds.services,
  kinds.endpointSlices,
  kinds.configMaps,
  kinds.secrets,
  kinds.serviceAccounts,
  kinds.horizontalPodAutoscalers,
  kinds.leases,
  kinds.events,
  kinds.nodes,
  kinds.namespaces,
];
