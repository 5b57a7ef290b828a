/**
 * What `coracle agent` was told, as one value with every default explicit; whatever cannot be used
 * is refused with a line that names the flag. `main.ts` reads, `agent.ts` performs.
 */
import { hostname } from 'node:os';
import { resolve } from 'node:path';
import type { Level } from '#kit/log.ts';
import { type JoinToken, parseJoinToken } from '../credentials/join-token.ts';
import { ConfigError, canRunContainers, type Machine, whyNoContainers } from './config.ts';
import { isOn } from './flag-values.ts';
import { type ImageSources, imageSources } from './image-sources.ts';
import { parseOwnNodeIPs } from './node-ips.ts';
import { verbosityOf } from './verbosity.ts';

/** As the command line gives them. */
export interface AgentFlags {
  readonly server?: string;
  readonly token?: string;
  readonly dataDir?: string;
  readonly nodeName?: string;
  readonly nodeIp?: string;
  readonly images?: readonly string[];
  readonly kubeletConfig?: string;
  readonly leavePods?: boolean;
  readonly v?: string;
  readonly logtostderr?: string | true;
  readonly privateRegistry?: string;
  readonly imageCredentialProviderConfig?: string;
  readonly imageCredentialProviderBinDir?: string;
}

export interface AgentConfig {
  /** `https://HOST:PORT`. */
  readonly server: string;
  /** Not needed any more once the node has a certificate. */
  readonly token: JoinToken | undefined;
  readonly dataDir: string;
  readonly nodeName: string;
  /** Default: the address towards the server. */
  readonly nodeIP: string | undefined;
  /** Of IPv6, beside it. */
  readonly secondNodeIP: string | undefined;
  readonly imageDirs: readonly string[];
  readonly images: ImageSources;
  /** File with a `KubeletConfiguration`. */
  readonly kubeletConfig: string | undefined;
  readonly leavePods: boolean;
  readonly logLevel: Level;
  readonly logsRequests: boolean;
  /** Instead of into files of the data dir. */
  readonly logToStderr: boolean;
}

const defaultDataDir = '/var/lib/coracle-agent';

export function readAgentConfig(flags: AgentFlags, machine: Machine): AgentConfig {
  if (!canRunContainers(machine)) throw new ConfigError(`agent: ${whyNoContainers(machine)}`);
  return {
    server: serverOf(flags.server),
    token: flags.token === undefined ? undefined : parseJoinToken(flags.token),
    dataDir: resolve(flags.dataDir ?? defaultDataDir),
    nodeName: (flags.nodeName ?? hostname()).toLowerCase(),
    ...parseOwnNodeIPs(flags.nodeIp),
    imageDirs: flags.images ?? [],
    images: imageSources(flags),
    kubeletConfig: flags.kubeletConfig === undefined ? undefined : resolve(flags.kubeletConfig),
    leavePods: flags.leavePods ?? false,
    ...verbosityOf(flags.v),
    logToStderr: isOn('--logtostderr', flags.logtostderr),
  };
}

function serverOf(text: string | undefined): string {
  if (text === undefined) throw new ConfigError('--server: needed, as https://10.0.0.1:6443');
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (url?.protocol !== 'https:') {
    throw new ConfigError(`--server ${text}: must be an address as https://10.0.0.1:6443`);
  }
  return url.origin;
}
