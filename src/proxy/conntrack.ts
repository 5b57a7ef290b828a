/**
 * UDP flows that still follow a translation which is no longer right.
 *
 * The kernel decides once per flow where packets go. A UDP flow has no end, so a client that
 * keeps its socket would send to a dead endpoint for ever; and one that asked before there was
 * any endpoint would go on without translation. Such flows are forgotten, and the next packet is
 * decided anew. TCP needs none of this: its connections break and are opened again.
 *
 * `planStale` is pure; `proxy.ts` runs the result after the new rules are in place.
 */
import type { Family } from '#kit/ip-network.ts';
import type { Logger } from '#kit/log.ts';
import { runCommand } from '#kit/run-command.ts';
import type { UdpPlace } from './service-plan.ts';

/** Flows to one place, of one endpoint or (absent) of all. */
export interface StaleFlows {
  readonly address?: string;
  readonly port: number;
  readonly endpoint?: string;
}

const timeoutMs = 10_000;

export function planStale(
  before: readonly UdpPlace[],
  after: readonly UdpPlace[],
): readonly StaleFlows[] {
  const now = new Map(after.map((place) => [placeKey(place), place]));
  const past = new Map(before.map((place) => [placeKey(place), place]));
  const stale: StaleFlows[] = [];
  for (const [key, place] of past) {
    const left = new Set(now.get(key)?.endpoints);
    for (const endpoint of place.endpoints) {
      if (!left.has(endpoint)) stale.push({ ...where(place), endpoint });
    }
  }
  for (const [key, place] of now) {
    const had = past.get(key)?.endpoints.length ?? 0;
    if (had === 0 && place.endpoints.length > 0) stale.push(where(place));
  }
  return stale;
}

/** What `conntrack -L` says about one flow: where its client sends, and who answers. */
export interface UdpFlow {
  readonly address: string;
  readonly port: number;
  readonly answeredBy: string;
}

/** Flows of known places that nobody serves any more, or that were never translated. */
export function planStaleFlows(
  flows: readonly UdpFlow[],
  places: readonly UdpPlace[],
): readonly StaleFlows[] {
  const known = new Map(places.map((place) => [placeKey(place), place]));
  const stale = new Map<string, StaleFlows>();
  for (const { address, port, answeredBy } of flows) {
    const place = known.get(placeKey({ address, port, endpoints: [] }));
    if (place === undefined || place.endpoints.length === 0) continue;
    if (place.endpoints.includes(answeredBy)) continue;
    const endpoint = answeredBy === address ? {} : { endpoint: answeredBy };
    stale.set(`${address}:${port} ${answeredBy}`, { address, port, ...endpoint });
  }
  return [...stale.values()];
}

export function parseFlows(text: string): readonly UdpFlow[] {
  return text.split('\n').flatMap((line) => {
    const both = [...line.matchAll(/src=(\S+) dst=(\S+) sport=\d+ dport=(\d+)/g)];
    const [sent, answered] = both;
    if (sent === undefined || answered === undefined) return [];
    return [{ address: sent[2] ?? '', port: Number(sent[3]), answeredBy: answered[1] ?? '' }];
  });
}

/** Empty where the tool is missing: then flows end by their time. */
async function listUdpFlows(
  family: Family,
  options: { readonly signal: AbortSignal },
): Promise<readonly UdpFlow[]> {
  const { signal } = options;
  const args = ['-L', '-f', family.toLowerCase(), '-p', 'udp'];
  const { stdout } = await runCommand('conntrack', args, { signal, timeoutMs });
  return parseFlows(stdout);
}

function placeKey({ address, port }: UdpPlace): string {
  return `${address ?? ''}:${port}`;
}

function where({ address, port }: UdpPlace): { address?: string; port: number } {
  return address === undefined ? { port } : { address, port };
}

/** The kernel's flows as the proxy needs them. */
export interface FlowTable {
  list(options: { readonly signal: AbortSignal }): Promise<readonly UdpFlow[]>;
  forget(stale: readonly StaleFlows[], options: { readonly signal: AbortSignal }): Promise<void>;
}

export function kernelFlows(deps: { readonly log: Logger }, family: Family): FlowTable {
  return {
    list: (options) => listUdpFlows(family, options),
    forget: (stale, options) => forgetFlows({ ...deps, family }, stale, options),
  };
}

/** Forgets these flows; that there are none is fine. */
async function forgetFlows(
  { log, family }: { readonly log: Logger; readonly family: Family },
  stale: readonly StaleFlows[],
  { signal }: { readonly signal: AbortSignal },
): Promise<void> {
  for (const flows of stale) {
    const result = await runCommand('conntrack', conntrackArguments(flows, family), {
      signal,
      timeoutMs,
    });
    if (result.code !== 0 && !result.stderr.includes('0 flow entries')) {
      log.warn('stale flows not forgotten', { ...flows, said: result.stderr.trim() });
    }
  }
}

export function conntrackArguments(
  { address, port, endpoint }: StaleFlows,
  family: Family,
): readonly string[] {
  return [
    ...['-D', '-f', family.toLowerCase(), '-p', 'udp', '--orig-port-dst', String(port)],
    ...(address === undefined ? [] : ['--orig-dst', address]),
    ...(endpoint === undefined ? [] : ['--dst-nat', endpoint]),
  ];
}
