/**
 * The Service `kube-system/kube-dns` and the EndpointSlices behind it. The DNS server is a role of
 * every node's process, so the Service has no selector; when DNS moves into pods, only this file
 * goes away.
 *
 * A node says by an annotation of its Node that it answers, and on which port (`tellDnsPort`, run
 * in the node's process). `runClusterDns`, beside the controllers, keeps a slice for each port,
 * with the nodes that are heard of. Each endpoint is meant for its own node: names are answered
 * where they are asked, also while the server is away.
 */
import { isIPv4 } from 'node:net';
import type { Client, Informers } from '#client';
import type { Clock } from '#kit/clock.ts';
import type { Logger } from '#kit/log.ts';
import { Wake } from '#kit/wake.ts';
import { endpointSlices, nodes, services } from '#resources/kinds.ts';
import type { Node, Service } from '#resources/types/core-v1.ts';
import type { EndpointSlice } from '#resources/types/discovery-v1.ts';
import { ensureObject } from './ensure-object.ts';

export const dnsPortAnnotation = 'node.coracle.dev/dns-port';

const limits = { retryMs: 1_000, lookMs: 300_000 } as const;

const at = { namespace: 'kube-system', name: 'kube-dns' } as const;
/** Where the nodes are that answer on this port. */
export function dnsSlicePath(port: number): string {
  const { namespace, name } = at;
  return `/apis/discovery.k8s.io/v1/namespaces/${namespace}/endpointslices/${name}-${port}`;
}

const sliceLabels = {
  'kubernetes.io/service-name': at.name,
  'endpointslice.kubernetes.io/managed-by': 'coracle',
} as const;
const usualPort = 10_053;

interface Deps {
  readonly client: Client;
  readonly informers: Informers;
  readonly clock: Clock;
  readonly log: Logger;
}

/** Until the signal aborts. Without any node that answers there is no Service. */
export async function runClusterDns(
  { client, informers, clock, log }: Deps,
  { clusterIP, signal }: { readonly clusterIP: string; readonly signal: AbortSignal },
): Promise<void> {
  const all = informers.of(nodes);
  const wake = new Wake(clock);
  const changed = (): void => wake.now();
  all.addHandler({ onAdd: changed, onUpdate: changed, onDelete: changed });
  await all.synced({ signal });
  let written = '';
  for (;;) {
    const slices = planDnsSlices(all.list());
    const text = JSON.stringify(slices);
    try {
      if (text !== written && (slices.length > 0 || written !== '')) {
        await ensureObject(client, services, dnsService(clusterIP), signal);
        await writeSlices(client, slices, signal);
        written = text;
      }
      await wake.sleep(limits.lookMs, signal);
    } catch (error) {
      signal.throwIfAborted();
      log.warn('cluster DNS is not told of yet', { error });
      await clock.sleep(limits.retryMs, { signal });
    }
  }
}

/** One for each port that nodes answer on, in the order of the ports. Pure. */
export function planDnsSlices(all: Iterable<Node>): readonly EndpointSlice[] {
  const byPort = new Map<number, Node[]>();
  for (const node of all) {
    const port = Number(node.metadata.annotations?.[dnsPortAnnotation] ?? 0);
    if (!Number.isInteger(port) || port < 1 || port > 65_535) continue;
    if (addressOf(node) === undefined) continue;
    byPort.set(port, [...(byPort.get(port) ?? []), node]);
  }
  return [...byPort.keys()]
    .sort((a, b) => a - b)
    .map((port) => slice(port, byPort.get(port) ?? []));
}

function slice(port: number, members: readonly Node[]): EndpointSlice {
  const ordered = members.toSorted((a, b) => (nameOf(a) < nameOf(b) ? -1 : 1));
  return {
    apiVersion: 'discovery.k8s.io/v1',
    kind: 'EndpointSlice',
    metadata: { namespace: at.namespace, name: `${at.name}-${port}`, labels: sliceLabels },
    addressType: 'IPv4',
    endpoints: ordered.map((node) => ({
      addresses: [addressOf(node) ?? ''],
      nodeName: nameOf(node),
      conditions: { ready: isHeardOf(node) },
      hints: { forNodes: [{ name: nameOf(node) }] },
    })),
    ports: [
      { name: 'dns', port, protocol: 'UDP' },
      { name: 'dns-tcp', port, protocol: 'TCP' },
    ],
  };
}

function nameOf({ metadata }: Node): string {
  return metadata.name ?? '';
}

function addressOf({ status }: Node): string | undefined {
  const isOwn = ({ type, address }: { readonly type: string; readonly address: string }): boolean =>
    type === 'InternalIP' && isIPv4(address);
  return status?.addresses?.find(isOwn)?.address;
}

/** Its DNS answers also while its pods cannot start yet. */
function isHeardOf({ status }: Node): boolean {
  return status?.conditions?.find(({ type }) => type === 'Ready')?.status !== 'Unknown';
}

async function writeSlices(
  client: Client,
  wanted: readonly EndpointSlice[],
  signal: AbortSignal,
): Promise<void> {
  for (const each of wanted) await ensureObject(client, endpointSlices, each, signal);
  const labelSelector = Object.entries(sliceLabels)
    .map(([label, value]) => `${label}=${value}`)
    .join(',');
  const { namespace } = at;
  const { items } = await client.list(endpointSlices, { namespace, labelSelector, signal });
  const names = new Set(wanted.map(({ metadata }) => metadata.name));
  for (const { metadata } of items) {
    const { name = '' } = metadata;
    if (!names.has(name)) await client.delete(endpointSlices, { namespace, name }, { signal });
  }
}

function dnsService(clusterIP: string): Service {
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
      clusterIP,
      ports: [
        { name: 'dns', port: 53, protocol: 'UDP', targetPort: usualPort },
        { name: 'dns-tcp', port: 53, protocol: 'TCP', targetPort: usualPort },
      ],
      trafficDistribution: 'PreferSameNode',
    },
  };
}

/** Keeps the annotation on this node's Node, also when that is made anew. */
export async function tellDnsPort(
  { client, informers, clock, log }: Deps,
  options: { readonly nodeName: string; readonly port: number; readonly signal: AbortSignal },
): Promise<void> {
  const { nodeName, port, signal } = options;
  const own = informers.of(nodes, { fieldSelector: `metadata.name=${nodeName}` });
  const wake = new Wake(clock);
  const changed = (): void => wake.now();
  own.addHandler({ onAdd: changed, onUpdate: changed });
  const annotations = { [dnsPortAnnotation]: String(port) };
  for (;;) {
    const node = own.get(nodeName);
    const told = node?.metadata.annotations?.[dnsPortAnnotation];
    try {
      if (node !== undefined && told !== String(port)) {
        const change = { metadata: { annotations } };
        await client.patch(nodes, { name: nodeName }, change, { type: 'merge', signal });
      }
      await wake.sleep(limits.lookMs, signal);
    } catch (error) {
      signal.throwIfAborted();
      log.warn('the port of DNS is not told yet', { error });
      await clock.sleep(limits.retryMs, { signal });
    }
  }
}
