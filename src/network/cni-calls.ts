/**
 * What a CNI call does on this machine: take an address and make the pod's link, or undo both.
 *
 * A pod costs two short processes, `ip -batch` on the node and one inside the pod's namespace.
 * Calls for the same container wait for each other, whatever order the runtime sends them in;
 * adding what is there and deleting what is gone both succeed. `cni-server.ts` calls this.
 */
import { existsSync, writeFileSync } from 'node:fs';
import type { Logger } from '#kit/log.ts';
import { type CommandResult, runCommand } from '#kit/run-command.ts';
import type { AddressPool } from './address-pool.ts';
import type { CniCall, CniCalls, CniResult } from './cni-server.ts';
import type { HostPorts } from './host-ports.ts';
import { hostLinkName, nodeBatch, nodeLinkSettings, type PodLink, podBatch } from './pod-link.ts';

const toolTimeoutMs = 10_000;

interface Options {
  readonly clusterId: string;
  readonly mtu: number;
  readonly signal: AbortSignal;
}

export class LinkCalls implements CniCalls {
  readonly #log: Logger;
  readonly #pool: AddressPool;
  readonly #hostPorts: HostPorts;
  readonly #options: Options;
  /** The last call for each container that is still running. */
  readonly #busy = new Map<string, Promise<unknown>>();

  constructor(
    deps: { readonly log: Logger; readonly pool: AddressPool; readonly hostPorts: HostPorts },
    options: Options,
  ) {
    this.#log = deps.log;
    this.#pool = deps.pool;
    this.#hostPorts = deps.hostPorts;
    this.#options = options;
  }

  add(call: CniCall): Promise<CniResult> {
    return this.#inTurn(call.containerId, () => this.#add(call));
  }

  delete(call: CniCall): Promise<void> {
    return this.#inTurn(call.containerId, () => this.#delete(call.containerId));
  }

  check(call: CniCall): Promise<void> {
    return this.#inTurn(call.containerId, async () => {
      const hostName = this.#hostName(call.containerId);
      const address = this.#pool.addressOf(call.containerId);
      if (address === undefined) throw new Error('the pod has no address of this node');
      const route = await this.#ip(['-o', 'route', 'show', `${address}/32`, 'dev', hostName]);
      if (route.code !== 0 || route.stdout === '') {
        throw new Error(`no route to ${address} through ${hostName}`);
      }
    });
  }

  async #add(call: CniCall): Promise<CniResult> {
    const { containerId, namespacePath, interfaceName } = call;
    if (!/^[\w.-]{1,128}$/.test(containerId)) throw new Error('the container id is not valid');
    if (!/^\/[\w./-]+$/.test(namespacePath) || !existsSync(namespacePath)) {
      throw new Error(`there is no network namespace ${namespacePath}`);
    }
    if (!/^[\w.-]{1,15}$/.test(interfaceName)) throw new Error('the interface name is not valid');
    const address = this.#pool.allocate(containerId);
    if (address === undefined) throw new Error('every pod address of this node is in use');
    const hostName = this.#hostName(containerId);
    const { mtu } = this.#options;
    const link: PodLink = { hostName, podName: interfaceName, namespacePath, address, mtu };
    try {
      await this.#make(link);
      await this.#hostPorts.add(containerId, { address, ports: call.ports });
    } catch (error) {
      await this.#delete(containerId);
      throw error;
    }
    this.#log.debug('pod connected', { pod: call.pod, address, link: hostName });
    return { hostName, address };
  }

  async #make(link: PodLink): Promise<void> {
    let outside = await this.#ip(['-batch', '-'], nodeBatch(link));
    if (outside.code !== 0 && outside.stderr.includes('File exists')) {
      // Left by a call that was cut short: the pod's end is inside a namespace of unknown state.
      await this.#ip(['link', 'del', link.hostName]);
      outside = await this.#ip(['-batch', '-'], nodeBatch(link));
    }
    expectSuccess(outside);
    for (const [name, value] of Object.entries(nodeLinkSettings(link.hostName))) {
      writeFileSync(`/proc/sys/net/ipv4/${name}`, value);
    }
    const { signal } = this.#options;
    const inside = [`--net=${link.namespacePath}`, 'ip', '-batch', '-'];
    expectSuccess(
      await runCommand('nsenter', inside, {
        input: podBatch(link),
        signal,
        timeoutMs: toolTimeoutMs,
      }),
    );
  }

  async #delete(containerId: string): Promise<void> {
    // With the namespace gone the link is gone too; then the command fails, and that is success.
    const result = await this.#ip(['link', 'del', this.#hostName(containerId)]);
    if (result.code !== 0 && !/Cannot find device|does not exist/.test(result.stderr)) {
      expectSuccess(result);
    }
    await this.#hostPorts.remove(containerId);
    this.#pool.release(containerId);
  }

  #hostName(containerId: string): string {
    return hostLinkName({ clusterId: this.#options.clusterId, containerId });
  }

  #ip(args: readonly string[], input?: string): Promise<CommandResult> {
    const { signal } = this.#options;
    return runCommand('ip', args, { input, signal, timeoutMs: toolTimeoutMs });
  }

  async #inTurn<T>(containerId: string, work: () => Promise<T>): Promise<T> {
    const before = this.#busy.get(containerId) ?? Promise.resolve();
    const mine = before.then(work, work);
    const settled = mine.catch(() => {});
    this.#busy.set(containerId, settled);
    try {
      return await mine;
    } finally {
      if (this.#busy.get(containerId) === settled) this.#busy.delete(containerId);
    }
  }
}

function expectSuccess(result: CommandResult): void {
  if (result.code !== 0) throw new Error(`ip: ${result.stderr.trim() || `exit ${result.code}`}`);
}
