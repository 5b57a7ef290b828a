/**
 * Node ports: a port is taken when there is a key for it in the store, which says for which
 * Service. Writing that key is what takes the port, so several servers on one store never give it
 * out twice. These keys are no objects of the API.
 */
import type { Parts } from '../parts.ts';
import { registryRoot } from '../registry.ts';
import type { Owner } from './addresses.ts';
import { bandOf, Register, type Span } from './register.ts';

export interface PortRange {
  /** Inclusive. */
  readonly first: number;
  readonly last: number;
}

export const portPrefix = `${registryRoot}ranges/servicenodeports/`;

export class NodePorts {
  readonly #parts: Pick<Parts, 'store' | 'random'>;
  readonly #range: PortRange;
  readonly #span: Span;
  readonly #register: Register;

  constructor(parts: Pick<Parts, 'store' | 'random'>, range: PortRange) {
    this.#parts = parts;
    this.#range = range;
    const size = BigInt(range.last - range.first + 1);
    this.#span = { first: BigInt(range.first), size, band: bandOf(size, 32n, 128n) };
    this.#register = new Register((port) => parts.store.get(`${portPrefix}${port}`) !== undefined);
  }

  /** Takes it for a write on its way, or says why not. */
  take(port: number): string | undefined {
    const { first, last } = this.#range;
    if (port < first || port > last) {
      return `provided port is not in the valid range. The range of valid ports is ${first}-${last}`;
    }
    return this.#register.take(BigInt(port)) ? undefined : 'provided port is already allocated';
  }

  /** Undefined when all is taken. */
  takeAny(): number | undefined {
    const port = this.#register.takeAny([this.#span], this.#parts.random);
    return port === undefined ? undefined : Number(port);
  }

  settle(port: number): void {
    this.#register.settle(BigInt(port));
  }

  /** False when another server was faster. */
  async record(port: number, { namespace, name }: Owner): Promise<boolean> {
    const value = Buffer.from(JSON.stringify({ namespace, name }));
    const key = `${portPrefix}${port}`;
    return (await this.#parts.store.put({ key, value, expect: 'absent' })).ok;
  }

  /** Frees the port, if it is this Service's. */
  async erase(port: number, owner: Owner): Promise<void> {
    const entry = this.#parts.store.get(`${portPrefix}${port}`);
    if (entry === undefined) return;
    const held = portOwner(entry.value);
    if (held.namespace !== owner.namespace || held.name !== owner.name) return;
    const { key, revision } = entry;
    // Where somebody else changes it at this moment, repair sees to the rest.
    await this.#parts.store.delete({ key, expect: { revision } });
  }
}

/** What is stored for a port. */
export function portOwner(value: Uint8Array): Owner {
  // Parse boundary: `record` is the only writer.
  return JSON.parse(Buffer.from(value).toString('utf8')) as Owner;
}
