/**
 * Ports of the node that lead to a pod (`hostPort`), as two maps of the pod table: one for ports of
 * every address of the node, one for those of a single address.
 *
 * What is mapped is written to one file per pod sandbox before the kernel is told, so that an agent
 * that starts puts back what was there. The maps are small and are always loaded whole, in one
 * transaction; loads follow one another. `node-rules.ts` has the chains that use the maps.
 */
import { mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { type Family, parseAddress } from '#kit/ip-network.ts';
import type { Logger } from '#kit/log.ts';
import { mustRun, runCommand } from '#kit/run-command.ts';

const toolTimeoutMs = 10_000;
const protocols: ReadonlySet<string> = new Set(['tcp', 'udp', 'sctp']);
/** Every address of the node, of its family or (without a word) of both. */
const unspecified: ReadonlySet<string> = new Set(['', '0.0.0.0', '::']);

/** As CNI's `runtimeConfig.portMappings` says it. */
export interface PortMapping {
  readonly protocol: string;
  /** Empty: every address of the node. */
  readonly hostIP: string;
  readonly hostPort: number;
  readonly containerPort: number;
}

export interface MappedPod {
  readonly address: string;
  /** Of IPv6, where the cluster has both families. */
  readonly secondAddress?: string | undefined;
  readonly ports: readonly PortMapping[];
}

export class HostPorts {
  readonly #log: Logger;
  readonly #folder: string;
  readonly #tableName: string;
  readonly #families: readonly Family[];
  readonly #signal: AbortSignal;
  readonly #pods = new Map<string, MappedPod>();
  #loading: Promise<void> = Promise.resolve();

  constructor(
    { log }: { readonly log: Logger },
    options: {
      readonly folder: string;
      readonly tableName: string;
      /** Of which there is a table. */
      readonly families: readonly Family[];
      readonly signal: AbortSignal;
    },
  ) {
    this.#log = log;
    this.#folder = options.folder;
    this.#tableName = options.tableName;
    this.#families = options.families;
    this.#signal = options.signal;
    mkdirSync(this.#folder, { recursive: true });
  }

  /** Reads what an earlier agent mapped, for the sandboxes that still have an address. */
  async restore(inUse: ReadonlyMap<string, string>): Promise<void> {
    for (const name of readdirSync(this.#folder)) {
      const file = path.join(this.#folder, name);
      if (!inUse.has(name)) {
        rmSync(file, { force: true });
        continue;
      }
      // Written by `add`; renamed into place, so never half a file.
      this.#pods.set(name, JSON.parse(readFileSync(file, 'utf8')) as MappedPod);
    }
    if (this.#pods.size > 0) await this.#load([...this.#pods.values()]);
  }

  async add(containerId: string, pod: MappedPod): Promise<void> {
    if (pod.ports.length === 0) return;
    const partial = path.join(this.#folder, `partial-${containerId}`);
    writeFileSync(partial, JSON.stringify(pod));
    renameSync(partial, path.join(this.#folder, containerId));
    this.#pods.set(containerId, pod);
    await this.#load([pod]);
  }

  /** Harmless when nothing is mapped. */
  async remove(containerId: string): Promise<void> {
    const pod = this.#pods.get(containerId);
    if (pod === undefined) return;
    this.#pods.delete(containerId);
    await this.#load([pod]);
    rmSync(path.join(this.#folder, containerId), { force: true });
  }

  #load(changed: readonly MappedPod[]): Promise<void> {
    const mine = this.#loading.then(async () => {
      const file = path.join(path.dirname(this.#folder), 'host-ports.nft');
      const pods = [...this.#pods.values()];
      const texts = this.#families.map((each) => formatHostPorts(this.#tableName, pods, each));
      writeFileSync(file, texts.join(''));
      const options = { signal: this.#signal, timeoutMs: toolTimeoutMs };
      await mustRun('nft', ['-f', file], options);
      await this.#forgetFlows(changed);
    });
    this.#loading = mine.catch(() => {});
    return mine;
  }

  /** The kernel remembers where a flow of datagrams went, and would go on sending it there. */
  async #forgetFlows(changed: readonly MappedPod[]): Promise<void> {
    const options = { signal: this.#signal, timeoutMs: toolTimeoutMs };
    for (const { protocol, hostPort } of changed.flatMap(({ ports }) => ports)) {
      if (protocol.toLowerCase() !== 'udp') continue;
      for (const family of this.#families) {
        const args = ['-D', '-f', family.toLowerCase(), '-p', 'udp'];
        const all = [...args, '--orig-port-dst', String(hostPort)];
        const { code, stderr } = await runCommand('conntrack', all, options);
        // 1: there was no such flow.
        if (code > 1)
          this.#log.warn('old flows of a host port may go astray', { hostPort, stderr });
      }
    }
  }
}

/** For `nft -f`: both maps of a family as they are to be. */
export function formatHostPorts(
  tableName: string,
  pods: readonly MappedPod[],
  family: Family = 'IPv4',
): string {
  const everywhere = new Map<string, string>();
  const single = new Map<string, string>();
  const own = new Set<string>();
  for (const pod of pods) {
    const address = family === 'IPv4' ? pod.address : pod.secondAddress;
    if (address === undefined) continue;
    for (const { protocol, hostIP, hostPort, containerPort } of pod.ports) {
      const name = protocol.toLowerCase();
      if (!protocols.has(name)) continue;
      if (hostIP !== '' && parseAddress(hostIP)?.family !== family) continue;
      const to = `${address} . ${containerPort}`;
      own.add(`${address} . ${address}`);
      if (unspecified.has(hostIP)) everywhere.set(`${name} . ${hostPort}`, to);
      else single.set(`${hostIP} . ${name} . ${hostPort}`, to);
    }
  }
  const table = `${family === 'IPv4' ? 'ip' : 'ip6'} ${tableName}`;
  const lines = [
    `flush map ${table} host-ports`,
    `flush map ${table} host-ports-of`,
    `flush set ${table} own-ports`,
  ];
  const add = (name: string, elements: readonly string[]): void => {
    if (elements.length === 0) return;
    lines.push(`add element ${table} ${name} { ${elements.join(', ')} }`);
  };
  const pair = ([from, to]: readonly [string, string]): string => `${from} : ${to}`;
  add('host-ports', [...everywhere].map(pair));
  add('host-ports-of', [...single].map(pair));
  add('own-ports', [...own]);
  return `${lines.join('\n')}\n`;
}
