/**
 * What a cluster decided about itself at its first start and keeps ever after: its short id, its
 * ports and its address ranges, in `<data-dir>/cluster.json`.
 *
 * Everything that we make on a machine carries the id. Ranges and ports are chosen so that two
 * clusters with different data dirs live side by side: other clusters of this machine are found
 * through `/run/coracle/<id>.json`, foreign address ranges through the routing table.
 */
import { execFileSync } from 'node:child_process';
import {
  chmodSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { createServer } from 'node:net';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { contains, overlaps, parseCIDR } from '#kit/ip.ts';
import { parseNetwork } from '#kit/ip-network.ts';
import { nameSuffix, type Random } from '#kit/random.ts';
import type { ClusterFacts } from './control-plane/cluster-facts.ts';
import type { ClusterConfig } from './settings/config.ts';

export interface ClusterState {
  readonly formatVersion: 1;
  /** Five letters; in every nft table, veth, cgroup and file name outside the data dir. */
  readonly id: string;
  readonly nodeName: string;
  readonly apiPort: number;
  readonly kubeletPort: number;
  readonly dnsPort: number;
  /** Figures and health of controllers and scheduler; clusters of earlier versions chose none. */
  readonly controllersPort?: number | undefined;
  readonly schedulerPort?: number | undefined;
  readonly clusterCIDR: string;
  /** Of IPv6: pods have an address of each. */
  readonly secondClusterCIDR?: string | undefined;
  readonly serviceCIDR: string;
  /** Of IPv6: Services can have an address of each. */
  readonly secondServiceCIDR?: string | undefined;
  readonly clusterDNS: string;
  readonly clusterDomain: string;
  readonly nodePortRange: { readonly first: number; readonly last: number };
}

/** Machine-wide register of clusters, one file each; on a tmpfs, so a reboot empties it. */
const registerDir = '/run/coracle';

interface Registered {
  readonly dataDir: string;
  readonly state: ClusterState;
}

/** Clusters of this machine whose data dir is still theirs. */
function registeredClusters(): readonly Registered[] {
  return readRegister().filter(isCurrent);
}

/** Makes the cluster known to later ones on this machine. Without root it stays private. */
export function registerCluster(dataDir: string, state: ClusterState): void {
  if (process.getuid?.() !== 0) return;
  mkdirSync(registerDir, { recursive: true });
  for (const other of readRegister()) {
    if (!isCurrent(other)) rmSync(registerPath(other.state.id), { force: true });
  }
  writeFileSync(registerPath(state.id), JSON.stringify({ dataDir, state }));
}

function readRegister(): readonly Registered[] {
  if (!existsSync(registerDir)) return [];
  return readdirSync(registerDir)
    .filter((name) => name.endsWith('.json'))
    .map((name): Registered => JSON.parse(readFileSync(join(registerDir, name), 'utf8')));
}

function isCurrent({ dataDir, state }: Registered): boolean {
  return readState(dataDir)?.id === state.id;
}

export function registerPath(id: string): string {
  return join(registerDir, `${id}.json`);
}

export function statePath(dataDir: string): string {
  return join(dataDir, 'cluster.json');
}

export function readState(dataDir: string): ClusterState | undefined {
  const path = statePath(dataDir);
  if (!existsSync(path)) return undefined;
  const state: ClusterState = JSON.parse(readFileSync(path, 'utf8'));
  if (state.formatVersion !== 1) {
    throw new Error(
      `${path} has format ${String(state.formatVersion)}; this version of coracle knows format 1`,
    );
  }
  return state;
}

/** Reads what was decided, or decides it now. Flags win over what was kept where that is safe. */
export async function openState(
  deps: { readonly random: Random },
  config: ClusterConfig,
): Promise<ClusterState> {
  mkdirSync(config.dataDir, { recursive: true, mode: 0o700 });
  const kept = readState(config.dataDir);
  if (kept !== undefined) {
    refuseChange('--cluster-cidr', config.clusterCIDR, clusterRangesText(kept));
    const second = keptOrAdded(config, kept);
    if (second !== kept.secondServiceCIDR) {
      writeState(config.dataDir, { ...kept, secondServiceCIDR: second });
    }
    return {
      ...kept,
      secondServiceCIDR: second,
      apiPort: config.apiPort ?? kept.apiPort,
      nodePortRange: config.nodePortRange ?? kept.nodePortRange,
    };
  }
  const state = await decideState(deps, config);
  writeState(config.dataDir, state);
  return state;
}

function writeState(dataDir: string, state: ClusterState): void {
  const path = statePath(dataDir);
  writeFileSync(path, `${JSON.stringify(state, undefined, 2)}\n`, { mode: 0o600 });
  chmodSync(path, 0o600);
}

/** For a node that joins: what the cluster says, and names and ports of its own. */
export async function openAgentState(
  deps: { readonly random: Random },
  options: {
    readonly dataDir: string;
    readonly nodeName: string;
    readonly apiPort: number;
    readonly facts: ClusterFacts;
  },
): Promise<ClusterState> {
  const { dataDir, nodeName, apiPort, facts } = options;
  const kept = readState(dataDir);
  const [kubeletPort = 10250, dnsPort = 10053] =
    kept === undefined
      ? await freePorts({ wanted: [10250, 10053], avoid: [] })
      : [kept.kubeletPort, kept.dnsPort];
  const nodePortRange = { first: 30000, last: 32767 };
  const id = kept?.id ?? nameSuffix(deps.random);
  const own = { formatVersion: 1, id, nodeName, apiPort, kubeletPort, dnsPort } as const;
  const state = { ...own, ...facts, nodePortRange };
  writeState(dataDir, state);
  return state;
}

/** A cluster of one range of Services may get a second; else they stay as they are. */
function keptOrAdded(config: ClusterConfig, kept: ClusterState): string | undefined {
  const { serviceCIDR, secondServiceCIDR } = kept;
  const wanted = config.serviceCIDR;
  if (secondServiceCIDR === undefined && wanted?.startsWith(`${serviceCIDR},`)) {
    return serviceRanges(wanted).secondServiceCIDR;
  }
  const ranges = [serviceCIDR, ...(secondServiceCIDR === undefined ? [] : [secondServiceCIDR])];
  refuseChange('--service-cidr', wanted, ranges.join(','));
  return secondServiceCIDR;
}

/** `10.42.0.0/16` or `10.42.0.0/16,fd42::/48`: a node gets a /24 of the one, a /64 of the other. */
export function clusterRanges(
  text: string,
): Pick<ClusterState, 'clusterCIDR' | 'secondClusterCIDR'> {
  const [first = '', second, ...rest] = text.split(',');
  const refuse = (why: string): never => {
    throw new Error(`--cluster-cidr ${text}: ${why}`);
  };
  if (parseNetwork(first)?.family !== 'IPv4') refuse('the first range has to be one of IPv4');
  if (second === undefined) return { clusterCIDR: first };
  const network = parseNetwork(second);
  if (network?.family !== 'IPv6' || network.bits < 48 || network.bits > 64) {
    refuse('the second range has to be one of IPv6, with a prefix of 48 to 64 bits');
  }
  if (rest.length > 0) refuse('there can be two ranges at most');
  return { clusterCIDR: first, secondClusterCIDR: second };
}

/** As `--cluster-cidr` has it. */
export function clusterRangesText({
  clusterCIDR,
  secondClusterCIDR,
}: Pick<ClusterState, 'clusterCIDR' | 'secondClusterCIDR'>): string {
  return secondClusterCIDR === undefined ? clusterCIDR : `${clusterCIDR},${secondClusterCIDR}`;
}

/** `10.43.0.0/16` or `10.43.0.0/16,fd00:43::/112`: what nodes route comes first. */
export function serviceRanges(
  text: string,
): Pick<ClusterState, 'serviceCIDR' | 'secondServiceCIDR'> {
  const [first = '', second, ...rest] = text.split(',');
  const refuse = (why: string): never => {
    throw new Error(`--service-cidr ${text}: ${why}`);
  };
  if (parseNetwork(first)?.family !== 'IPv4') refuse('the first range has to be one of IPv4');
  if (second === undefined) return { serviceCIDR: first };
  const network = parseNetwork(second);
  if (network?.family !== 'IPv6' || network.bits < 64) {
    refuse('the second range has to be one of IPv6, with a prefix of 64 bits or more');
  }
  if (rest.length > 0) refuse('there can be two ranges at most');
  return { serviceCIDR: first, secondServiceCIDR: second };
}

function refuseChange(flag: string, wanted: string | undefined, kept: string): void {
  if (wanted === undefined || wanted === kept) return;
  throw new Error(`${flag} ${wanted}: this cluster was made with ${kept}, which cannot be changed`);
}

async function decideState(
  { random }: { readonly random: Random },
  config: ClusterConfig,
): Promise<ClusterState> {
  const others = registeredClusters().map(({ state }) => state);
  const taken = [
    ...machineRanges(),
    ...others.flatMap((other) => [other.clusterCIDR, other.serviceCIDR]),
  ];
  const pair = freeRanges(taken);
  const ranges = serviceRanges(config.serviceCIDR ?? pair.serviceCIDR);
  const { serviceCIDR } = ranges;
  const apiPort = config.apiPort ?? 6443;
  const ports = await freePorts({
    wanted: [10250, 10053, 10257, 10259],
    avoid: [apiPort, ...others.flatMap(portsOf)],
  });
  return {
    formatVersion: 1,
    id: nameSuffix(random),
    nodeName: (config.nodeName ?? hostname()).toLowerCase(),
    apiPort,
    kubeletPort: ports[0] ?? 10250,
    dnsPort: ports[1] ?? 10053,
    controllersPort: ports[2] ?? 10257,
    schedulerPort: ports[3] ?? 10259,
    ...clusterRanges(config.clusterCIDR ?? pair.clusterCIDR),
    ...ranges,
    clusterDNS: nthAddress(serviceCIDR, 10),
    clusterDomain: 'cluster.local',
    nodePortRange:
      config.nodePortRange ?? freeNodePorts(others.map((other) => other.nodePortRange)),
  };
}

function portsOf(state: ClusterState): readonly number[] {
  const { apiPort, kubeletPort, dnsPort, controllersPort = 10257, schedulerPort = 10259 } = state;
  return [apiPort, kubeletPort, dnsPort, controllersPort, schedulerPort];
}

/** 10.42 and 10.43 where nobody has them, else the next even pair. */
export function freeRanges(taken: readonly string[]): {
  readonly clusterCIDR: string;
  readonly serviceCIDR: string;
} {
  for (let second = 42; second < 256; second += 2) {
    const clusterCIDR = `10.${second}.0.0/16`;
    const serviceCIDR = `10.${second + 1}.0.0/16`;
    if (!taken.some((range) => overlaps(range, clusterCIDR) || overlaps(range, serviceCIDR))) {
      return { clusterCIDR, serviceCIDR };
    }
  }
  throw new Error('no free address range 10.x.0.0/16 for pods; name one with --cluster-cidr');
}

/** 30000-32767 for the first cluster of a machine, then ranges of 1,000 below it. */
export function freeNodePorts(
  taken: readonly { readonly first: number; readonly last: number }[],
): { readonly first: number; readonly last: number } {
  const candidates = [{ first: 30000, last: 32767 }];
  for (let first = 29000; first >= 11000; first -= 1000) {
    candidates.push({ first, last: first + 999 });
  }
  const free = candidates.find(
    (range) => !taken.some((other) => other.first <= range.last && range.first <= other.last),
  );
  // With twenty clusters on a machine two share a range; each single port is still refused or free.
  return free ?? { first: 30000, last: 32767 };
}

/** The n-th address of an IPv4 range: the API's Service has the 1st, cluster DNS the 10th. */
export function nthAddress(cidr: string, n: number): string {
  const [address = ''] = cidr.split('/');
  const parts = address.split('.').map(Number);
  const value = parts.reduce((sum, part) => sum * 256 + part, 0) + n;
  const text = [24, 16, 8, 0].map((shift) => Math.floor(value / 2 ** shift) % 256).join('.');
  if (!contains(cidr, text)) throw new Error(`${cidr} is too small to hold ${text}`);
  return text;
}

/** Ranges that this machine already routes somewhere. */
function machineRanges(): readonly string[] {
  try {
    const routes: readonly { readonly dst: string }[] = JSON.parse(
      execFileSync('ip', ['-4', '-j', 'route'], { encoding: 'utf8', timeout: 5000 }),
    );
    return routes
      .map(({ dst }) => (dst.includes('/') ? dst : `${dst}/32`))
      .filter((range) => parseCIDR(range) !== undefined);
  } catch {
    // Without iproute2 there is no pod network either; hollow nodes need no free range.
    return [];
  }
}

/** The wanted ports, or for each the next one that is free. */
async function freePorts(options: {
  readonly wanted: readonly number[];
  readonly avoid: readonly number[];
}): Promise<readonly number[]> {
  const found: number[] = [];
  for (const wanted of options.wanted) {
    let port = wanted;
    while (options.avoid.includes(port) || found.includes(port) || !(await isFree(port))) port += 1;
    found.push(port);
  }
  return found;
}

/** Whether nobody listens there, on any address. */
export function isFree(port: number, host = '0.0.0.0'): Promise<boolean> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once('error', () => resolve(false));
    server.listen({ port, host, exclusive: true }, () => server.close(() => resolve(true)));
  });
}
