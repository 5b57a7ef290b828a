/**
 * The Service `kube-system/kube-dns` and the EndpointSlice behind it. The DNS server is a role of
 * the node process, so the Service has no selector; when DNS moves into pods, only this file goes
 * away.
 */
import type { Client } from '#client';
import type { Clock } from '#kit/clock.ts';
import type { Logger } from '#kit/log.ts';
import { endpointSlices, services } from '#resources/kinds.ts';
import type { Service } from '#resources/types/core-v1.ts';
import type { EndpointSlice } from '#resources/types/discovery-v1.ts';
import { ensureObject, insist } from './ensure-object.ts';

interface Options {
  readonly clusterIP: string;
  readonly nodeIP: string;
  readonly port: number;
  readonly signal: AbortSignal;
}

const at = { namespace: 'kube-system', name: 'kube-dns' } as const;

/** Creates or corrects both objects; tries again until it has worked. */
export async function ensureClusterDns(
  deps: { readonly client: Client; readonly clock: Clock; readonly log: Logger },
  options: Options,
): Promise<void> {
  const { client } = deps;
  const { signal } = options;
  const write = async (): Promise<void> => {
    await ensureObject(client, services, dnsService(options), signal);
    await ensureObject(client, endpointSlices, dnsEndpoints(options), signal);
  };
  await insist(deps, 'the Service of the cluster DNS', write, signal);
}

function dnsService(options: Options): Service {
  return {
    apiVersion: 'v1',
    kind: 'Service',
    metadata: {
      ...at,
      labels: {
        'k8s-app': 'kube-dns',
        'kubernetes.io/cluster-service': 'true',
        'kubernetes.io/name': 'CoreDNS',
      },
    },
    spec: {
      clusterIP: options.clusterIP,
      ports: [
        { name: 'dns', port: 53, protocol: 'UDP', targetPort: options.port },
        { name: 'dns-tcp', port: 53, protocol: 'TCP', targetPort: options.port },
      ],
    },
  };
}

function dnsEndpoints(options: Options): EndpointSlice {
  return {
    apiVersion: 'discovery.k8s.io/v1',
    kind: 'EndpointSlice',
    metadata: {
      ...at,
      labels: {
        'kubernetes.io/service-name': 'kube-dns',
        'endpointslice.kubernetes.io/managed-by': 'coracle',
      },
    },
    addressType: 'IPv4',
    endpoints: [{ addresses: [options.nodeIP], conditions: { ready: true } }],
    ports: [
      { name: 'dns', port: options.port, protocol: 'UDP' },
      { name: 'dns-tcp', port: options.port, protocol: 'TCP' },
    ],
  };
}
