/**
 * What a CNI call does on this machine: take an address and make the pod's link, or undo both.
 *
 * The kernel is told by the plugin that the runtime has started for the call anyway (`netlink.ts`),
 * on the node and inside the pod's namespace: no program is started for it. Calls for the same
 * container wait for each other, whatever order the runtime sends them in; adding what is there and
 * deleting what is gone both succeed. `cni-server.ts` calls this.
 */
import { existsSync, writeFileSync } from 'node:fs';
import type { Logger } from '#kit/log.ts';
import { type CommandResult, runCommand } from '#kit/run-command.ts';
import type { AddressPool } from './address-pool.ts';
import type { CniCall, CniCalls, CniResult } from './cni-server.ts';
import type { HostPorts } from './host-ports.ts';
import { deleteLink, type Kernel, type Refusal } from './netlink.ts';
import {
  hostLinkName,
  nodeLinkSettings,
  nodeMessages,
  type PodLink,
  podMessages,
} from './pod-link.ts';

const toolTimeoutMs = 10_000;

interface Options {
  readonly clusterId: string;
  readonly mtu: number;
  /** The pod's address of IPv6, by that of IPv4; absent where the cluster has none. */
  readonly secondAddressOf?: ((address: string) => string | undefined) | undefined;
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

  add(call: CniCall, kernel: Kernel): Promise<CniResult> {
    return this.#inTurn(call.containerId, () => this.#add(call, kernel));
  }

  delete(call: CniCall, kernel: Kernel): Promise<void> {
    const { containerId } = call;
    return this.#inTurn(containerId, async () => {
      const refusal = await kernel.apply('node', [deleteLink(this.#hostName(containerId))]);
      // With the namespace gone the link is gone too; then there is none, and that is success.
      if (refusal?.code !== 'ENODEV') expectTaken(refusal);
      await this.#forget(containerId);
    });
  }

  check(call: CniCall): Promise<void> {
    return this.#inTurn(call.containerId, async () => {
      const hostName = this.#hostName(call.containerId);
      const address = this.#pool.addressOf(call.containerId);
      if (address === undefined) throw new Error('the pod has no address of this node');
      await this.#checkRoute(`${address}/32`, hostName);
      const second = this.#options.secondAddressOf?.(address);
      if (second !== undefined) await this.#checkRoute(`${second}/128`, hostName);
    });
  }

  async #checkRoute(to: string, hostName: string): Promise<void> {
    const family = to.includes(':') ? '-6' : '-4';
    const route = await this.#ip([family, '-o', 'route', 'show', to, 'dev', hostName]);
    if (route.code === 0 && route.stdout !== '') return;
    throw new Error(`no route to ${to.split('/')[0]} through ${hostName}`);
  }

  async #add(call: CniCall, kernel: Kernel): Promise<CniResult> {
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
    const secondAddress = this.#options.secondAddressOf?.(address);
    const link: PodLink = { hostName, podName: interfaceName, address, secondAddress, mtu };
    try {
      await this.#make(link, kernel);
      await this.#hostPorts.add(containerId, { address, secondAddress, ports: call.ports });
    } catch (error) {
      await this.#undo(containerId);
      throw error;
    }
    this.#log.debug('pod connected', { pod: call.pod, address, secondAddress, link: hostName });
    return { hostName, address, secondAddress };
  }

  async #make(link: PodLink, kernel: Kernel): Promise<void> {
    let refusal = await kernel.apply('node', nodeMessages(link));
    if (refusal?.code === 'EEXIST') {
      // Left by a call that was cut short: the pod's end is inside a namespace of unknown state.
      await this.#ip(['link', 'del', link.hostName]);
      refusal = await kernel.apply('node', nodeMessages(link));
    }
    expectTaken(refusal);
    for (const [name, value] of Object.entries(nodeLinkSettings(link.hostName))) {
      writeFileSync(`/proc/sys/net/ipv4/${name}`, value);
    }
    expectTaken(await kernel.apply('pod', podMessages(link)));
  }

  /** Without the plugin, which may be what failed. */
  async #undo(containerId: string): Promise<void> {
    const result = await this.#ip(['link', 'del', this.#hostName(containerId)]);
    if (result.code !== 0 && !/Cannot find device|does not exist/.test(result.stderr)) {
      throw new Error(`ip: ${result.stderr.trim() || `exit ${result.code}`}`);
    }
    await this.#forget(containerId);
  }

  async #forget(containerId: string): Promise<void> {
    await this.#hostPorts.remove(containerId);
    this.#pool.release(containerId);
  }

  #hostName(containerId: string): string {
    return hostLinkName({ clusterId: this.#options.clusterId, containerId });
  }

  #ip(args: readonly string[]): Promise<CommandResult> {
    const { signal } = this.#options;
    return runCommand('ip', args, { signal, timeoutMs: toolTimeoutMs });
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

function expectTaken(refusal: Refusal | undefined): void {
  if (refusal === undefined) return;
  throw new Error(`the kernel refuses step ${refusal.index + 1} of the link: ${refusal.code}`);
}
