/**
 * ResourceQuota: refuses what a namespace may not have any more, and counts what it gets, before
 * the object itself is stored.
 *
 * Writes of one namespace are judged one batch after another: all that arrive while a batch is
 * being stored form the next one. A batch reads the quotas, judges its writes in turn against what
 * the earlier ones would use (`plan-quota.ts`), and stores each quota that changed if it is still
 * what was read; where somebody else (the controller, another server on the same store) was faster,
 * it judges again. So no race lets a namespace have more than it may. Namespaces without a quota
 * cost one look-up.
 */
import type { Served } from '#api/catalog.ts';
import { conflict, forbidden } from '#api/errors.ts';
import type { KubeObject } from '#api/object.ts';
import type { Resource } from '#api/resource.ts';
import { present } from '#kit/assert.ts';
import { countedKindOf, type DeviceFacts, type QuotedWrite } from '#resources/quota/quota.ts';
import type { Pod, ResourceQuota } from '#resources/types/core-v1.ts';
import type { DeviceClass, ResourceClaim } from '#resources/types/resource-v1.ts';
import type { Entry } from '#store';
import type { Parts } from '../parts.ts';
import {
  decodeEntry,
  encodeStored,
  registryRoot,
  storedObject,
  storedObjects,
} from '../registry.ts';
import { ownedAfterUpdate } from '../verbs/managed-fields.ts';
import { concernsQuota, planQuota } from './plan-quota.ts';

type QuotaParts = Pick<Parts, 'store' | 'catalog' | 'clock'>;

export interface ChargeOptions {
  readonly resource: Resource;
  readonly subresource: string;
  readonly namespace: string;
  readonly next: KubeObject;
  readonly old: KubeObject | undefined;
  readonly dryRun: boolean;
}

/** A write that waits for its judgement. */
interface Waiter {
  readonly write: QuotedWrite;
  readonly dryRun: boolean;
  why: string | undefined;
}

interface Batch {
  readonly waiters: Waiter[];
  readonly done: Promise<void>;
}

/** Lost races that one batch puts up with; each means that somebody else made progress. */
const attemptsMax = 100;

const manager = 'kube-apiserver';

export class QuotaLedger {
  readonly #parts: QuotaParts;
  /** The batch that is open for each namespace, and when the one before it is done. */
  readonly #open = new Map<string, Batch>();
  readonly #running = new Map<string, Promise<void>>();

  constructor(parts: QuotaParts) {
    this.#parts = parts;
  }

  /** Whether there is a quota that may have a say in this namespace. */
  guards(namespace: string): boolean {
    return namespace !== '' && this.#parts.store.count(prefixOf(namespace)) > 0;
  }

  /** Counts the write, or throws 403. Undefined where no quota has a say: nothing to wait for. */
  charge(options: ChargeOptions): Promise<void> | undefined {
    const { resource, subresource, namespace, next, old, dryRun } = options;
    if (!this.guards(namespace)) return undefined;
    const kind = countedKindOf(resource);
    const devices = kind.plural === 'resourceclaims' ? this.#devices(namespace) : undefined;
    const write = { kind: { ...kind, devices }, subresource, next, old };
    if (!concernsQuota(write)) return undefined;
    return this.#join(namespace, { write, dryRun, why: undefined });
  }

  async #join(namespace: string, waiter: Waiter): Promise<void> {
    const batch = this.#open.get(namespace) ?? this.#openBatch(namespace);
    batch.waiters.push(waiter);
    await batch.done;
    if (waiter.why === undefined) return;
    const { group, plural } = waiter.write.kind;
    const { name = '' } = waiter.write.next.metadata;
    throw forbidden({ group, resource: plural }, name, waiter.why);
  }

  #openBatch(namespace: string): Batch {
    const waiters: Waiter[] = [];
    const run = async (): Promise<void> => {
      this.#open.delete(namespace);
      this.#running.set(namespace, done);
      try {
        await this.#judge(namespace, waiters);
      } finally {
        if (this.#running.get(namespace) === done) this.#running.delete(namespace);
      }
    };
    // The fate of the batch before is its own.
    const before = this.#running.get(namespace) ?? Promise.resolve();
    const done = before.then(run, run);
    const batch = { waiters, done };
    this.#open.set(namespace, batch);
    return batch;
  }

  async #judge(namespace: string, waiters: readonly Waiter[]): Promise<void> {
    const { store, clock } = this.#parts;
    /** Quotas that were stored already, which are not charged again after a lost race. */
    const stored = new Set<string>();
    let waiting = waiters;
    for (let attempt = 0; attempt < attemptsMax; attempt++) {
      const entries = store
        .list({ prefix: prefixOf(namespace) })
        .entries.filter(({ key }) => !stored.has(key));
      const before = entries.map((entry) => decodeEntry<ResourceQuota>(entry));
      let after: readonly ResourceQuota[] = before;
      for (const waiter of waiting) {
        const plan = planQuota(after, waiter.write, clock.now());
        if (!plan.ok) waiter.why = plan.why;
        else if (!waiter.dryRun) after = plan.quotas;
      }
      waiting = waiting.filter(({ why, dryRun }) => why === undefined && !dryRun);
      const changes = entries.flatMap((entry, index) => {
        const [old, next] = [before[index], after[index]];
        return old === undefined || next === undefined || old === next
          ? []
          : [{ entry, old, next }];
      });
      const outcomes = await Promise.all(changes.map((change) => this.#store(change)));
      for (const [index, { entry }] of changes.entries()) {
        if (outcomes[index] === true) stored.add(entry.key);
      }
      if (outcomes.every((done) => done)) return;
    }
    throw conflict({ group: '', resource: 'resourcequotas' }, namespace);
  }

  /** False when the quota is no longer what was read. */
  async #store({ entry, old, next }: Change): Promise<boolean> {
    const served = this.#quotas();
    const hub = ownedAfterUpdate(this.#parts, {
      served,
      hub: next,
      old,
      manager,
      subresource: 'status',
    });
    const { key, revision } = entry;
    const value = encodeStored(served.resource, hub);
    const written = await this.#parts.store.put({ key, value, expect: { revision } });
    return written.ok;
  }

  /** Only claims of devices need to know of others; there are few of them. */
  #devices(namespace: string): DeviceFacts {
    const { store } = this.#parts;
    return {
      classes: storedObjects<DeviceClass>(store, 'deviceclasses/'),
      podOf: (_, name) => storedObject<Pod>(store, `pods/${namespace}/${name}`),
      siblingsOf: () => storedObjects<ResourceClaim>(store, `resourceclaims/${namespace}/`),
    };
  }

  #quotas(): Served {
    const found = this.#parts.catalog.findPlural({ group: '', version: 'v1' }, 'resourcequotas');
    return present(found, 'there are quotas in the store');
  }
}

interface Change {
  readonly entry: Entry;
  readonly old: ResourceQuota;
  readonly next: ResourceQuota;
}

function prefixOf(namespace: string): string {
  return `${registryRoot}resourcequotas/${namespace}/`;
}
