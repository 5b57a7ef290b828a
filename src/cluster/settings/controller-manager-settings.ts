/**
 * From upstream's flags of kube-controller-manager to what our controllers run with. What cannot be
 * used is refused, in upstream's words where it has some.
 *
 * Used by `controller-manager-command.ts`; the flags are in `controller-manager-flags.ts`.
 */
import type { HttpTransportOptions } from '#client';
import {
  type ControllersSettings,
  controllerNames,
  defaultSettings,
  isEnabled,
} from '#controllers';
import { parseNetwork, widths } from '#kit/ip-network.ts';
import type { Level, LogFormat } from '#kit/log.ts';
import type { KeyPair } from '#kit/x509.ts';
import { parseYaml } from '#kit/yaml.ts';
import type { Pod } from '#resources/types/core-v1.ts';
import { componentAccess, type Environment, readText } from './component-access.ts';
import { ConfigError } from './config.ts';
import { controllerManagerFlags } from './controller-manager-flags.ts';
import { absentControllers, todaysName } from './controller-names.ts';
import { type FlagTexts, FlagValues } from './flag-values.ts';
import { logFormatOf, verbosityOf } from './verbosity.ts';

export interface ControllerManagerSettings {
  readonly access: HttpTransportOptions;
  readonly controllers: ControllersSettings;
  /** Undefined: nodes are given no addresses. */
  readonly clusterCIDR: string | undefined;
  readonly rootCA: string;
  readonly issuer: KeyPair | undefined;
  readonly election: {
    readonly enabled: boolean;
    readonly name: string;
    readonly namespace: string;
    readonly leaseMs: number;
    readonly renewDeadlineMs: number;
    readonly retryMs: number;
  };
  readonly serving: {
    readonly address: string;
    /** 0: no port. */
    readonly port: number;
    readonly pair: KeyPair | undefined;
    /** PEM of who signs certificates of clients. */
    readonly clientCA: string | undefined;
    /** Paths that anybody may read. */
    readonly openPaths: readonly string[];
  };
  readonly logLevel: Level;
  readonly logsRequests: boolean;
  readonly logFormat: LogFormat;
  /** Flags that were given and change nothing here. */
  readonly idle: readonly string[];
}

export function readControllerManagerSettings(
  texts: FlagTexts,
  environment: Environment,
): ControllerManagerSettings {
  const values = new FlagValues(controllerManagerFlags, texts);
  const provider = values.text('cloud-provider') ?? 'external';
  if (provider !== 'external') {
    throw new ConfigError(
      `cloud provider "${provider}" was specified, but built-in cloud providers are disabled. ` +
        'Please set --cloud-provider=external and migrate to an external cloud provider',
    );
  }
  const master = values.text('master');
  const kubeconfig = values.text('kubeconfig');
  const access = componentAccess(
    { kubeconfig, ...(master === undefined ? {} : { master }) },
    environment,
  );
  const rootFile = values.text('root-ca-file');
  const { v } = texts;
  const settings = {
    access,
    controllers: readControllers(values),
    clusterCIDR:
      values.boolean('allocate-node-cidrs') === true ? readClusterCIDR(values) : undefined,
    rootCA: rootFile === undefined ? (access.ca ?? '') : readText('--root-ca-file', rootFile),
    issuer: readPair(values, 'cluster-signing'),
    election: readElection(values),
    serving: readServing(values),
    ...verbosityOf(v),
    logFormat: logFormatOf(values.text('logging-format')),
  } as const;
  // Read last: by now everything that means something has been asked for.
  return { ...settings, idle: values.unread };
}

/** Flag → the controller that works on so many keys at a time. */
const concurrency: Readonly<Record<string, string>> = {
  'concurrent-cron-job-syncs': 'cronjob-controller',
  'concurrent-daemonset-syncs': 'daemonset-controller',
  'concurrent-deployment-syncs': 'deployment-controller',
  'concurrent-device-taint-eviction-syncs': 'device-taint-eviction-controller',
  'concurrent-endpoint-syncs': 'endpoints-controller',
  'concurrent-ephemeralvolume-syncs': 'ephemeral-volume-controller',
  'concurrent-gc-syncs': 'garbage-collector-controller',
  'concurrent-horizontal-pod-autoscaler-syncs': 'horizontal-pod-autoscaler-controller',
  'concurrent-job-syncs': 'job-controller',
  'concurrent-namespace-syncs': 'namespace-controller',
  'concurrent-rc-syncs': 'replicationcontroller-controller',
  'concurrent-replicaset-syncs': 'replicaset-controller',
  'concurrent-resource-quota-syncs': 'resourcequota-controller',
  'concurrent-resourceclaim-syncs': 'resourceclaim-controller',
  'concurrent-service-endpoint-syncs': 'endpointslice-controller',
  'concurrent-serviceaccount-token-syncs': 'serviceaccount-token-controller',
  'concurrent-statefulset-syncs': 'statefulset-controller',
  'concurrent-ttl-after-finished-syncs': 'ttl-after-finished-controller',
  'concurrent-validating-admission-policy-status-syncs':
    'validatingadmissionpolicy-status-controller',
  'mirroring-concurrent-service-endpoint-syncs': 'endpointslice-mirroring-controller',
};

const batches: Readonly<Record<string, string>> = {
  'endpoint-updates-batch-period': 'endpoints-controller',
  'endpointslice-updates-batch-period': 'endpointslice-controller',
  'mirroring-endpointslice-updates-batch-period': 'endpointslice-mirroring-controller',
};

function readControllers(values: FlagValues): ControllersSettings {
  const before = defaultSettings;
  const between = (flag: string, [least, most]: readonly [number, number]): number | undefined => {
    const number = values.number(flag);
    if (number === undefined) return undefined;
    if (number < least)
      throw new ConfigError(`${flag} must not be less than ${least}, but got ${number}`);
    if (number > most)
      throw new ConfigError(`${flag} must not be more than ${most}, but got ${number}`);
    return number;
  };
  const serviceRange = values.text('service-cluster-ip-range')?.split(',')[0];
  return {
    controllers: readChosen(values),
    workers: readWorkers(values),
    batchMs: Object.fromEntries(
      Object.entries(batches).map(([flag, name]) => [name, values.durationMs(flag) ?? 0]),
    ),
    health: readHealth(values),
    autoscaling: readAutoscaling(values),
    recycling: readRecycling(values),
    hostPathProvisioner:
      values.boolean('enable-hostpath-provisioner') ?? before.hostPathProvisioner,
    terminatedPodsMax: values.number('terminated-pod-gc-threshold') ?? before.terminatedPodsMax,
    quotaResyncMs: values.durationMs('resource-quota-sync-period') ?? before.quotaResyncMs,
    unusedTokenMs:
      values.durationMs('legacy-service-account-token-clean-up-period') ?? before.unusedTokenMs,
    certificateMs: values.durationMs('cluster-signing-duration') ?? before.certificateMs,
    issuers: readIssuers(values),
    endpointsPerSlice: between('max-endpoints-per-slice', [1, 1000]) ?? before.endpointsPerSlice,
    mirroredPerSubset:
      between('mirroring-max-endpoints-per-subset', [1, 1000]) ?? before.mirroredPerSubset,
    nodeMaskSize:
      values.number('node-cidr-mask-size') ??
      values.number('node-cidr-mask-size-ipv4') ??
      before.nodeMaskSize,
    nodeMaskSize6:
      values.number('node-cidr-mask-size') ??
      values.number('node-cidr-mask-size-ipv6') ??
      before.nodeMaskSize6,
    serviceCIDR: serviceRange === '' ? undefined : serviceRange,
  };
}

function readChosen(values: FlagValues): readonly string[] {
  const chosen = (values.list('controllers') ?? ['*']).map(todaysName);
  for (const one of chosen) {
    const name = one.replace(/^-/, '');
    if (name === '*' || controllerNames.includes(name) || absentControllers.includes(name))
      continue;
    throw new ConfigError(`"${name}" is not in the list of known controllers`);
  }
  const collects = values.boolean('enable-garbage-collector') ?? true;
  // Without a key there are no Secrets with tokens, as upstream.
  const keyFile = values.text('service-account-private-key-file');
  if (keyFile !== undefined) readText('--service-account-private-key-file', keyFile);
  const off = [
    ...(collects ? [] : ['garbage-collector-controller']),
    ...(keyFile === undefined ? ['serviceaccount-token-controller'] : []),
  ];
  return [...chosen.filter((name) => !off.includes(name)), ...off.map((name) => `-${name}`)];
}

function readWorkers(values: FlagValues): Readonly<Record<string, number>> {
  const workers: Record<string, number> = {};
  for (const [flag, controller] of Object.entries(concurrency)) {
    const number = values.number(flag);
    if (number === undefined) continue;
    if (number < 1) throw new ConfigError(`${flag} must be greater than 0, but got ${number}`);
    workers[controller] = number;
  }
  return workers;
}

function readHealth(values: FlagValues): ControllersSettings['health'] {
  const before = defaultSettings.health;
  const periodMs = (flag: string): number | undefined => {
    const perSecond = values.number(flag);
    return perSecond === undefined ? undefined : perSecond <= 0 ? Infinity : 1000 / perSecond;
  };
  return {
    graceMs: values.durationMs('node-monitor-grace-period') ?? before.graceMs,
    startupGraceMs: values.durationMs('node-startup-grace-period') ?? before.startupGraceMs,
    monitorPeriodMs: values.durationMs('node-monitor-period') ?? before.monitorPeriodMs,
    evictionPeriodMs: periodMs('node-eviction-rate') ?? before.evictionPeriodMs,
    slowEvictionPeriodMs: periodMs('secondary-node-eviction-rate') ?? before.slowEvictionPeriodMs,
    unhealthyShare: values.number('unhealthy-zone-threshold') ?? before.unhealthyShare,
    largeZoneNodes: values.number('large-cluster-size-threshold') ?? before.largeZoneNodes,
  };
}

function readAutoscaling(values: FlagValues): ControllersSettings['autoscaling'] {
  const before = defaultSettings.autoscaling;
  const ms = (what: string): number | undefined =>
    values.durationMs(`horizontal-pod-autoscaler-${what}`);
  return {
    syncPeriodMs: ms('sync-period') ?? before.syncPeriodMs,
    tolerance: values.number('horizontal-pod-autoscaler-tolerance') ?? before.tolerance,
    downStabilizationMs: ms('downscale-stabilization') ?? before.downStabilizationMs,
    cpuInitializationMs: ms('cpu-initialization-period') ?? before.cpuInitializationMs,
    initialReadinessMs: ms('initial-readiness-delay') ?? before.initialReadinessMs,
  };
}

function readRecycling(values: FlagValues): ControllersSettings['recycling'] {
  const { hostPath, nfs } = defaultSettings.recycling;
  const number = (flag: string): number | undefined => values.number(`pv-recycler-${flag}`);
  const template = (sort: string): Pod | undefined => {
    const path = values.text(`pv-recycler-pod-template-filepath-${sort}`);
    return path === undefined ? undefined : readTemplate(path);
  };
  return {
    hostPath: {
      secondsMin: number('minimum-timeout-hostpath') ?? hostPath.secondsMin,
      secondsPerGiB: number('timeout-increment-hostpath') ?? hostPath.secondsPerGiB,
      template: template('hostpath') ?? hostPath.template,
    },
    nfs: {
      secondsMin: number('minimum-timeout-nfs') ?? nfs.secondsMin,
      secondsPerGiB: number('increment-timeout-nfs') ?? nfs.secondsPerGiB,
      template: template('nfs') ?? nfs.template,
    },
  };
}

function readTemplate(path: string): Pod {
  const text = readText('pod specification', path);
  if (text === '') throw new ConfigError(`file was empty: ${path}`);
  // Parse boundary: the file is the operator's own, and the API server refuses what is no pod.
  const pod = parseYaml(text) as Partial<Pod> | null;
  if (pod?.kind !== 'Pod') throw new ConfigError(`failed decoding file: ${path} is no Pod`);
  if ((pod.spec?.volumes ?? []).length === 0) {
    throw new ConfigError(`pod specification (${path}): does not contain any volume(s)`);
  }
  return { ...pod, apiVersion: 'v1', kind: 'Pod', metadata: pod.metadata ?? {} };
}

/** `--<prefix>-cert-file` and `--<prefix>-key-file`. */
function readPair(values: FlagValues, prefix: string): KeyPair | undefined {
  const cert = values.text(`${prefix}-cert-file`);
  const key = values.text(`${prefix}-key-file`);
  if (cert === undefined && key === undefined) return undefined;
  if (cert === undefined) throw new ConfigError(`"${prefix}": cannot specify key without cert`);
  if (key === undefined) throw new ConfigError(`"${prefix}": cannot specify cert without key`);
  return {
    cert: readText(`--${prefix}-cert-file`, cert),
    key: readText(`--${prefix}-key-file`, key),
  };
}

function readIssuers(values: FlagValues): ControllersSettings['issuers'] {
  const signers = {
    'kube-apiserver-client': 'kubernetes.io/kube-apiserver-client',
    'kubelet-client': 'kubernetes.io/kube-apiserver-client-kubelet',
    'kubelet-serving': 'kubernetes.io/kubelet-serving',
    'legacy-unknown': 'kubernetes.io/legacy-unknown',
  } as const;
  const issuers = Object.entries(signers).flatMap(([flag, signer]) => {
    const pair = readPair(values, `cluster-signing-${flag}`);
    return pair === undefined ? [] : [[signer, pair] as const];
  });
  if (issuers.length > 0 && readPair(values, 'cluster-signing') !== undefined) {
    throw new ConfigError(
      'cannot specify --cluster-signing-{cert,key}-file and other ' +
        '--cluster-signing-*-file flags at the same time',
    );
  }
  return Object.fromEntries(issuers);
}

/** As upstream: no more than 65,536 blocks of IPv6. */
const blocksBitsMax = 16;

function readClusterCIDR(values: FlagValues): string {
  const text = values.text('cluster-cidr') ?? '';
  const ranges = text.split(',').map((range) => {
    const network = parseNetwork(range);
    if (network !== undefined) return { text: range, ...network };
    throw new ConfigError(`invalid CIDR address: ${range}: a range of IPv4 or IPv6 is needed`);
  });
  const single = values.number('node-cidr-mask-size');
  if (ranges.length > 1) {
    const isPair = ranges.length === 2 && ranges[0]?.family !== ranges[1]?.family;
    if (!isPair) {
      throw new ConfigError(`--cluster-cidr ${text}: two ranges are to be one of each family`);
    }
    if (single !== undefined) {
      throw new ConfigError(
        'usage of --node-cidr-mask-size is not allowed with dual-stack clusters',
      );
    }
  }
  for (const { text: range, family, bits } of ranges) {
    const own = values.number(`node-cidr-mask-size-${family.toLowerCase()}`);
    const mask = single ?? own ?? { IPv4: 24, IPv6: 64 }[family];
    if (mask < bits || mask > widths[family]) {
      throw new ConfigError(`node CIDR mask size /${mask} does not fit into ${range}`);
    }
    if (family === 'IPv6' && mask - bits > blocksBitsMax) {
      throw new ConfigError('New CIDR set failed; the node CIDR size is too big');
    }
  }
  return text;
}

function readElection(values: FlagValues): ControllerManagerSettings['election'] {
  const lock = values.text('leader-elect-resource-lock') ?? 'leases';
  if (lock !== 'leases') throw new ConfigError('resourceLock value must be "leases"');
  return {
    enabled: values.boolean('leader-elect') ?? true,
    name: values.text('leader-elect-resource-name') ?? 'kube-controller-manager',
    namespace: values.text('leader-elect-resource-namespace') ?? 'kube-system',
    leaseMs: values.durationMs('leader-elect-lease-duration') ?? 15_000,
    renewDeadlineMs: values.durationMs('leader-elect-renew-deadline') ?? 10_000,
    retryMs: values.durationMs('leader-elect-retry-period') ?? 2_000,
  };
}

function readServing(values: FlagValues): ControllerManagerSettings['serving'] {
  const port = values.number('secure-port') ?? 10_257;
  if (port < 0 || port > 65_535) {
    const range = 'must be between 0 and 65535, inclusive. 0 for turning off secure port';
    throw new ConfigError(`--secure-port ${port} ${range}`);
  }
  const clientCA = values.text('client-ca-file');
  const cert = values.text('tls-cert-file');
  const key = values.text('tls-private-key-file');
  const pair =
    cert === undefined || key === undefined
      ? undefined
      : { cert: readText('--tls-cert-file', cert), key: readText('--tls-private-key-file', key) };
  return {
    address: values.text('bind-address') ?? '0.0.0.0',
    port,
    pair,
    clientCA: clientCA === undefined ? undefined : readText('--client-ca-file', clientCA),
    openPaths: values.list('authorization-always-allow-paths') ?? ['/healthz', '/readyz', '/livez'],
  };
}

/** Chosen ones that are not there. */
export function absentAmong({ controllers }: ControllersSettings): readonly string[] {
  const onByDefault = false;
  return absentControllers.filter((name) => isEnabled(name, controllers, { onByDefault }));
}
