/**
 * The Service `kube-system/kube-dns` and the EndpointSlice behind it. The DNS server is a role of
 * the node process, so the Service has no selector; when DNS moves into pods, only this file goes
 * away.
 */
import { isReason } from '#api/errors.ts';
import type { KindOf } from '#api/kind-of.ts';
import type { KubeObject } from '#api/object.ts';
import type { Client } from '#client';
import type { Clock } from '#kit/clock.ts';
import type { Logger } from '#kit/log.ts';
import { endpointSlices, services } from '#resources/kinds.ts';
import type { Service } from '#resources/types/core-v1.ts';
import type { EndpointSlice } from '#resources/types/discovery-v1.ts';

interface Options {
  readonly clusterIP: string;
  readonly nodeIP: string;
  readonly port: number;
  readonly signal: AbortSignal;
}

const retryDelayMs = 1_000;
const at = { namespace: 'kube-system', name: 'kube-dns' } as const;

/** Creates or corrects both objects; tries again until it has worked. */
export async function ensureClusterDns(
  deps: { readonly client: Client; readonly clock: Clock; readonly log: Logger },
  options: Options,
): Promise<void> {
  for (;;) {
    try {
      await ensure(deps.client, services, dnsService(options), options.signal);
      await ensure(deps.client, endpointSlices, dnsEndpoints(options), options.signal);
      return;
    } catch (error) {
      options.signal.throwIfAborted();
      deps.log.warn('cluster DNS service not written yet', { error });
      await deps.clock.sleep(retryDelayMs, { signal: options.signal });
    }
  }
}

async function ensure<T extends KubeObject>(
  client: Client,
  kind: KindOf<T>,
  wanted: T,
  signal: AbortSignal,
): Promise<void> {
  try {
    await client.create(kind, wanted, { signal });
  } catch (error) {
    if (!isReason(error, 'AlreadyExists')) throw error;
    const { metadata: _, kind: _kind, apiVersion: _version, ...content } = wanted;
    await client.patch(kind, at, content, { type: 'merge', signal });
  }
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
