/**
 * All controllers of the control plane, run together: `runControllers` opens each, gives it its own
 * voice for Events, and runs its loop (`controller.ts`) until the signal aborts.
 *
 * Called by the worker that shares its informers with the scheduler, and by the simulator. The list
 * below is the table of contents of this folder.
 */
import type { AssertionError } from 'node:assert';
import type { KindOf } from '#api/kind-of.ts';
import type { KubeObject } from '#api/object.ts';
import { type Client, type Informers, openRecorder, type Recorder } from '#client';
import type { Clock } from '#kit/clock.ts';
import type { Logger } from '#kit/log.ts';
import type { Random } from '#kit/random.ts';
import { Scope } from '#kit/scope.ts';
import type { KeyPair } from '#kit/x509.ts';
import { type Controller, type ControllerDeps, runController } from './controller.ts';
import { openCronJobController } from './cron-job/cron-job.ts';
import { openDaemonSetController } from './daemon-set/daemon-set.ts';
import { openDeploymentController } from './deployment/deployment.ts';
import { openDisruptionController } from './disruption/disruption.ts';
import { openEndpointSliceController } from './endpoint-slice/endpoint-slice.ts';
import { openGarbageCollector } from './garbage-collector/garbage-collector.ts';
import { openJobController } from './job/job.ts';
import { knownKinds } from './known-kinds.ts';
import type { ControllersMetrics } from './metrics.ts';
import { openNamespaceController } from './namespace/namespace.ts';
import { openNodeIpamController } from './node-ipam.ts';
import { openNodeLifecycleController } from './node-lifecycle/node-lifecycle.ts';
import { NodePatches } from './node-patches.ts';
import { openPodGCController } from './pod-gc/pod-gc.ts';
import { openReplicaSetController } from './replica-set/replica-set.ts';
import { openReplicationController } from './replica-set/replication-controller.ts';
import { openRootCAController } from './root-ca.ts';
import { openServiceAccountController } from './service-account.ts';
import { openStatefulSetController } from './stateful-set/stateful-set.ts';
import { openTaintEvictionController } from './taint-eviction/taint-eviction.ts';
import { openTTLAfterFinishedController } from './ttl-after-finished/ttl-after-finished.ts';
import { openUpkeepControllers } from './upkeep.ts';

export interface ControllersDeps {
  readonly client: Client;
  /** Shared by the controllers and the scheduler of one process; run by whoever made it. */
  readonly informers: Informers;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Logger;
  /** Where somebody wants to read the figures. */
  readonly metrics?: ControllersMetrics | undefined;
  /** Told of each broken assertion. Tests and the simulator throw here, which ends the run. */
  readonly onBug?: ((error: AssertionError) => void) | undefined;
}

export interface ControllersOptions {
  /** Pod addresses of the cluster, as `10.42.0.0/16`; each node gets a /24 of it. */
  readonly clusterCIDR: string;
  /** PEM of the certificate authority that pods verify the API server with. */
  readonly rootCA: string;
  /** Signs certificates that are asked for; without it nothing is signed. */
  readonly issuer?: KeyPair | undefined;
  /** Approves what nodes serve with, which upstream leaves to people. */
  readonly approvesServing?: boolean | undefined;
  /** Kinds that namespaces contain and owners refer to; those of the slice if absent. */
  readonly kinds?: (() => readonly KindOf<KubeObject>[]) | undefined;
  readonly signal: AbortSignal;
}

export async function runControllers(
  deps: ControllersDeps,
  options: ControllersOptions,
): Promise<void> {
  const { clock, log, onBug } = deps;
  const scope = new Scope(options.signal);
  const recorderFor = (component: string): Recorder => {
    const recorder = openRecorder({ ...deps, component });
    scope.spawn((signal) => recorder.run(signal));
    return recorder;
  };
  for (const controller of openAll({ ...deps, recorderFor }, options)) {
    deps.metrics?.watch(controller.name, controller.queue);
    scope.spawn((signal) => runController({ ...controller, clock, log, onBug }, { signal }));
  }
  await scope.join();
}

/** The garbage collector is last: of kinds that others keep whole it then shares their copy. */
function openAll(deps: ControllerDeps, options: ControllersOptions): readonly Controller[] {
  const kinds = options.kinds ?? ((): readonly KindOf<KubeObject>[] => knownKinds);
  const nodePatches = new NodePatches(deps);
  return [
    openDeploymentController(deps),
    openReplicaSetController(deps),
    openReplicationController(deps),
    openStatefulSetController(deps),
    openDaemonSetController(deps),
    openJobController(deps),
    openCronJobController(deps),
    openDisruptionController(deps, { kinds }),
    openTTLAfterFinishedController(deps),
    openEndpointSliceController(deps),
    ...openUpkeepControllers({ ...deps, nodePatches }, { ...options, kinds }),
    openNamespaceController(deps, { kinds }),
    openServiceAccountController(deps),
    openRootCAController(deps, { rootCA: options.rootCA }),
    openNodeIpamController({ ...deps, nodePatches }, { clusterCIDR: options.clusterCIDR }),
    openNodeLifecycleController({ ...deps, nodePatches }),
    openTaintEvictionController(deps),
    openPodGCController(deps),
    // Events are many, own nothing, and go by themselves.
    openGarbageCollector(deps, { kinds: kinds().filter(({ kind }) => kind !== 'Event') }),
  ];
}

export { ControllersMetrics } from './metrics.ts';
