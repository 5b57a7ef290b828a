/**
 * Follows a packet through the items of the service proxy, as the kernel would follow it through
 * the table that they become: dispatch by address, dispatch by node port, chains, and what
 * happens to packets that nobody took. For unit tests of the proxy; `test/e2e/network.e2e.ts`
 * compares the same cases with the real kernel.
 */
import { contains } from '#kit/ip.ts';
import type { Item, Rule } from '#proxy';

export interface Packet {
  readonly from: string;
  readonly to: string;
  readonly port: number;
  readonly protocol?: 'tcp' | 'udp';
}

export interface Machine {
  /** Addresses of the node itself. */
  readonly own: readonly string[];
  /** What chance says, taken modulo the number of choices. */
  readonly chance?: number;
  /** Clients that endpoints remember; filled by the trace. */
  readonly memories?: Map<string, Set<string>>;
}

export type Outcome =
  | { readonly verdict: 'to'; readonly endpoint: string; readonly masqueraded: boolean }
  | { readonly verdict: 'dropped' | 'refused' | 'untouched' };

export function trace(items: Iterable<Item>, packet: Packet, machine: Machine): Outcome {
  return new Trace(items, packet, machine).run();
}

class Trace {
  readonly #elements = new Map<string, string>();
  readonly #chains = new Map<string, readonly Rule[]>();
  readonly #packet: Packet;
  readonly #machine: Machine;
  readonly #protocol: string;
  #marked = false;

  constructor(items: Iterable<Item>, packet: Packet, machine: Machine) {
    this.#packet = packet;
    this.#machine = machine;
    this.#protocol = packet.protocol ?? 'tcp';
    for (const item of items) {
      if (item.kind === 'element') {
        this.#elements.set(`${item.set} ${item.key}`, item.value ?? '');
      } else if (item.kind === 'chain') this.#chains.set(item.name, item.rules);
    }
  }

  run(): Outcome {
    const { to, port } = this.#packet;
    const isOwn = this.#machine.own.includes(to);
    const place = `${to} . ${this.#protocol} . ${port}`;
    const nodePlace = `${this.#protocol} . ${port}`;
    const verdict =
      this.#elements.get(`service-addresses ${place}`) ??
      (isOwn ? this.#elements.get(`node-ports ${nodePlace}`) : undefined);
    if (verdict === 'drop') return { verdict: 'dropped' };
    if (verdict !== undefined) return this.#follow(verdict.replace('goto ', ''));
    const refused =
      this.#elements.has(`empty-addresses ${place}`) ||
      this.#elements.has(`cluster-addresses ${to}`) ||
      (isOwn && this.#elements.has(`empty-node-ports ${nodePlace}`));
    return { verdict: refused ? 'refused' : 'untouched' };
  }

  #follow(chain: string): Outcome {
    const rules = this.#chains.get(chain);
    if (rules === undefined) throw new Error(`there is no chain ${chain}`);
    for (const rule of rules) {
      if (!this.#applies(rule)) continue;
      const outcome = this.#perform(rule);
      if (outcome !== undefined) return outcome;
    }
    return { verdict: 'untouched' };
  }

  #applies({ when }: Rule): boolean {
    const { from } = this.#packet;
    if (when === undefined) return true;
    if (when.source === 'local') return this.#machine.own.includes(from);
    if (when.source === 'remembered') return this.#memory(when.memory).has(from);
    const inside = when.ranges.some((range) => contains(range, from));
    return when.source === 'in' ? inside : !inside;
  }

  #perform(rule: Rule): Outcome | undefined {
    const { from, to, port } = this.#packet;
    switch (rule.do) {
      case 'mark':
        this.#marked = true;
        return undefined;
      case 'drop':
        return { verdict: 'dropped' };
      case 'goto':
        return this.#follow(rule.chain);
      case 'remember':
        this.#memory(rule.memory).add(from);
        return undefined;
      case 'redirect':
        return this.#deliver(rule.to);
      case 'spread':
        return this.#follow(rule.chains[this.#chance(rule.chains.length)] ?? '');
      case 'choose': {
        // A rule for one protocol does not touch packets of another.
        if (rule.protocol !== this.#protocol) return undefined;
        const where = rule.place.startsWith('service') ? `${to} . ${port}` : `${port}`;
        const set = `${rule.protocol}-${rule.place}-endpoints`;
        const endpoint = this.#elements.get(`${set} ${where} . ${this.#chance(rule.count)}`);
        return endpoint === undefined ? undefined : this.#deliver(endpoint.replace(' . ', ':'));
      }
      default:
        return rule satisfies never;
    }
  }

  #deliver(endpoint: string): Outcome {
    const { from } = this.#packet;
    const [address = ''] = endpoint.split(':');
    const toItself = this.#elements.has(`hairpins ${from} . ${address}`);
    return { verdict: 'to', endpoint, masqueraded: this.#marked || toItself };
  }

  #chance(count: number): number {
    return (this.#machine.chance ?? 0) % count;
  }

  #memory(name: string): Set<string> {
    const memories = this.#machine.memories ?? new Map<string, Set<string>>();
    const found = memories.get(name) ?? new Set();
    memories.set(name, found);
    return found;
  }
}
