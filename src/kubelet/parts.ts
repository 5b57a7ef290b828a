/**
 * What the pods of one kubelet share: put together once in `assemble.ts`, handed to each worker.
 */
import type { Client, Recorder } from '#client';
import type { Runtime } from '#cri';
import type { Clock } from '#kit/clock.ts';
import type { Logger } from '#kit/log.ts';
import type { Slots } from '#kit/slots.ts';
import type { Node, Pod, Service } from '#resources/types/core-v1.ts';
import type { NodeDevices } from './devices/devices.ts';
import type { Images } from './images/images.ts';
import type { PullLogins } from './images/pull-logins.ts';
import type { PullRecords } from './images/pull-records.ts';
import type { Machine } from './node/machine.ts';
import type { NodePlacement } from './placement/placement.ts';
import type { AppliedResources } from './pods/applied-resources.ts';
import type { Backoff } from './pods/backoff.ts';
import type { PodCounts } from './pods/pod-counts.ts';
import type { ResizeFailure, StartFailure } from './pods/pod-facts.ts';
import type { KubeletPaths } from './pods/pod-paths.ts';
import type { CgroupResources } from './pods/qos.ts';
import type { StatusWriter } from './pods/status-writer.ts';
import type { KubeletSettings } from './settings.ts';
import type { Volumes } from './volumes/volumes.ts';
import type { WatchedObjects } from './watched-objects.ts';

export interface NodeFacts {
  /** As the API has it; before that, as it is going to be registered. */
  readonly object: () => Node;
  readonly hostIPs: readonly string[];
  readonly memoryBytes: number;
  readonly capacity: Readonly<Record<string, string>>;
  readonly allocatable: () => Readonly<Record<string, string>>;
  readonly clusterDNS: readonly string[];
  readonly clusterDomain: string;
  readonly cgroupRoot: string;
  readonly podPidsMax?: number | undefined;
  /** Files and processes have labels. */
  readonly hasSELinux: boolean;
}

export interface KubeletParts {
  readonly client: Client;
  readonly runtime: Runtime;
  readonly clock: Clock;
  readonly log: Logger;
  readonly recorder: Pick<Recorder, 'record'>;
  readonly machine: Machine;
  readonly paths: KubeletPaths;
  readonly node: NodeFacts;
  readonly images: Images;
  readonly logins: PullLogins;
  readonly records: PullRecords;
  readonly volumes: Volumes;
  readonly devices: () => NodeDevices;
  readonly placement: () => NodePlacement;
  readonly objects: WatchedObjects;
  readonly counts: PodCounts;
  readonly statuses: StatusWriter;
  /** Services whose variables a pod of this namespace gets. */
  readonly services: (namespace: string) => readonly Service[];
  /** What the node lacks, with all its other pods, to give this one what it wants by now. */
  readonly shortage: (pod: Pod) => string | undefined;
  /** Sandboxes and containers being made at the same time. */
  readonly slots: Slots;
  readonly settings: KubeletSettings;
}

export interface PodState {
  /** By container name. */
  readonly failures: Map<string, StartFailure>;
  /** By `restartKey`. */
  readonly backoffs: Map<string, Backoff>;
  /** Container ids whose pre-stop hook has been called. */
  readonly preStopped: Set<string>;
  volumes: ReadonlyMap<string, string>;
  /** They could not be made ready: the next sandbox is made after them, not beside them. */
  volumesFailed?: boolean | undefined;
  /** Ids of what the actions made since the last look at the runtime. */
  readonly made: { readonly sandboxes: string[]; readonly containers: string[] };
  readonly applied: AppliedResources;
  /** What the pod's cgroup was last set to, as far as this process knows. */
  podCgroup?: CgroupResources | undefined;
  /** Generation of the wish for other resources that is being granted. */
  resizing?: number | undefined;
  /** The last resize was refused. */
  resizeFailure?: ResizeFailure | undefined;
  /** When the clock was set back. */
  clockSetAtMs?: number | undefined;
}

export interface ActOptions {
  /** The kubelet ends. */
  readonly signal: AbortSignal;
  /** The pod's wishes have changed: waiting inside an action makes no sense any more. */
  readonly interrupt: AbortSignal;
}
