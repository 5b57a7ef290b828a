/**
 * The pod network of one node: every pod has an address of its own, reachable from every other pod
 * and from the node, without bridges and without address translation inside the cluster.
 *
 *     runtime ──exec──► cni-plugin ◄──socket──► cni-server ──► cni-calls ──► address-pool (files)
 *                            └──► kernel                  pod-link (messages) ┘
 *
 * The node process runs this beside the kubelet. Pods never depend on it once they are connected:
 * their links, routes and rules live in the kernel. Service addresses are the proxy's business.
 */
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import type { Server } from 'node:net';
import path from 'node:path';
import { aborted } from '#kit/aborted.ts';
import { assert } from '#kit/assert.ts';
import type { Clock } from '#kit/clock.ts';
import { networksOverlap } from '#kit/ip-network.ts';
import type { Logger } from '#kit/log.ts';
import { type CommandResult, mustRun, runCommand } from '#kit/run-command.ts';
import { AddressPool, secondAddressOf } from './address-pool.ts';
import { removeCachedResults } from './cached-results.ts';
import { LinkCalls } from './cni-calls.ts';
import { cniPaths, writePlugin } from './cni-plugin.ts';
import { listenForCalls } from './cni-server.ts';
import { HostPorts } from './host-ports.ts';
import {
  formatPodTable,
  formatPodTable6,
  type NodeRoute,
  nodeSettings,
  nodeSettings6,
  type PresentRoute,
  planRoutes,
  podTableName,
  routeProtocol,
} from './node-rules.ts';
import { hostLinkName, hostLinksAmong } from './pod-link.ts';

export const limits = { toolTimeoutMs: 20_000 } as const;

export interface PodNetworkDeps {
  readonly clock: Clock;
  readonly log: Logger;
}

export interface PodNetworkOptions {
  readonly dataDir: string;
  /** Three to eight lower-case letters and digits; part of every name on the machine. */
  readonly clusterId: string;
  /** `Node.spec.podCIDR`, once it is known. */
  readonly podCIDR: string | Promise<string>;
  readonly nodeIP: string;
  readonly clusterCIDR: string;
  /** Of IPv6, in a cluster of both families. */
  readonly second?: SecondRange | undefined;
  readonly signal: AbortSignal;
  /** Called when pods can be connected. */
  readonly onReady?: (() => void) | undefined;
}

export interface SecondRange {
  readonly clusterCIDR: string;
  /** Undefined on a node that has no block of it: its pods have IPv4 alone. */
  readonly podCIDR: string | undefined | Promise<string | undefined>;
}

export type { NodeRoute } from './node-rules.ts';
export { cniPaths, hostLinkName };

/** Serves the container runtime until the signal aborts; pods stay connected afterwards. */
export async function runPodNetwork(
  { log }: PodNetworkDeps,
  options: PodNetworkOptions,
): Promise<void> {
  const { dataDir, clusterId, clusterCIDR, signal } = options;
  checkClusterId(clusterId);
  const paths = cniPaths(dataDir);
  const podCIDR = await options.podCIDR;
  const second = await secondBlock(options.second, { log });
  const pool = new AddressPool({ folder: paths.addressDir, podCIDR });
  const spoilt = removeCachedResults(clusterId, { which: 'spoilt' });
  if (spoilt.length > 0) log.warn('spoilt notes of connections removed', { files: spoilt });
  for (const [name, value] of Object.entries(nodeSettings)) {
    writeFileSync(`/proc/sys/net/ipv4/${name}`, value);
  }
  const blocks = [{ podCIDR, clusterCIDR }, ...(second === undefined ? [] : [second])];
  const tables = blocks.map((block, index) =>
    (index === 0 ? formatPodTable : formatPodTable6)({ clusterId, ...block }),
  );
  const [uplink] = await Promise.all([
    uplinkOf(options.nodeIP, { signal }),
    loadTable(tables.join(''), { dataDir, signal }),
    ...blocks.map((block) =>
      setNodeRoutes([], {
        ...{ ownPodCIDR: block.podCIDR, clusterCIDR: block.clusterCIDR },
        ...{ signal, keepOthers: true },
      }),
    ),
    reclaim(pool, { clusterId, log, signal }),
  ]);
  const { mtu } = uplink;
  if (second !== undefined) routeSecondFamily(uplink.name);
  const families = second === undefined ? (['IPv4'] as const) : (['IPv4', 'IPv6'] as const);
  const hostPorts = new HostPorts(
    { log },
    { folder: paths.portDir, tableName: podTableName(clusterId), families, signal },
  );
  await hostPorts.restore(pool.inUse());
  const calls = new LinkCalls(
    { log, pool, hostPorts },
    {
      ...{ clusterId, mtu, signal },
      secondAddressOf: (address) =>
        second && secondAddressOf(address, { podCIDR, secondPodCIDR: second.podCIDR }),
    },
  );
  const server = await listenForCalls({ log, calls }, { socketPath: paths.socketPath });
  try {
    writePlugin(paths, { clusterId });
    log.info('pod network ready', {
      podCIDRs: blocks.map((block) => block.podCIDR),
      mtu,
      pods: pool.inUse().size,
    });
    options.onReady?.();
    await aborted(signal);
  } finally {
    await closed(server);
  }
}

/** This node's block of IPv6; undefined where pods are to have IPv4 alone. */
async function secondBlock(
  second: SecondRange | undefined,
  { log }: { readonly log: Logger },
): Promise<{ readonly podCIDR: string; readonly clusterCIDR: string } | undefined> {
  if (second === undefined) return undefined;
  const podCIDR = await second.podCIDR;
  if (podCIDR !== undefined) return { podCIDR, clusterCIDR: second.clusterCIDR };
  log.warn('this node has no range of IPv6: its pods have addresses of IPv4 alone');
  return undefined;
}

/** A router takes no default route from others' announcements, unless told that it is to (2). */
function routeSecondFamily(uplink: string | undefined): void {
  const folder = '/proc/sys/net/ipv6';
  const announcements = `${folder}/conf/${uplink ?? 'lo'}/accept_ra`;
  if (existsSync(announcements) && readFileSync(announcements, 'utf8').trim() === '1') {
    writeFileSync(announcements, '2');
  }
  for (const [name, value] of Object.entries(nodeSettings6)) {
    writeFileSync(`${folder}/${name}`, value);
  }
}

/**
 * Makes the routes to other nodes' pods, of one family, as wanted; own addresses that nobody has
 * are refused.
 */
export async function setNodeRoutes(
  wanted: readonly NodeRoute[],
  options: {
    readonly ownPodCIDR: string;
    readonly clusterCIDR: string;
    readonly signal: AbortSignal;
    /** Leaves routes alone that are not among those wanted. */
    readonly keepOthers?: boolean;
  },
): Promise<void> {
  const { ownPodCIDR, clusterCIDR, signal } = options;
  const present = await ownRoutes(clusterCIDR, { signal });
  const relevant = options.keepOthers ? present.filter(({ dst }) => dst === ownPodCIDR) : present;
  const lines = planRoutes({ ownPodCIDR, wanted, present: relevant });
  if (lines.length === 0) return;
  const timeoutMs = limits.toolTimeoutMs;
  // One that cannot be made must not keep the others away.
  await mustRun('ip', ['-force', '-batch', '-'], {
    input: `${lines.join('\n')}\n`,
    signal,
    timeoutMs,
  });
}

/** Takes everything of this cluster's pod network off the machine: links, table, routes, files. */
export async function removePodNetwork(
  { log }: { readonly log: Logger },
  options: {
    readonly dataDir: string;
    readonly clusterId: string;
    readonly clusterCIDR: string;
    readonly secondClusterCIDR?: string | undefined;
    readonly signal: AbortSignal;
  },
): Promise<void> {
  const { clusterId, clusterCIDR, secondClusterCIDR: second, dataDir, signal } = options;
  checkClusterId(clusterId);
  const links = await ownLinks(clusterId, { signal });
  const routes = [...(await ownRoutes(clusterCIDR, { signal }))];
  if (second !== undefined) routes.push(...(await ownRoutes(second, { signal })));
  const lines = [
    ...links.map((name) => `link del ${name}`),
    ...routes.map(({ type, dst }) => `route del ${type ?? ''} ${dst} proto ${routeProtocol}`),
  ];
  // A namespace that dies meanwhile takes its link along, so a failing line is no reason to stop.
  await tool('ip', ['-force', '-batch', '-'], { input: `${lines.join('\n')}\n`, signal });
  for (const family of second === undefined ? ['ip'] : ['ip', 'ip6']) {
    await tool('nft', ['delete', 'table', family, podTableName(clusterId)], { signal });
  }
  rmSync(path.dirname(cniPaths(dataDir).confDir), { recursive: true, force: true });
  removeCachedResults(clusterId, { which: 'all' });
  log.info('pod network removed', { links: links.length, routes: routes.length });
}

/** Frees addresses without a link, as after a restart of the machine. */
async function reclaim(
  pool: AddressPool,
  options: { readonly clusterId: string; readonly log: Logger; readonly signal: AbortSignal },
): Promise<void> {
  const { clusterId, log, signal } = options;
  const links = new Set(await ownLinks(clusterId, { signal }));
  for (const [containerId, address] of [...pool.inUse()]) {
    if (links.has(hostLinkName({ clusterId, containerId }))) continue;
    log.info('address freed, its pod is gone', { address });
    pool.release(containerId);
  }
}

async function ownLinks(
  clusterId: string,
  { signal }: { readonly signal: AbortSignal },
): Promise<readonly string[]> {
  return hostLinksAmong(await readJson(['link', 'show', 'type', 'veth'], signal), clusterId);
}

async function ownRoutes(
  clusterCIDR: string,
  { signal }: { readonly signal: AbortSignal },
): Promise<readonly PresentRoute[]> {
  const family = clusterCIDR.includes(':') ? '-6' : '-4';
  const show = [family, 'route', 'show', 'proto', String(routeProtocol)];
  const routes = await readJson<PresentRoute>(show, signal);
  return routes.filter(({ dst }) => networksOverlap(dst, clusterCIDR));
}

/** The interface that has the node's address. */
async function uplinkOf(
  nodeIP: string,
  { signal }: { readonly signal: AbortSignal },
): Promise<{ readonly name: string | undefined; readonly mtu: number }> {
  const links = await readJson<{
    readonly ifname: string;
    readonly mtu: number;
    readonly addr_info: readonly { readonly local?: string }[];
  }>(['-4', 'addr'], signal);
  const uplink = links.find((link) => link.addr_info.some(({ local }) => local === nodeIP));
  // The loopback interface says 65536, which no other link takes.
  return { name: uplink?.ifname, mtu: Math.min(uplink?.mtu ?? 1500, 9000) };
}

/** `ip -j` prints an array, or nothing at all where there is nothing. */
async function readJson<T>(args: readonly string[], signal: AbortSignal): Promise<readonly T[]> {
  const text = await mustRun('ip', ['-j', ...args], { signal, timeoutMs: limits.toolTimeoutMs });
  if (text.trim() === '') return [];
  // The caller names the fields of iproute2's output that it uses.
  return JSON.parse(text) as readonly T[];
}

async function loadTable(
  text: string,
  options: { readonly dataDir: string; readonly signal: AbortSignal },
): Promise<void> {
  const folder = path.dirname(cniPaths(options.dataDir).confDir);
  mkdirSync(folder, { recursive: true });
  const file = path.join(folder, 'pods.nft');
  writeFileSync(file, text);
  const { signal } = options;
  await mustRun('nft', ['-f', file], { signal, timeoutMs: limits.toolTimeoutMs });
}

function tool(
  command: string,
  args: readonly string[],
  options: { readonly signal: AbortSignal; readonly input?: string },
): Promise<CommandResult> {
  return runCommand(command, args, { ...options, timeoutMs: limits.toolTimeoutMs });
}

function checkClusterId(clusterId: string): void {
  assert(/^[a-z0-9]{3,8}$/.test(clusterId), `"${clusterId}" cannot be part of interface names`);
}

function closed(server: Server): Promise<void> {
  return new Promise((resolve) => server.close(() => resolve()));
}
