/**
 * How a kubelet is set: the part of upstream's KubeletConfiguration that this one acts on, with
 * upstream's names, units in the names where upstream has durations, and its defaults.
 */
import type { CgroupDriver } from './node/cgroups.ts';
import type { TopologyPolicy } from './placement/hints.ts';
import type { TopologyScope } from './placement/placer.ts';

export interface MemoryReservation {
  readonly numaNode: number;
  readonly limits: Readonly<Record<string, string>>;
}

export interface ShutdownGracePeriod {
  /** Of pods with at least this priority, up to that of the next. */
  readonly priority: number;
  readonly shutdownGracePeriodSeconds: number;
}

export interface KubeletSettings {
  /** Kept from pods for the system, by resource: `{ cpu: '100m', memory: '1Gi' }`. */
  readonly systemReserved: Readonly<Record<string, string>>;
  /** The same for the kubelet and the runtime. */
  readonly kubeReserved: Readonly<Record<string, string>>;
  /** Signal → amount or share below which pods are evicted at once: `memory.available: 100Mi`. */
  readonly evictionHard: Readonly<Record<string, string>>;
  /** The same for pods that may end in peace, once it has lasted for the grace period. */
  readonly evictionSoft: Readonly<Record<string, string>>;
  readonly evictionSoftGracePeriodMs: Readonly<Record<string, number>>;
  readonly evictionMinimumReclaim: Readonly<Record<string, string>>;
  /** How long a condition of pressure outlives the pressure. */
  readonly evictionPressureTransitionPeriodMs: number;
  /** Most that a pod gets when a soft threshold evicts it. */
  readonly evictionMaxPodGracePeriodSeconds: number;
  /** Used share of the image file system at which images go, and down to which. */
  readonly imageGCHighThresholdPercent: number;
  readonly imageGCLowThresholdPercent: number;
  readonly imageMinimumGCAgeMs: number;
  /** Images unused for longer go in any case; 0: never. */
  readonly imageMaximumGCAgeMs: number;
  readonly allowedUnsafeSysctls: readonly string[];
  /** `static`: containers may have processors of their own. */
  readonly cpuManagerPolicy: 'none' | 'static';
  readonly cpuManagerPolicyOptions: Readonly<Record<string, string>>;
  readonly cpuManagerReconcilePeriodMs: number;
  /** Processors of the system, as `0-1,4`; the empty text: as many as are reserved, the lowest. */
  readonly reservedSystemCPUs: string;
  /** `Static`: containers may have memory of certain NUMA nodes. */
  readonly memoryManagerPolicy: 'None' | 'Static';
  readonly reservedMemory: readonly MemoryReservation[];
  readonly topologyManagerPolicy: TopologyPolicy;
  readonly topologyManagerScope: TopologyScope;
  readonly topologyManagerPolicyOptions: Readonly<Record<string, string>>;
  /** For how long a shutdown of the machine is held up so that pods can end; 0: not at all. */
  readonly shutdownGracePeriodMs: number;
  /** The part of it that is for critical pods, after all others. */
  readonly shutdownGracePeriodCriticalPodsMs: number;
  /** Instead of both: by priority. */
  readonly shutdownGracePeriodByPodPriority: readonly ShutdownGracePeriod[];
  /** One image at a time; else so many, or any number where that is undefined. */
  readonly serializeImagePulls: boolean;
  readonly maxParallelImagePulls: number | undefined;
  /** Pulls a second on average, and at once after a rest; 0: any number. */
  readonly registryPullQPS: number;
  readonly registryBurst: number;
  /** For which images that are here a pod has to show that it might pull them. */
  readonly imagePullCredentialsVerificationPolicy: VerificationPolicy;
  /** Free for all by `NeverVerifyAllowlistedImages`: `registry/path`, or `registry/path/*`. */
  readonly preloadedImagesVerificationAllowlist: readonly string[];
  /** How often the node's status is looked at, and written at the latest. */
  readonly nodeStatusUpdateFrequencyMs: number;
  readonly nodeStatusReportFrequencyMs: number;
  /** For so long a lease counts; it is renewed four times in that time. */
  readonly nodeLeaseDurationSeconds: number;
  /** Images named in the node's status, the largest first; -1: all. */
  readonly nodeStatusMaxImages: number;
  /** Of pods per processor; 0: any number. */
  readonly podsPerCore: number;
  /** File with the resolver's settings that pods inherit; the empty text: they inherit none. */
  readonly resolvConf: string;
  readonly containerLogMaxBytes: number;
  readonly containerLogMaxFiles: number;
  readonly containerLogMonitorIntervalMs: number;
  readonly fileCheckFrequencyMs: number;
  readonly httpCheckFrequencyMs: number;
  /** Who makes cgroups, where the runtime does not say it itself. */
  readonly cgroupDriver: CgroupDriver;
  /** `pods`, `kube-reserved` and the like: cgroups that are limited. */
  readonly enforceNodeAllocatable: readonly string[];
  readonly systemReservedCgroup: string;
  readonly kubeReservedCgroup: string;
  /** Eviction thresholds count as allocatable. */
  readonly allocatableIgnoresEviction: boolean;
  /** Pods that do not say otherwise have the runtime's seccomp profile. */
  readonly seccompDefault: boolean;
  /** Somebody else knows the node's addresses. */
  readonly isCloudExternal: boolean;
  /** The kernel and the runtime know AppArmor. */
  readonly appArmor: boolean;
  /** Limits of processors are enforced. */
  readonly cpuCFSQuota: boolean;
  /** Over this time they hold. */
  readonly cpuCFSQuotaPeriodUs: number;
  /** Storage on the node's own disk is told, counted, and what uses too much of it is evicted. */
  readonly localStorageCapacityIsolation: boolean;
  /** Users of a pod that has users of its own; a multiple of 65536. */
  readonly userNamespaceIdsPerPod: number;
  /** Of a container out of memory only the process that the kernel picks is ended. */
  readonly singleProcessOOMKill: boolean | undefined;
  /** Which containers may use swap: none, or those that may use more memory than they ask for. */
  readonly swapBehavior: 'NoSwap' | 'LimitedSwap';
  /** The longest that a container that ends again and again waits for its next start. */
  readonly crashLoopMaxMs: number;
  /** Dead containers that may go: older than this, beyond so many of each and in all (<0: any). */
  readonly deadContainerMinimumAgeMs: number;
  readonly deadContainersMaxEach: number;
  readonly deadContainersMax: number;
}

export const verificationPolicies = [
  'NeverVerify',
  'NeverVerifyPreloadedImages',
  'NeverVerifyAllowlistedImages',
  'AlwaysVerify',
] as const;

export type VerificationPolicy = (typeof verificationPolicies)[number];

export const defaultSettings: KubeletSettings = {
  systemReserved: {},
  kubeReserved: {},
  evictionHard: {
    'memory.available': '100Mi',
    'nodefs.available': '10%',
    'nodefs.inodesFree': '5%',
    'imagefs.available': '15%',
    'imagefs.inodesFree': '5%',
  },
  evictionSoft: {},
  evictionSoftGracePeriodMs: {},
  evictionMinimumReclaim: {},
  evictionPressureTransitionPeriodMs: 300_000,
  evictionMaxPodGracePeriodSeconds: 0,
  imageGCHighThresholdPercent: 85,
  imageGCLowThresholdPercent: 80,
  imageMinimumGCAgeMs: 120_000,
  imageMaximumGCAgeMs: 0,
  allowedUnsafeSysctls: [],
  cpuManagerPolicy: 'none',
  cpuManagerPolicyOptions: {},
  cpuManagerReconcilePeriodMs: 10_000,
  reservedSystemCPUs: '',
  memoryManagerPolicy: 'None',
  reservedMemory: [],
  topologyManagerPolicy: 'none',
  topologyManagerScope: 'container',
  topologyManagerPolicyOptions: {},
  shutdownGracePeriodMs: 0,
  shutdownGracePeriodCriticalPodsMs: 0,
  shutdownGracePeriodByPodPriority: [],
  serializeImagePulls: true,
  maxParallelImagePulls: undefined,
  registryPullQPS: 5,
  registryBurst: 10,
  imagePullCredentialsVerificationPolicy: 'NeverVerifyPreloadedImages',
  preloadedImagesVerificationAllowlist: [],
  nodeStatusUpdateFrequencyMs: 10_000,
  nodeStatusReportFrequencyMs: 300_000,
  nodeLeaseDurationSeconds: 40,
  nodeStatusMaxImages: 50,
  podsPerCore: 0,
  resolvConf: '/etc/resolv.conf',
  containerLogMaxBytes: 10 * 1024 * 1024,
  containerLogMaxFiles: 5,
  containerLogMonitorIntervalMs: 10_000,
  fileCheckFrequencyMs: 20_000,
  httpCheckFrequencyMs: 20_000,
  cgroupDriver: 'cgroupfs',
  enforceNodeAllocatable: ['pods'],
  systemReservedCgroup: '',
  kubeReservedCgroup: '',
  allocatableIgnoresEviction: false,
  seccompDefault: false,
  isCloudExternal: false,
  appArmor: false,
  cpuCFSQuota: true,
  cpuCFSQuotaPeriodUs: 100_000,
  localStorageCapacityIsolation: true,
  userNamespaceIdsPerPod: 65_536,
  singleProcessOOMKill: undefined,
  swapBehavior: 'NoSwap',
  crashLoopMaxMs: 300_000,
  deadContainerMinimumAgeMs: 0,
  deadContainersMaxEach: 1,
  deadContainersMax: -1,
};
