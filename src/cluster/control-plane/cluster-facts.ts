/**
 * What a cluster says to nodes that join, in two ConfigMaps. `kube-public/cluster-info`, which
 * anybody may read, has the authority, and is signed with every bootstrap token (by the controller
 * `bootstrap-signer-controller`); `kube-system/coracle-config`, which nodes may read, has what a
 * node must know of the cluster. The server writes both when it starts, and the Secret of its own
 * token; `join.ts` reads them.
 */
import type { Client } from '#client';
import type { Clock } from '#kit/clock.ts';
import type { Logger } from '#kit/log.ts';
import { configMaps, secrets } from '#resources/kinds.ts';
import type { ConfigMap } from '#resources/types/core-v1.ts';
import { type JoinToken, tokenSecret } from '../credentials/join-token.ts';
import { ensureObject, insist } from './ensure-object.ts';

/** What every node of a cluster has to know. */
export interface ClusterFacts {
  readonly clusterCIDR: string;
  /** Of IPv6, where pods have addresses of both families. */
  readonly secondClusterCIDR?: string | undefined;
  readonly serviceCIDR: string;
  readonly clusterDNS: string;
  readonly clusterDomain: string;
}

export const clusterInfo = { namespace: 'kube-public', name: 'cluster-info' } as const;
const clusterConfig = { namespace: 'kube-system', name: 'coracle-config' } as const;

/** Runs until all is written. */
export async function publishCluster(
  deps: { readonly client: Client; readonly clock: Clock; readonly log: Logger },
  options: {
    readonly server: string;
    readonly caCert: string;
    readonly token: JoinToken;
    readonly facts: ClusterFacts;
    readonly signal: AbortSignal;
  },
): Promise<void> {
  const { signal, token } = options;
  const write = async (): Promise<void> => {
    const secret = tokenSecret(token, { description: 'The token of <data-dir>/server/token.' });
    await ensureObject(deps.client, secrets, secret, signal);
    const kubeconfig = publicKubeconfig(options.server, options.caCert);
    const info = configMap(clusterInfo, { kubeconfig });
    await ensureObject(deps.client, configMaps, info, signal);
    const config = configMap(clusterConfig, formatFacts(options.facts));
    await ensureObject(deps.client, configMaps, config, signal);
  };
  await insist(deps, 'what nodes need to join', write, signal);
}

export async function readClusterFacts(
  client: Client,
  { signal }: { readonly signal: AbortSignal },
): Promise<ClusterFacts> {
  const { data = {} } = await client.get(configMaps, clusterConfig, { signal });
  const text = (key: keyof ClusterFacts): string => {
    const value = data[key];
    if (value !== undefined) return value;
    throw new Error(`ConfigMap ${clusterConfig.namespace}/${clusterConfig.name} has no ${key}`);
  };
  const { secondClusterCIDR } = data;
  return {
    ...(secondClusterCIDR === undefined ? {} : { secondClusterCIDR }),
    clusterCIDR: text('clusterCIDR'),
    serviceCIDR: text('serviceCIDR'),
    clusterDNS: text('clusterDNS'),
    clusterDomain: text('clusterDomain'),
  };
}

function formatFacts({
  secondClusterCIDR,
  ...facts
}: ClusterFacts): Readonly<Record<string, string>> {
  return secondClusterCIDR === undefined ? facts : { ...facts, secondClusterCIDR };
}

function configMap(
  metadata: { readonly namespace: string; readonly name: string },
  data: Readonly<Record<string, string>>,
): ConfigMap {
  return { apiVersion: 'v1', kind: 'ConfigMap', metadata, data };
}

/** Server and authority, and no user: as kubeadm's. */
function publicKubeconfig(server: string, caCert: string): string {
  return `apiVersion: v1
kind: Config
clusters:
- cluster:
    certificate-authority-data: ${Buffer.from(caCert).toString('base64')}
    server: ${server}
  name: ""
contexts: null
current-context: ""
users: null
`;
}
