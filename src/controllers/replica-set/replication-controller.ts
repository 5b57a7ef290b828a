/**
 * ReplicationControllers: what ReplicaSets are, from before sets of labels could be written. The
 * selector is a map, and there is no count of terminating pods; all else is
 * `replica-set.ts`, which sees the object in the words of a ReplicaSet.
 */
import { replicationControllers as controllerKind } from '#resources/kinds.ts';
import type { ReplicaSet } from '#resources/types/apps-v1.ts';
import type { ReplicationController } from '#resources/types/core-v1.ts';
import type { Controller, ControllerDeps } from '../controller.ts';
import { openReplicaController } from './replica-set.ts';

export function openReplicationController(deps: ControllerDeps): Controller {
  return openReplicaController<ReplicationController>(deps, {
    kind: controllerKind,
    name: 'replicationcontroller-controller',
    component: 'replication-controller',
    asReplicaSet,
    withStatus: (controller, { terminatingReplicas: _, ...status }) => ({ ...controller, status }),
  });
}

function asReplicaSet({ spec, ...rest }: ReplicationController): ReplicaSet {
  if (spec === undefined) return rest;
  const { selector, ...shared } = spec;
  // Never empty, which would select everything: the server asks for one.
  return { ...rest, spec: { ...shared, selector: { matchLabels: selector } } };
}
