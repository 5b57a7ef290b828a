/**
 * The fields of `KubeletConfiguration` (kubelet.config.k8s.io/v1beta1) and their types, so that a
 * file is read as strictly as upstream reads it: a name that is none is told of.
 * Facts of the published type; what lies below a field that we do not act on is kept as it comes.
 * Read by `kubelet-settings.ts`.
 */
import type { Schema } from '#api/schema.ts';

const names = {
  string:
    'staticPodPath podLogsDir syncFrequency fileCheckFrequency httpCheckFrequency staticPodURL ' +
    'address tlsCertFile tlsPrivateKeyFile tlsMinVersion imagePullCredentialsVerificationPolicy ' +
    'healthzBindAddress clusterDomain streamingConnectionIdleTimeout nodeStatusUpdateFrequency ' +
    'nodeStatusReportFrequency imageMinimumGCAge imageMaximumGCAge volumeStatsAggPeriod ' +
    'kubeletCgroups systemCgroups cgroupRoot cgroupDriver cpuManagerPolicy ' +
    'cpuManagerReconcilePeriod memoryManagerPolicy topologyManagerPolicy topologyManagerScope ' +
    'runtimeRequestTimeout hairpinMode podCIDR resolvConf cpuCFSQuotaPeriod contentType ' +
    'evictionPressureTransitionPeriod containerLogMaxSize containerLogMonitorInterval ' +
    'configMapAndSecretChangeDetectionStrategy reservedSystemCPUs showHiddenMetricsForVersion ' +
    'systemReservedCgroup kubeReservedCgroup volumePluginDir providerID shutdownGracePeriod ' +
    'shutdownGracePeriodCriticalPods memoryReservationPolicy containerRuntimeEndpoint ' +
    'imageServiceEndpoint kind apiVersion',
  boolean:
    'enableServer rotateCertificates serverTLSBootstrap enableDebuggingHandlers ' +
    'enableContentionProfiling cgroupsPerQOS singleProcessOOMKill runOnce cpuCFSQuota ' +
    'serializeImagePulls mergeDefaultEvictionSettings enableControllerAttachDetach ' +
    'protectKernelDefaults makeIPTablesUtilChains failSwapOn kernelMemcgNotification ' +
    'enableSystemLogHandler enableSystemLogQuery enableProfilingHandler enableDebugFlagsHandler ' +
    'seccompDefault registerNode localStorageCapacityIsolation failCgroupV1',
  int32:
    'port readOnlyPort registryPullQPS registryBurst eventRecordQPS eventBurst healthzPort ' +
    'oomScoreAdj nodeLeaseDurationSeconds imageGCHighThresholdPercent imageGCLowThresholdPercent ' +
    'maxPods nodeStatusMaxImages kubeAPIQPS kubeAPIBurst maxParallelImagePulls ' +
    'evictionMaxPodGracePeriod podsPerCore iptablesMasqueradeBit iptablesDropBit ' +
    'containerLogMaxFiles containerLogMaxWorkers',
  int64: 'podPidsLimit maxOpenFiles',
  strings:
    'tlsCipherSuites preloadedImagesVerificationAllowlist clusterDNS enforceNodeAllocatable ' +
    'allowedUnsafeSysctls',
  map:
    'cpuManagerPolicyOptions topologyManagerPolicyOptions qosReserved evictionHard evictionSoft ' +
    'evictionSoftGracePeriod evictionMinimumReclaim systemReserved kubeReserved',
  opaque: 'featureGates logging memoryThrottlingFactor tracing userNamespaces',
} as const;

const text: Schema = { type: 'string' };
const flag: Schema = { type: 'boolean' };
const object = (fields: Readonly<Record<string, Schema>>): Schema => ({ type: 'object', fields });

const types: Readonly<Record<keyof typeof names, Schema>> = {
  string: text,
  boolean: flag,
  int32: { type: 'integer', format: 'int32' },
  int64: { type: 'integer', format: 'int64' },
  strings: { type: 'array', items: text },
  map: { type: 'object', values: text },
  opaque: { opaque: true },
};

export const kubeletConfiguration: Schema = object({
  ...Object.fromEntries(
    Object.entries(names).flatMap(([type, list]) =>
      // The keys of both tables are the same.
      list.split(' ').map((name) => [name, types[type as keyof typeof names]]),
    ),
  ),
  tlsCurvePreferences: { type: 'array', items: types.int32 },
  memorySwap: object({ swapBehavior: text }),
  crashLoopBackOff: object({ maxContainerRestartPeriod: text }),
  staticPodURLHeader: { type: 'object', values: { type: 'array', items: text } },
  authentication: object({
    x509: object({ clientCAFile: text }),
    webhook: object({ enabled: flag, cacheTTL: text }),
    anonymous: object({ enabled: flag }),
  }),
  authorization: object({
    mode: text,
    webhook: object({ cacheAuthorizedTTL: text, cacheUnauthorizedTTL: text }),
  }),
  reservedMemory: {
    type: 'array',
    items: object({ numaNode: types.int32, limits: types.map }),
  },
  shutdownGracePeriodByPodPriority: {
    type: 'array',
    items: object({ priority: types.int32, shutdownGracePeriodSeconds: types.int64 }),
  },
  registerWithTaints: {
    type: 'array',
    items: object({ key: text, value: text, effect: text, timeAdded: text }),
  },
});
