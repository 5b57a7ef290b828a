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
import { assert } from '#kit/assert.ts';
import type { Clock } from '#kit/clock.ts';
import type { Logger } from '#kit/log.ts';
import type { Random } from '#kit/random.ts';
import { Scope } from '#kit/scope.ts';
import type { KeyPair } from '#kit/x509.ts';
import { type Controller, type ControllerDeps, runController } from './controller.ts';
import { openCronJobController } from './cron-job/cron-job.ts';
import { openDaemonSetController } from './daemon-set/daemon-set.ts';
import { openDeploymentController } from './deployment/deployment.ts';
import { openDeviceTaintEvictionController } from './device-taint-eviction/device-taint-eviction.ts';
import { openDisruptionController } from './disruption/disruption.ts';
import { openEndpointSliceController } from './endpoint-slice/endpoint-slice.ts';
import { Figures } from './figures.ts';
import { openGarbageCollector } from './garbage-collector/garbage-collector.ts';
import { openJobController } from './job/job.ts';
import { knownKinds } from './known-kinds.ts';
import type { ControllersMetrics } from './metrics.ts';
import { openNamespaceController } from './namespace/namespace.ts';
import { openNodeIpamController } from './node-ipam/node-ipam.ts';
import { openNodeLifecycleController } from './node-lifecycle/node-lifecycle.ts';
import { NodePatches } from './node-patches.ts';
import type { HostFolders } from './persistent-volume/provisioning.ts';
import { openPodGCController } from './pod-gc/pod-gc.ts';
import { openReplicaSetController } from './replica-set/replica-set.ts';
import { openReplicationController } from './replica-set/replication-controller.ts';
import { openRootCAController } from './root-ca/root-ca.ts';
import { openServiceAccountController } from './service-account/service-account.ts';
import { type ControllersSettings, defaultSettings, isEnabled, offByDefault } from './settings.ts';
import { openStatefulSetController } from './stateful-set/stateful-set.ts';
import { openTaintEvictionController } from './taint-eviction/taint-eviction.ts';
import { openTTLAfterFinishedController } from './ttl-after-finished/ttl-after-finished.ts';
import { type Opener, type Parts, upkeepControllers } from './upkeep.ts';

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
  /** Pod addresses of the cluster, as `10.42.0.0/16`: each node gets a block. None: none does. */
  readonly clusterCIDR: string | undefined;
  /** PEM of the certificate authority that pods verify the API server with. */
  readonly rootCA: string;
  /** Signs certificates that are asked for; without it nothing is signed. */
  readonly issuer?: KeyPair | undefined;
  /** Approves what nodes serve with, which upstream leaves to people. */
  readonly approvesServing?: boolean | undefined;
  /** Kinds that namespaces contain and owners refer to; those of the slice if absent. */
  readonly kinds?: (() => readonly KindOf<KubeObject>[]) | undefined;
  readonly settings?: ControllersSettings | undefined;
  /** Of this machine, for volumes that are such; without them nothing is made or removed. */
  readonly folders?: HostFolders | undefined;
  readonly signal: AbortSignal;
}

export async function runControllers(
  deps: ControllersDeps,
  options: ControllersOptions,
): Promise<void> {
  const { clock, log, onBug } = deps;
  const { signal } = options;
  const scope = new Scope(signal);
  const recorderFor = (component: string): Recorder => {
    const recorder = openRecorder({ ...deps, component });
    scope.spawn((inner) => recorder.run(inner));
    return recorder;
  };
  const figures = deps.metrics?.figures ?? new Figures();
  const controllers = openAll({ ...deps, figures, recorderFor }, options);
  figures.gauge('running_managed_controllers', () =>
    controllers.map(({ name }) => [[name, 'kube-controller-manager'], signal.aborted ? 0 : 1]),
  );
  for (const controller of controllers) {
    deps.metrics?.watch(controller.name, controller.queue);
    scope.spawn((inner) => runController({ ...controller, clock, log, onBug }, { signal: inner }));
  }
  await scope.join();
}

/**
 * By upstream's names. The garbage collector is last: of kinds that others keep whole it then
 * shares their copy.
 */
const openers: Readonly<Record<string, Opener>> = {
  'deployment-controller': ({ deps }) => openDeploymentController(deps),
  'replicaset-controller': ({ deps }) => openReplicaSetController(deps),
  'replicationcontroller-controller': ({ deps }) => openReplicationController(deps),
  'statefulset-controller': ({ deps }) => openStatefulSetController(deps),
  'daemonset-controller': ({ deps }) => openDaemonSetController(deps),
  'job-controller': ({ deps }) => openJobController(deps),
  'cronjob-controller': ({ deps }) => openCronJobController(deps),
  'disruption-controller': ({ deps, kinds }) => openDisruptionController(deps, { kinds }),
  'ttl-after-finished-controller': ({ deps }) => openTTLAfterFinishedController(deps),
  'endpointslice-controller': ({ deps, settings }) =>
    openEndpointSliceController(deps, {
      perSlice: settings.endpointsPerSlice,
      batchMs: settings.batchMs['endpointslice-controller'],
    }),
  ...upkeepControllers,
  'namespace-controller': ({ deps, kinds }) => openNamespaceController(deps, { kinds }),
  'serviceaccount-controller': ({ deps }) => openServiceAccountController(deps),
  'root-ca-certificate-publisher-controller': ({ deps, rootCA }) =>
    openRootCAController(deps, { rootCA }),
  'node-ipam-controller': ({ deps, clusterCIDR, settings }) => {
    if (clusterCIDR === undefined) return undefined;
    const { nodeMaskSize: maskSize, nodeMaskSize6: maskSize6, serviceCIDR } = settings;
    return openNodeIpamController(deps, { clusterCIDR, maskSize, maskSize6, serviceCIDR });
  },
  'node-lifecycle-controller': ({ deps, settings }) =>
    openNodeLifecycleController(deps, settings.health),
  'taint-eviction-controller': ({ deps }) => openTaintEvictionController(deps),
  'device-taint-eviction-controller': ({ deps }) => openDeviceTaintEvictionController(deps),
  'pod-garbage-collector-controller': ({ deps, settings }) =>
    openPodGCController(deps, settings.terminatedPodsMax),
  // Events are many, own nothing, and go by themselves.
  'garbage-collector-controller': ({ deps, kinds }) =>
    openGarbageCollector(deps, { kinds: kinds().filter(({ kind }) => kind !== 'Event') }),
};

/** Every controller that there is. */
export const controllerNames: readonly string[] = Object.keys(openers);

function openAll(deps: ControllerDeps, options: ControllersOptions): readonly Controller[] {
  const { settings = defaultSettings, kinds = () => knownKinds } = options;
  const { clusterCIDR, rootCA, issuer, approvesServing = false, folders } = options;
  const parts: Parts = {
    ...{ kinds, clusterCIDR, rootCA, issuer, approvesServing, settings, folders },
    deps: { ...deps, nodePatches: new NodePatches(deps) },
  };
  return Object.entries(openers).flatMap(([name, open]) => {
    const onByDefault = !offByDefault.includes(name);
    if (!isEnabled(name, settings.controllers, { onByDefault })) return [];
    const opened = open(parts);
    if (opened === undefined) return [];
    assert(opened.name === name, 'a controller runs under the name by which it is chosen');
    return [{ ...opened, workers: settings.workers[name] ?? opened.workers }];
  });
}

export { ControllersMetrics } from './metrics.ts';
export type { HostFolders } from './persistent-volume/provisioning.ts';
export {
  type ControllersSettings,
  defaultSettings,
  isEnabled,
  offByDefault,
} from './settings.ts';
