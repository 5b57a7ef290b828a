/**
 * Clients that all write and read the same few ConfigMaps, each over a faulty connection of its
 * own, as fast as they can: what they were answered, and between which moments, is what
 * `checkers/linearizable.ts` judges. Lists go page by page, also of the past.
 */
import { ApiError, isReason } from '#api/errors.ts';
import { configMaps } from '#resources/kinds.ts';
import type { ConfigMap } from '#resources/types/core-v1.ts';
import { ConnectionLost } from '../faults.ts';
import { oneOf } from '../options.ts';
import type { Answered, WorldEvent } from '../trace.ts';
import type { Intruder, IntruderDeps } from '../world.ts';

export const registersNamespace = 'registers';
const namespace = registersNamespace;
const names = ['r-0', 'r-1', 'r-2', 'r-3', 'r-4'] as const;
const pauseMsMax = 4_000;

const operations = ['read', 'read', 'write', 'write', 'write', 'list', 'past', 'remove'] as const;

/** One client; `observe` is told of each answer. */
export function registerClient(observe: (event: WorldEvent) => void): Intruder {
  return async (deps, signal) => {
    const client = new RegisterClient(deps, signal);
    for (;;) {
      await deps.clock.sleep(deps.random.integer(pauseMsMax), { signal });
      const startMs = deps.clock.monotonic();
      try {
        for (const answer of await client.act()) observe({ what: 'answered', startMs, ...answer });
      } catch (error) {
        signal.throwIfAborted();
        const expected = error instanceof ApiError || error instanceof ConnectionLost;
        if (!expected && !(error instanceof Error && error.name === 'DeadlineExceeded'))
          throw error;
      }
    }
  };
}

type Told = Omit<Answered, 'what' | 'startMs'>;

class RegisterClient {
  readonly #deps: IntruderDeps;
  readonly #signal: AbortSignal;
  /** What it read last of each: what it expects when it writes. */
  readonly #read = new Map<string, ConfigMap>();
  #pastRevision: string | undefined;

  constructor(deps: IntruderDeps, signal: AbortSignal) {
    this.#deps = deps;
    this.#signal = signal;
  }

  async act(): Promise<readonly Told[]> {
    const { random } = this.#deps;
    const operation = oneOf(random, operations);
    const name = oneOf(random, names);
    switch (operation) {
      case 'read':
        return [await this.#readOne(name)];
      case 'write':
        return this.#write(name);
      case 'remove':
        return this.#remove(name);
      case 'list':
        return this.#list(undefined);
      case 'past':
        return this.#pastRevision === undefined ? [] : this.#list(this.#pastRevision);
      default:
        return operation satisfies never;
    }
  }

  async #readOne(name: string): Promise<Told> {
    const { client } = this.#deps;
    const signal = this.#signal;
    try {
      const found = await client.get(configMaps, { namespace, name }, { signal });
      this.#read.set(name, found);
      return { did: 'read', name, revision: revisionOf(found), value: heldValue(found) };
    } catch (error) {
      if (!isReason(error, 'NotFound')) throw error;
      this.#read.delete(name);
      return { did: 'read', name, revision: undefined, value: undefined };
    }
  }

  async #write(name: string): Promise<readonly Told[]> {
    const { client, random } = this.#deps;
    const signal = this.#signal;
    const known = this.#read.get(name);
    const data = { value: random.uuid() };
    if (known === undefined) {
      const metadata = { name, namespace };
      const made = { apiVersion: 'v1', kind: 'ConfigMap', metadata, data };
      const created = await client.create(configMaps, made, { signal });
      this.#read.set(name, created);
      const revision = revisionOf(created);
      return [{ did: 'create', name, revision, value: heldValue(created) }];
    }
    try {
      const written = await client.update(configMaps, { ...known, data }, { signal });
      this.#read.set(name, written);
      const expected = revisionOf(known);
      const value = heldValue(written);
      return [{ did: 'update', name, revision: revisionOf(written), value, expected }];
    } catch (error) {
      if (isReason(error, 'Conflict') || isReason(error, 'NotFound')) this.#read.delete(name);
      throw error;
    }
  }

  async #remove(name: string): Promise<readonly Told[]> {
    const { client } = this.#deps;
    const known = this.#read.get(name);
    if (known === undefined) return [];
    const { resourceVersion = '', uid = '' } = known.metadata;
    const preconditions = { uid, resourceVersion };
    this.#read.delete(name);
    const options = { preconditions, signal: this.#signal };
    await client.delete(configMaps, { namespace, name }, options);
    const expected = revisionOf(known);
    return [{ did: 'delete', name, revision: undefined, value: undefined, expected }];
  }

  /** Page by page; all pages have to show one moment. */
  async #list(resourceVersion: string | undefined): Promise<readonly Told[]> {
    const { client } = this.#deps;
    const signal = this.#signal;
    const exact = { resourceVersion, resourceVersionMatch: 'Exact' } as const;
    const at = resourceVersion === undefined ? {} : exact;
    let page = await client.list(configMaps, { namespace, limit: 2, ...at, signal });
    const revision = page.resourceVersion;
    const items = [...page.items];
    while (page.continue !== undefined) {
      page = await client.list(configMaps, {
        namespace,
        limit: 2,
        continue: page.continue,
        signal,
      });
      items.push(...page.items);
    }
    this.#pastRevision = revision;
    const shown = new Map(items.map((item) => [item.metadata.name ?? '', heldValue(item) ?? '']));
    const listed = { revision: Number(revision), shown };
    return [{ did: 'list', name: '', revision: undefined, value: undefined, listed }];
  }
}

function revisionOf({ metadata }: ConfigMap): number {
  return Number(metadata.resourceVersion);
}

function heldValue({ data }: ConfigMap): string | undefined {
  return data?.['value'];
}
