/**
 * The settings of a cluster, read once from the command line and a YAML file of the same names,
 * with every default explicit. Nothing below this reads flags or environment.
 */
import { homedir } from 'node:os';
import { join, resolve } from 'node:path';
import { type RuntimeConfig, readRuntimeConfig } from '#api/runtime-config.ts';
import { parseDuration } from '#kit/duration.ts';
import type { Level } from '#kit/log.ts';
import { ConfigError } from './config-error.ts';
import { type FlagTexts, isOn } from './flag-values.ts';
import { type ImageSources, imageSources } from './image-sources.ts';
import { parseOwnNodeIPs } from './node-ips.ts';
import { readServerSettings, type ServerSettings } from './server-settings.ts';
import { verbosityOf } from './verbosity.ts';

export interface ClusterConfig {
  readonly dataDir: string;
  /** Absent: what the cluster kept, or 6443. */
  readonly apiPort: number | undefined;
  readonly bindAddress: string;
  readonly store: 'sqlite' | 'memory';
  readonly node: 'containerd' | 'hollow' | 'none';
  /** Hollow nodes to run; a containerd cluster has one node. */
  readonly nodes: number;
  readonly nodeName: string | undefined;
  readonly nodeIP: string | undefined;
  /** Of IPv6, beside it. */
  readonly secondNodeIP: string | undefined;
  readonly clusterCIDR: string | undefined;
  readonly serviceCIDR: string | undefined;
  /** Inclusive; absent: what the cluster kept, or a range that no other cluster here has. */
  readonly nodePortRange: { readonly first: number; readonly last: number } | undefined;
  readonly tlsSAN: readonly string[];
  /** Merge a context into the user's kubeconfig. */
  readonly kubeconfig: boolean;
  /** Leave the pods running when the cluster stops. */
  readonly leavePods: boolean;
  /** Group versions and resources that are switched on and off. */
  readonly runtimeConfig: RuntimeConfig;
  /** What upstream's own flags of the API server say. */
  readonly server: ServerSettings;
  /** Folders whose `*.tar` images are loaded at start. */
  readonly imageDirs: readonly string[];
  readonly logLevel: Level;
  readonly logsRequests: boolean;
  /** Instead of into files of the data dir. */
  readonly logToStderr: boolean;
  /** File with a `KubeletConfiguration`. */
  readonly kubeletConfig: string | undefined;
  /** File with a `KubeSchedulerConfiguration`. */
  readonly schedulerConfig: string | undefined;
  /** The controllers take a Lease before they begin, so that others may wait. */
  readonly leaderElect: boolean;
  /** Between two copies of the store in the data dir; 0 for none. */
  readonly backupIntervalMs: number;
  readonly backupKeep: number;
  /** How long the server goes on serving, not ready any more, before it closes. */
  readonly shutdownDelayMs: number;
  /** Where the node's images come from, and with which logins. */
  readonly images: ImageSources;
  /** What is encrypted at rest, by a file; looked at again while the cluster runs, or not. */
  readonly encryption: { readonly file: string; readonly reload: boolean } | undefined;
}

/** As the command line gives them: names in camel case, unset where the user said nothing. */
export interface Flags {
  readonly dataDir?: string;
  readonly apiPort?: string;
  readonly bindAddress?: string;
  readonly store?: string;
  readonly node?: string;
  readonly nodes?: string;
  readonly nodeName?: string;
  readonly nodeIp?: string;
  readonly clusterCidr?: string;
  readonly serviceCidr?: string;
  readonly serviceNodePortRange?: string;
  readonly tlsSan?: readonly string[];
  readonly kubeconfig?: boolean;
  readonly leavePods?: boolean;
  readonly leaderElect?: boolean;
  readonly runtimeConfig?: string;
  readonly images?: readonly string[];
  readonly v?: string;
  readonly logtostderr?: string | true;
  readonly backupInterval?: string;
  readonly backupKeep?: string;
  readonly shutdownDelayDuration?: string;
  readonly kubeletConfig?: string;
  readonly schedulerConfig?: string;
  readonly privateRegistry?: string;
  readonly imageCredentialProviderConfig?: string;
  readonly imageCredentialProviderBinDir?: string;
  readonly encryptionProviderConfig?: string;
  readonly experimentalEncryptionProviderConfig?: string;
  readonly encryptionProviderConfigAutomaticReload?: string | true;
}

export interface Machine {
  readonly isRoot: boolean;
  readonly platform: string;
  /** Programs that a containerd node needs and that are not here. */
  readonly missing: readonly string[];
}

const durationMsMax = 366 * 24 * 3_600_000;
const backupIntervalMsMin = 60_000;

export { ConfigError };

export function defaultDataDir(isRoot: boolean): string {
  return isRoot ? '/var/lib/coracle' : join(homedir(), '.local/share/coracle');
}

export function readConfig(flags: Flags, machine: Machine): ClusterConfig {
  const node = flags.node ?? (canRunContainers(machine) ? 'containerd' : 'hollow');
  if (node !== 'containerd' && node !== 'hollow' && node !== 'none') {
    throw new ConfigError(`--node ${node}: must be containerd, hollow or none`);
  }
  if (node === 'containerd' && !canRunContainers(machine)) {
    throw new ConfigError(`--node containerd: ${whyNoContainers(machine)}; --node hollow works`);
  }
  const store = flags.store ?? 'sqlite';
  if (store !== 'sqlite' && store !== 'memory') {
    throw new ConfigError(`--store ${store}: must be sqlite or memory`);
  }
  const server = readServerSettings(textsOf(flags));
  const nodes = flags.nodes === undefined ? 1 : integer('--nodes', flags.nodes, 1, 10_000);
  if (node === 'containerd' && nodes !== 1) {
    throw new ConfigError(`--nodes ${nodes}: one containerd node; several need --node hollow`);
  }
  return {
    dataDir: resolve(flags.dataDir ?? defaultDataDir(machine.isRoot)),
    apiPort: apiPort(flags, server),
    bindAddress: flags.bindAddress ?? '0.0.0.0',
    store,
    node,
    nodes,
    nodeName: flags.nodeName,
    ...parseOwnNodeIPs(flags.nodeIp),
    clusterCIDR: flags.clusterCidr,
    serviceCIDR: flags.serviceCidr ?? server.serviceRange,
    nodePortRange: portRange(flags.serviceNodePortRange),
    tlsSAN: flags.tlsSan ?? [],
    kubeconfig: flags.kubeconfig ?? true,
    leavePods: flags.leavePods ?? false,
    leaderElect: flags.leaderElect ?? false,
    runtimeConfig: runtimeConfig(flags.runtimeConfig ?? ''),
    server,
    imageDirs: flags.images ?? [],
    ...verbosityOf(flags.v),
    logToStderr: isOn('--logtostderr', flags.logtostderr),
    kubeletConfig: flags.kubeletConfig === undefined ? undefined : resolve(flags.kubeletConfig),
    schedulerConfig:
      flags.schedulerConfig === undefined ? undefined : resolve(flags.schedulerConfig),
    backupIntervalMs: backupInterval(flags.backupInterval ?? '24h'),
    backupKeep: integer('--backup-keep', flags.backupKeep ?? '7', 1, 1000),
    shutdownDelayMs: duration('--shutdown-delay-duration', flags.shutdownDelayDuration ?? '0s'),
    images: imageSources(flags),
    encryption: encryption(flags),
  };
}

export function canRunContainers(machine: Machine): boolean {
  return machine.isRoot && machine.platform === 'linux' && machine.missing.length === 0;
}

/** Why this machine runs hollow nodes, as one sentence without a full stop. */
export function whyNoContainers(machine: Machine): string {
  if (machine.platform !== 'linux') return `containers need Linux, this is ${machine.platform}`;
  if (!machine.isRoot) return 'containers need root';
  return `not installed: ${machine.missing.join(', ')}`;
}

function apiPort(flags: Flags, { securePort }: ServerSettings): number | undefined {
  if (flags.apiPort === undefined) return securePort;
  return integer('--api-port', flags.apiPort, 1, 65535);
}

/** Flags that are one text: those of the API server are such. */
function textsOf(flags: Flags): FlagTexts {
  const texts = Object.entries(flags).filter(
    ([, value]) => typeof value === 'string' || value === true,
  );
  return Object.fromEntries(texts);
}

function encryption(flags: Flags): ClusterConfig['encryption'] {
  const file = flags.encryptionProviderConfig ?? flags.experimentalEncryptionProviderConfig;
  const flag = '--encryption-provider-config-automatic-reload';
  const reload = isOn(flag, flags.encryptionProviderConfigAutomaticReload);
  if (file !== undefined) return { file: resolve(file), reload };
  if (reload) throw new ConfigError(`${flag} must be set with --encryption-provider-config`);
  return undefined;
}

function portRange(text: string | undefined): ClusterConfig['nodePortRange'] {
  if (text === undefined) return undefined;
  const [first, last] = text.split('-').map(Number);
  if (
    first === undefined ||
    last === undefined ||
    !(first >= 1 && first <= last && last <= 65535)
  ) {
    throw new ConfigError(`--service-node-port-range ${text}: must be two ports, as 30000-32767`);
  }
  return { first, last };
}

function runtimeConfig(text: string): RuntimeConfig {
  const read = readRuntimeConfig(text);
  if (read.ok) return read.config;
  throw new ConfigError(`--runtime-config ${text}: ${read.problem}`);
}

function duration(flag: string, text: string): number {
  const value = parseDuration(text);
  if (value !== undefined && value >= 0 && value <= durationMsMax) return value;
  throw new ConfigError(`${flag} ${text}: must be a duration, as 30s or 24h`);
}

function backupInterval(text: string): number {
  const value = duration('--backup-interval', text);
  if (value === 0 || value >= backupIntervalMsMin) return value;
  throw new ConfigError(`--backup-interval ${text}: must be 0 or at least 1m`);
}

function integer(flag: string, text: string, min: number, max: number): number {
  const value = Number(text);
  if (Number.isInteger(value) && value >= min && value <= max) return value;
  throw new ConfigError(`${flag} ${text}: must be a whole number from ${min} to ${max}`);
}
