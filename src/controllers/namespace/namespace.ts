/**
 * Empties namespaces that are being deleted, then lets them go.
 *
 * A deleted namespace stays, as Terminating, until its finalizer `kubernetes` is removed.
 * Its pods are deleted first, with their grace, so that none outlives what guards it (a network
 * policy, say); once they are gone, everything of every other kind. What remains is told in the
 * status, and looked at again after a while or as soon as one of its pods is gone. When nothing is
 * left the namespace is finalized. Behaviour: kubernetes.io, "Namespaces Walkthrough".
 */
import type { KindOf } from '#api/kind-of.ts';
import type { KubeObject } from '#api/object.ts';
import type { Cancel, Informer } from '#client';
import { messageOf } from '#kit/error-message.ts';
import { WorkQueue } from '#kit/work-queue.ts';
import { namespaces as namespaceKind, pods as podKind } from '#resources/kinds.ts';
import type { Namespace, Pod } from '#resources/types/core-v1.ts';
import { ignoreNotFound } from '../api-failure.ts';
import type { Controller, ControllerDeps } from '../controller.ts';
import { updateStatus } from '../status-update.ts';
import { type Emptied, planConditions, type Remaining } from './plan.ts';

const limits = {
  pageLength: 500,
  /** Deletions of one namespace under way at a time. */
  deletions: 16,
  againMs: 100,
  againMsMax: 10_000,
} as const;

const finalizer = 'kubernetes';

export function openNamespaceController(
  deps: ControllerDeps,
  options: { readonly kinds: () => readonly KindOf<KubeObject>[] },
): Controller {
  const controller = new NamespaceController(deps, options.kinds);
  return {
    name: 'namespace-controller',
    queue: controller.queue,
    reconcile: (key, cancel) => controller.reconcile(key, cancel),
    workers: 5,
    sources: [controller.namespaces, controller.pods],
  };
}

class NamespaceController {
  readonly queue: WorkQueue;
  readonly namespaces: Informer<Namespace>;
  readonly pods: Informer<Pod>;
  readonly #deps: ControllerDeps;
  readonly #kinds: () => readonly KindOf<KubeObject>[];

  constructor(deps: ControllerDeps, kinds: () => readonly KindOf<KubeObject>[]) {
    this.#deps = deps;
    this.#kinds = kinds;
    this.queue = new WorkQueue(deps);
    this.namespaces = deps.informers.of(namespaceKind);
    this.pods = deps.informers.of(podKind);
    const wake = (namespace: Namespace): void => {
      if (isEnding(namespace)) this.queue.add(namespace.metadata.name ?? '');
    };
    this.namespaces.addHandler({ onAdd: wake, onUpdate: wake });
    this.pods.addHandler({
      onDelete: ({ metadata }) => {
        const namespace = this.namespaces.get(metadata.namespace ?? '');
        if (namespace !== undefined) wake(namespace);
      },
    });
  }

  async reconcile(name: string, { signal }: Cancel): Promise<void> {
    const namespace = this.namespaces.get(name);
    if (namespace === undefined || !isEnding(namespace)) return;
    if (!namespace.spec?.finalizers?.includes(finalizer)) return;
    const emptied = await this.#empty(name, { signal });
    const isEmpty = emptied.remaining.length === 0 && emptied.failures.length === 0;
    if (isEmpty) {
      await this.#finalize(namespace, { signal });
      return;
    }
    await this.#writeStatus(namespace, emptied, { signal });
    const sinceMs = Date.parse(namespace.metadata.deletionTimestamp ?? '');
    const waitedMs = this.#deps.clock.now() - sinceMs;
    const againMs = Math.min(Math.max(waitedMs / 4, limits.againMs), limits.againMsMax);
    this.queue.addAfter(name, againMs);
  }

  async #empty(namespace: string, { signal }: Cancel): Promise<Emptied> {
    const remaining: Remaining[] = [];
    const failures: string[] = [];
    const emptyAll = async (kinds: readonly KindOf<KubeObject>[]): Promise<void> => {
      for (const kind of kinds) {
        try {
          const left = await this.#emptyOf(kind, namespace, { signal });
          if (left.count > 0) remaining.push(left);
        } catch (error) {
          signal.throwIfAborted();
          failures.push(`${kind.plural}: ${messageOf(error)}`);
        }
      }
    };
    const isPods = ({ group, plural }: KindOf<KubeObject>): boolean =>
      group === podKind.group && plural === podKind.plural;
    const kinds = this.#kinds().filter(({ namespaced }) => namespaced);
    await emptyAll(kinds.filter(isPods));
    const podsRemain = remaining.length > 0 || failures.length > 0;
    if (!podsRemain) await emptyAll(kinds.filter((kind) => !isPods(kind)));
    return { remaining, failures };
  }

  /** Deletes everything of one kind and says what is there afterwards. */
  async #emptyOf<T extends KubeObject>(
    kind: KindOf<T>,
    namespace: string,
    { signal }: Cancel,
  ): Promise<Remaining> {
    const { client } = this.#deps;
    const page = (limit: number, next?: string) =>
      client.list(kind, { namespace, limit, continue: next, metadataOnly: true, signal });
    let found = false;
    for (let list = await page(limits.pageLength); ; ) {
      found ||= list.items.length > 0;
      const alive = list.items.filter((item) => item.metadata.deletionTimestamp === undefined);
      await this.#deleteAll(kind, alive, { signal });
      if (list.continue === undefined) break;
      // Those behind a whole page that is gone come first now. Reading on at the old revision costs
      // the server more with everything that was deleted since.
      const isGone = alive.length === list.items.length;
      list = await page(limits.pageLength, isGone ? undefined : list.continue);
    }
    const finalizers = new Map<string, number>();
    const resource = `${kind.plural}.${kind.group}`;
    if (!found) return { resource, count: 0, finalizers };
    const left = await page(limits.pageLength);
    for (const { metadata } of left.items) {
      for (const name of metadata.finalizers ?? []) {
        finalizers.set(name, (finalizers.get(name) ?? 0) + 1);
      }
    }
    return { resource, count: left.items.length, finalizers };
  }

  async #deleteAll<T extends KubeObject>(
    kind: KindOf<T>,
    objects: readonly T[],
    { signal }: Cancel,
  ): Promise<void> {
    for (let from = 0; from < objects.length; from += limits.deletions) {
      const batch = objects.slice(from, from + limits.deletions).map(({ metadata }) => {
        const { namespace, name = '', uid = '' } = metadata;
        const options = {
          propagationPolicy: 'Background',
          preconditions: { uid },
          signal,
        } as const;
        return this.#deps.client.delete(kind, { namespace, name }, options).catch(ignoreNotFound);
      });
      await Promise.all(batch);
    }
  }

  async #writeStatus(namespace: Namespace, emptied: Emptied, { signal }: Cancel): Promise<void> {
    const before = namespace.status?.conditions ?? [];
    const conditions = planConditions(before, emptied, this.#deps.clock.now());
    const status = { ...namespace.status, phase: 'Terminating', conditions };
    const change = { before: namespace, after: { ...namespace, status } };
    await updateStatus(this.#deps.client, namespaceKind, change, { signal });
  }

  async #finalize(namespace: Namespace, { signal }: Cancel): Promise<void> {
    const kept = namespace.spec?.finalizers?.filter((name) => name !== finalizer) ?? [];
    const next = { ...namespace, spec: { ...namespace.spec, finalizers: kept } };
    const options = { subresource: 'finalize', signal };
    await this.#deps.client.update(namespaceKind, next, options).catch(ignoreNotFound);
  }
}

function isEnding(namespace: Namespace): boolean {
  return namespace.metadata.deletionTimestamp !== undefined;
}
