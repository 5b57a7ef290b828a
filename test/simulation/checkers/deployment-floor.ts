/**
 * While a Deployment does nothing but roll, it never falls below its floor: ready pods ≥ replicas −
 * maxUnavailable.
 *
 * "Nothing but roll" needs care, since other things may rightly take pods away. A Deployment is
 * under watch when, for `quietMs`, no node was down or not ready, no pod of it became unready
 * without being deleted, or was evicted or pushed aside, no second copy of the controllers was
 * started by mistake, and nobody changed its replicas or maxUnavailable; and the floor was reached.
 * Lost, late and repeated requests, lost answers, delays, broken watches and crashes are no excuse.
 *
 * From then on each removal of a ready pod (its deletion begins) must leave the floor standing;
 * any of those other things ends the watch until all is quiet again. Counted is the truth of the
 * store, not what a controller believes.
 */
import { controllerOf } from '#api/object.ts';
import type { Deployment, ReplicaSet } from '#resources/types/apps-v1.ts';
import type { Node, Pod } from '#resources/types/core-v1.ts';
import { isNodeReady, isPodReady } from '../states.ts';
import type { WorldEvent } from '../trace.ts';
import type { Checker } from './checker.ts';

/** Longer than news need to reach everybody. */
export const quietMs = 30_000;

interface Watched {
  readonly name: string;
  readonly namespace: string | undefined;
  readonly ready: Set<string>;
  replicas: number;
  floor: number;
  /** Since when nothing but rolling has happened. */
  quietSinceMs: number;
}

export class DeploymentFloor implements Checker {
  readonly name = 'deployment floor';
  /** How often a removal was judged: a checker that never looks proves nothing. */
  judged = 0;
  readonly #deployments = new Map<string, Watched>();
  /** Replica set uid → deployment uid. */
  readonly #owners = new Map<string, string>();
  readonly #nodesAway = new Set<string>();
  /** Of all Deployments together: nodes away, and copies that should not be. */
  #quietSinceMs = 0;

  onEvent(event: WorldEvent, nowMs: number): string | undefined {
    switch (event.what) {
      case 'nodeDown':
        this.#nodesAway.add(`down ${event.node}`);
        return undefined;
      case 'nodeUp':
        this.#nodesAway.delete(`down ${event.node}`);
        this.#quietSinceMs = nowMs;
        return undefined;
      case 'disturbed':
        // Two copies that both scale know nothing of what the other one is about to do.
        if (event.by.startsWith('mistake')) this.#quietSinceMs = nowMs;
        return undefined;
      case 'put':
      case 'delete':
        return this.#see(event, nowMs);
      default:
        return undefined;
    }
  }

  #see(
    event: Extract<WorldEvent, { readonly what: 'put' | 'delete' }>,
    nowMs: number,
  ): string | undefined {
    const { what, object } = event;
    // The kind says the type of what the store holds.
    switch (object.kind) {
      case 'Namespace':
        if (object.metadata.deletionTimestamp !== undefined) this.#forget(object.metadata.name);
        return undefined;
      case 'Node':
        this.#seeNode(object as Node, what, nowMs);
        return undefined;
      case 'Deployment':
        this.#seeDeployment(object as Deployment, what, nowMs);
        return undefined;
      case 'ReplicaSet':
        this.#seeReplicaSet(object as ReplicaSet);
        return undefined;
      case 'Pod':
        return this.#seePod(object as Pod, what, nowMs);
      default:
        return undefined;
    }
  }

  /** In a namespace that ends, pods go before their Deployments. */
  #forget(namespace: string | undefined): void {
    for (const [uid, known] of this.#deployments) {
      if (known.namespace === namespace) this.#deployments.delete(uid);
    }
  }

  #seeNode(node: Node, what: 'put' | 'delete', nowMs: number): void {
    const name = `unready ${node.metadata.name}`;
    if (what === 'put' && isNodeReady(node)) {
      if (this.#nodesAway.delete(name)) this.#quietSinceMs = nowMs;
    } else {
      this.#nodesAway.add(name);
    }
  }

  #seeDeployment({ metadata, spec }: Deployment, what: 'put' | 'delete', nowMs: number): void {
    const uid = metadata.uid ?? '';
    if (what === 'delete' || metadata.deletionTimestamp !== undefined) {
      this.#deployments.delete(uid);
      return;
    }
    const replicas = spec?.replicas ?? 1;
    const floor = spec?.strategy?.type === 'Recreate' ? 0 : floorOf(spec, replicas);
    const known = this.#deployments.get(uid);
    if (known === undefined) {
      const { name = '', namespace } = metadata;
      const fresh = {
        name,
        namespace,
        ready: new Set<string>(),
        replicas,
        floor,
        quietSinceMs: nowMs,
      };
      this.#deployments.set(uid, fresh);
      return;
    }
    if (known.replicas === replicas && known.floor === floor) return;
    Object.assign(known, { replicas, floor, quietSinceMs: nowMs });
  }

  #seeReplicaSet(replicaSet: ReplicaSet): void {
    const owner = controllerOf(replicaSet);
    if (owner !== undefined) this.#owners.set(replicaSet.metadata.uid ?? '', owner.uid);
  }

  #seePod(pod: Pod, what: 'put' | 'delete', nowMs: number): string | undefined {
    const deployment = this.#deployments.get(this.#owners.get(controllerOf(pod)?.uid ?? '') ?? '');
    if (deployment === undefined) return undefined;
    const uid = pod.metadata.uid ?? '';
    const removed = what === 'delete' || pod.metadata.deletionTimestamp !== undefined;
    if (!removed && isPodReady(pod)) {
      deployment.ready.add(uid);
      return undefined;
    }
    const before = deployment.ready.size;
    if (!deployment.ready.delete(uid)) return undefined;
    if (!removed || isDisrupted(pod)) {
      deployment.quietSinceMs = nowMs;
      return undefined;
    }
    return this.#judge(deployment, { before, nowMs });
  }

  #judge(
    deployment: Watched,
    { before, nowMs }: { readonly before: number; readonly nowMs: number },
  ): string | undefined {
    const quietSinceMs = Math.max(deployment.quietSinceMs, this.#quietSinceMs);
    const isQuiet = this.#nodesAway.size === 0 && nowMs - quietSinceMs >= quietMs;
    // Below the floor already: whatever broke it was excused above, or reported.
    if (!isQuiet || before < deployment.floor) return undefined;
    this.judged += 1;
    const { name, ready, floor, replicas } = deployment;
    if (ready.size >= floor) return undefined;
    return `deployment ${name} has ${ready.size} ready pods of ${replicas}; its floor is ${floor}`;
  }
}

/** Evicted, pushed aside or driven off: not the rollout's doing. */
function isDisrupted({ status }: Pod): boolean {
  return (status?.conditions ?? []).some(({ type }) => type === 'DisruptionTarget');
}

function floorOf(spec: Deployment['spec'], replicas: number): number {
  const { maxSurge = '25%', maxUnavailable = '25%' } = spec?.strategy?.rollingUpdate ?? {};
  const unavailable = Math.floor(share(maxUnavailable, replicas));
  const surge = Math.ceil(share(maxSurge, replicas));
  // Both zero would stand still: then one may be missing.
  return replicas - (unavailable === 0 && surge === 0 ? 1 : Math.min(unavailable, replicas));
}

function share(value: number | string, of: number): number {
  return typeof value === 'number' ? value : (Number.parseFloat(value) / 100) * of;
}
