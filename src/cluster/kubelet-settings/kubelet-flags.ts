/**
 * The flags of `coracle kubelet`, by upstream's names, and how their texts become fields of a
 * `KubeletConfiguration`. `command-line.ts` adds them; `kubelet-settings.ts` lays them over the
 * file.
 */
import { isIP } from 'node:net';
import type { Command } from '#kit/command-line.ts';
import { ConfigError } from '../settings/config.ts';
import { parsePairs, parseReservedMemory, parseTaints } from './kubelet-flag-values.ts';
import type { KubeletFlags } from './kubelet-settings.ts';

type Reader = (flag: string, text: string) => unknown;

const text: Reader = (_flag, value) => value;
const list: Reader = (_flag, value) => value.split(',').filter((part) => part !== '');
const number: Reader = (flag, value) => {
  const read = Number(value);
  if (Number.isInteger(read) && value.trim() !== '') return read;
  throw new ConfigError(
    `invalid argument "${value}" for "${flag}" flag: ` +
      `strconv.ParseInt: parsing "${value}": invalid syntax`,
  );
};
const boolean: Reader = (flag, value) => {
  if (value === 'true' || value === 'false') return value === 'true';
  throw new ConfigError(
    `invalid argument "${value}" for "${flag}" flag: ` +
      `strconv.ParseBool: parsing "${value}": invalid syntax`,
  );
};
const pairs: Reader = (flag, value) => parsePairs(flag, value, '=');
const thresholds: Reader = (flag, value) => parsePairs(flag, value, '<');

/** `name:value,name:other`: several values of one name are kept. */
const headers: Reader = (flag, value) =>
  Object.entries(parsePairs(flag, value, ':')).reduce<Record<string, readonly string[]>>(
    (all, [name, one]) => Object.assign(all, { [name]: [...(all[name] ?? []), one] }),
    {},
  );

/** `A=true,B=false`. */
const gates: Reader = (flag, value) =>
  Object.fromEntries(
    Object.entries(parsePairs(flag, value, '=')).map(([name, one]) => {
      if (one === 'true' || one === 'false') return [name, one === 'true'];
      throw new ConfigError(
        `invalid argument "${value}" for "${flag}" flag: invalid value of ${name}: ${one}, ` +
          `err: strconv.ParseBool: parsing "${one}": invalid syntax`,
      );
    }),
  );

const address: Reader = (flag, value) => {
  if (isIP(value) !== 0) return value;
  throw new ConfigError(
    `invalid argument "${value}" for "${flag}" flag: failed to parse IP: "${value}"`,
  );
};

/** Flag → field of the file, below others where there is a dot, and how its text is read. */
const fieldFlags: Readonly<Record<string, readonly [string, Reader]>> = {
  'enable-server': ['enableServer', boolean],
  'seccomp-default': ['seccompDefault', boolean],
  'fail-swap-on': ['failSwapOn', boolean],
  'fail-cgroupv1': ['failCgroupV1', boolean],
  'pod-manifest-path': ['staticPodPath', text],
  'sync-frequency': ['syncFrequency', text],
  'file-check-frequency': ['fileCheckFrequency', text],
  'http-check-frequency': ['httpCheckFrequency', text],
  'manifest-url': ['staticPodURL', text],
  'manifest-url-header': ['staticPodURLHeader', headers],
  'pod-log-dir': ['podLogsDir', text],
  address: ['address', address],
  port: ['port', number],
  'read-only-port': ['readOnlyPort', number],
  'container-runtime-endpoint': ['containerRuntimeEndpoint', text],
  'image-service-endpoint': ['imageServiceEndpoint', text],
  'anonymous-auth': ['authentication.anonymous.enabled', boolean],
  'authentication-token-webhook': ['authentication.webhook.enabled', boolean],
  'authentication-token-webhook-cache-ttl': ['authentication.webhook.cacheTTL', text],
  'client-ca-file': ['authentication.x509.clientCAFile', text],
  'authorization-mode': ['authorization.mode', text],
  'authorization-webhook-cache-authorized-ttl': ['authorization.webhook.cacheAuthorizedTTL', text],
  'authorization-webhook-cache-unauthorized-ttl': [
    'authorization.webhook.cacheUnauthorizedTTL',
    text,
  ],
  'tls-cert-file': ['tlsCertFile', text],
  'tls-private-key-file': ['tlsPrivateKeyFile', text],
  'tls-cipher-suites': ['tlsCipherSuites', list],
  'tls-min-version': ['tlsMinVersion', text],
  'rotate-certificates': ['rotateCertificates', boolean],
  'rotate-server-certificates': ['serverTLSBootstrap', boolean],
  'serialize-image-pulls': ['serializeImagePulls', boolean],
  'registry-qps': ['registryPullQPS', number],
  'registry-burst': ['registryBurst', number],
  'event-qps': ['eventRecordQPS', number],
  'event-burst': ['eventBurst', number],
  'kube-api-qps': ['kubeAPIQPS', number],
  'kube-api-burst': ['kubeAPIBurst', number],
  'kube-api-content-type': ['contentType', text],
  'enable-debugging-handlers': ['enableDebuggingHandlers', boolean],
  'contention-profiling': ['enableContentionProfiling', boolean],
  'healthz-port': ['healthzPort', number],
  'healthz-bind-address': ['healthzBindAddress', address],
  'oom-score-adj': ['oomScoreAdj', number],
  'cluster-dns': ['clusterDNS', list],
  'cluster-domain': ['clusterDomain', text],
  'resolv-conf': ['resolvConf', text],
  'volume-plugin-dir': ['volumePluginDir', text],
  'volume-stats-agg-period': ['volumeStatsAggPeriod', text],
  'streaming-connection-idle-timeout': ['streamingConnectionIdleTimeout', text],
  'node-status-update-frequency': ['nodeStatusUpdateFrequency', text],
  'node-status-max-images': ['nodeStatusMaxImages', number],
  'provider-id': ['providerID', text],
  'feature-gates': ['featureGates', gates],
  'kubelet-cgroups': ['kubeletCgroups', text],
  'system-cgroups': ['systemCgroups', text],
  'cgroups-per-qos': ['cgroupsPerQOS', boolean],
  'cgroup-driver': ['cgroupDriver', text],
  'cgroup-root': ['cgroupRoot', text],
  'qos-reserved': ['qosReserved', pairs],
  'cpu-cfs-quota': ['cpuCFSQuota', boolean],
  'cpu-cfs-quota-period': ['cpuCFSQuotaPeriod', text],
  'runtime-request-timeout': ['runtimeRequestTimeout', text],
  'hairpin-mode': ['hairpinMode', text],
  'max-pods': ['maxPods', number],
  'pods-per-core': ['podsPerCore', number],
  'pod-cidr': ['podCIDR', text],
  'pod-max-pids': ['podPidsLimit', number],
  'max-open-files': ['maxOpenFiles', number],
  runonce: ['runOnce', boolean],
  'enable-controller-attach-detach': ['enableControllerAttachDetach', boolean],
  'make-iptables-util-chains': ['makeIPTablesUtilChains', boolean],
  'kernel-memcg-notification': ['kernelMemcgNotification', boolean],
  'local-storage-capacity-isolation': ['localStorageCapacityIsolation', boolean],
  'protect-kernel-defaults': ['protectKernelDefaults', boolean],
  'container-log-max-size': ['containerLogMaxSize', text],
  'container-log-max-files': ['containerLogMaxFiles', number],
  'register-node': ['registerNode', boolean],
  'register-with-taints': ['registerWithTaints', parseTaints],
  'eviction-hard': ['evictionHard', thresholds],
  'eviction-soft': ['evictionSoft', thresholds],
  'eviction-soft-grace-period': ['evictionSoftGracePeriod', pairs],
  'eviction-minimum-reclaim': ['evictionMinimumReclaim', pairs],
  'eviction-pressure-transition-period': ['evictionPressureTransitionPeriod', text],
  'eviction-max-pod-grace-period': ['evictionMaxPodGracePeriod', number],
  'system-reserved': ['systemReserved', pairs],
  'system-reserved-cgroup': ['systemReservedCgroup', text],
  'kube-reserved': ['kubeReserved', pairs],
  'kube-reserved-cgroup': ['kubeReservedCgroup', text],
  'enforce-node-allocatable': ['enforceNodeAllocatable', list],
  'reserved-cpus': ['reservedSystemCPUs', text],
  'cpu-manager-policy': ['cpuManagerPolicy', text],
  'cpu-manager-policy-options': ['cpuManagerPolicyOptions', pairs],
  'cpu-manager-reconcile-period': ['cpuManagerReconcilePeriod', text],
  'memory-manager-policy': ['memoryManagerPolicy', text],
  'reserved-memory': ['reservedMemory', (_flag, value) => parseReservedMemory(value)],
  'topology-manager-policy': ['topologyManagerPolicy', text],
  'topology-manager-policy-options': ['topologyManagerPolicyOptions', pairs],
  'topology-manager-scope': ['topologyManagerScope', text],
  'image-gc-high-threshold': ['imageGCHighThresholdPercent', number],
  'image-gc-low-threshold': ['imageGCLowThresholdPercent', number],
  'minimum-image-ttl-duration': ['imageMinimumGCAge', text],
  'allowed-unsafe-sysctls': ['allowedUnsafeSysctls', list],
  'logging-format': ['logging.format', text],
};

/** Those that are only flags, as texts; the others are for the file, and told to be so. */
const ownFlags: Readonly<Record<string, string>> = {
  config: 'file with a KubeletConfiguration; flags win over it',
  'config-dir': 'folder of files (*.conf) that are laid over --config, in the order of their names',
  kubeconfig: 'the API server and how to log in',
  'bootstrap-kubeconfig':
    'with which a certificate is asked for, where --kubeconfig is no file yet',
  'hostname-override': 'name of the node (default: host name)',
  'node-ip': 'address of the node (default: the one towards the API server)',
  'node-labels': 'labels of the node, as disk=ssd,pool=test',
  'root-dir': 'where volumes and the like are (default /var/lib/kubelet)',
  'cert-dir': 'where its certificates are (default ROOT-DIR/pki)',
  'cloud-provider': 'external: somebody else tells where the node is and takes its taint',
  'image-credential-provider-config': 'CredentialProviderConfig, or a folder of them',
  'image-credential-provider-bin-dir': 'where its programs are',
  'minimum-container-ttl-duration': 'age at which a dead container may go (default 0s)',
  'maximum-dead-containers-per-container': 'dead ones kept of each container (default 1)',
  'maximum-dead-containers': 'dead ones kept in all; negative: any number (default -1)',
  'experimental-allocatable-ignore-eviction': 'true: what pods are evicted for counts as theirs',
};

/** Of upstream too, and not acted on, which is said. */
const passedOver = [
  'lock-file',
  'exit-on-lock-contention',
  'runtime-cgroups',
  'experimental-mounter-path',
  'vmodule',
  'log-flush-frequency',
  // Of cAdvisor, whose figures are our own.
  'housekeeping-interval',
  'max-housekeeping-interval',
  'global-housekeeping-interval',
  'application-metrics-count-limit',
  'boot-id-file',
  'container-hints',
  'containerd',
  'containerd-namespace',
  'enable-load-reader',
  'event-storage-age-limit',
  'event-storage-event-limit',
  'log-cadvisor-usage',
  'machine-id-file',
  'storage-driver-user',
  'storage-driver-password',
  'storage-driver-host',
  'storage-driver-db',
  'storage-driver-table',
  'storage-driver-secure',
  'storage-driver-buffer-duration',
];

const passedOverAlone = new Set([
  'exit-on-lock-contention',
  'enable-load-reader',
  'log-cadvisor-usage',
  'storage-driver-secure',
]);

const gcReplacement =
  'Use --eviction-hard or --eviction-soft instead. Will be removed in a future version.';
const fileReplacement =
  "This parameter should be set via the config file specified by the Kubelet's --config flag. " +
  'See https://kubernetes.io/docs/tasks/administer-cluster/kubelet-config-file/ for more ' +
  'information.';

const notDeprecated = new Set([
  'logging-format',
  'provider-id',
  'fail-cgroupv1',
  'seccomp-default',
  ...Object.keys(ownFlags),
]);

/** What upstream tells who still uses a flag. */
function deprecationOf(flag: string): string | undefined {
  const isOld = flag === 'minimum-container-ttl-duration' || flag.startsWith('maximum-dead');
  if (isOld) return gcReplacement;
  if (flag.startsWith('experimental-')) return 'will be removed in 1.25 or later.';
  return notDeprecated.has(flag) ? undefined : fileReplacement;
}

export function addKubeletFlags(command: Command): Command {
  for (const [flag, help] of Object.entries(ownFlags)) {
    // As upstream's: a boolean flag alone means true.
    const value = flag.startsWith('experimental-') ? '[value]' : '<value>';
    command.option(`--${flag} ${value}`, help);
  }
  for (const flag of passedOver) {
    const value = passedOverAlone.has(flag) ? '[value]' : '<value>';
    command.option(`--${flag} ${value}`, 'not acted on');
  }
  for (const [flag, [field, read]] of Object.entries(fieldFlags)) {
    const value = read === boolean ? '[value]' : '<value>';
    command.option(`--${flag} ${value}`, `field ${field}`);
  }
  return command.option(
    '-v, --v <n>',
    'how much is logged; 2: events, 4: rounds of loops, 6: requests',
  );
}

/** From the texts of the command line, by flags in camel case. */
export function kubeletFlags(options: Readonly<Record<string, string | true>>): KubeletFlags {
  const fields: Fields = {};
  const deprecated: (readonly [string, string])[] = [];
  for (const flag of [...Object.keys(fieldFlags), ...Object.keys(ownFlags)]) {
    const value = options[camelCase(flag)];
    if (value === undefined) continue;
    const [field, read] = fieldFlags[flag] ?? [];
    const given = value === true ? 'true' : value;
    if (field !== undefined && read !== undefined) {
      setBelow(fields, field.split('.'), read(`--${flag}`, given));
    }
    const instead = deprecationOf(flag);
    if (instead !== undefined) deprecated.push([`--${flag}`, instead]);
  }
  const own = Object.keys(ownFlags).flatMap((flag) => {
    const value = options[camelCase(flag)];
    return value === undefined ? [] : [[camelCase(flag), String(value)]];
  });
  const unused = passedOver.filter((flag) => options[camelCase(flag)] !== undefined);
  const { v } = options;
  return {
    ...Object.fromEntries(own),
    ...(typeof v === 'string' ? { v } : {}),
    fields,
    deprecated,
    unused,
  };
}

interface Fields {
  [name: string]: unknown;
}

function setBelow(fields: Fields, [name = '', ...rest]: readonly string[], value: unknown): void {
  if (rest.length === 0) {
    fields[name] = value;
    return;
  }
  // Only this function puts anything below.
  const below = (fields[name] as Fields | undefined) ?? {};
  setBelow(below, rest, value);
  fields[name] = below;
}

function camelCase(flag: string): string {
  return flag.replaceAll(/-(\w)/g, (_all, letter: string) => letter.toUpperCase());
}

/** Upstream takes `--node_ip` for `--node-ip`. Pure; for the arguments of the kubelet only. */
export function withDashes(args: readonly string[]): readonly string[] {
  return args.map((arg) => {
    const [, flag = '', rest = ''] = /^(--[\w-]+)(=.*)?$/s.exec(arg) ?? [];
    return flag === '' ? arg : flag.replaceAll('_', '-') + rest;
  });
}
