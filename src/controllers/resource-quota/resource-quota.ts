/**
 * Counts what each namespace uses of its quotas (`status.used`).
 *
 * Admission raises the count when something is created; this controller counts anew when a quota is
 * made or changed, when something goes or comes to weigh something else, and every five minutes.
 * It looks only at kinds that some quota names: of most their metadata is enough, and the garbage
 * collector keeps that anyway. Behaviour: kubernetes.io, "Resource Quotas".
 */
import type { KindOf } from '#api/kind-of.ts';
import { type KubeObject, objectKey } from '#api/object.ts';
import type { Informer } from '#client';
import { WorkQueue } from '#kit/work-queue.ts';
import {
  persistentVolumeClaims,
  pods,
  resourceQuotas as quotaKind,
  resourceClaims,
  services,
} from '#resources/kinds.ts';
import {
  type CountedObjects,
  isIgnored,
  resourcesOfKind,
  usageOf,
} from '#resources/quota/quota.ts';
import type { Pod, ResourceQuota } from '#resources/types/core-v1.ts';
import { ignoreNotFound } from '../api-failure.ts';
import type { Controller, ControllerDeps } from '../controller.ts';
import { isSameValue } from '../same-value.ts';
import { limits, planQuotaStatus } from './plan.ts';

/** Kinds that count for more than themselves. */
const weighed: readonly Pick<KindOf<KubeObject>, 'group' | 'plural'>[] = [
  pods,
  services,
  persistentVolumeClaims,
  resourceClaims,
];

export function openResourceQuotaController(
  deps: ControllerDeps,
  options: { readonly kinds: () => readonly KindOf<KubeObject>[] },
): Controller {
  const controller = new ResourceQuotaController(deps, options.kinds);
  return {
    name: 'resourcequota-controller',
    queue: controller.queue,
    reconcile: (key, cancel) => controller.reconcile(key, cancel),
    workers: 5,
    sources: [controller.quotas],
  };
}

class ResourceQuotaController {
  readonly queue: WorkQueue;
  readonly quotas: Informer<ResourceQuota>;
  readonly #deps: ControllerDeps;
  readonly #kinds: () => readonly KindOf<KubeObject>[];
  readonly #watched = new Map<string, Informer<KubeObject>>();

  constructor(deps: ControllerDeps, kinds: () => readonly KindOf<KubeObject>[]) {
    this.#deps = deps;
    this.#kinds = kinds;
    this.queue = new WorkQueue(deps);
    this.quotas = deps.informers.of(quotaKind);
    this.quotas.addHandler({
      onAdd: (quota) => this.queue.add(objectKey(quota)),
      onUpdate: (quota, old) => {
        if (!isSameValue(quota.spec, old.spec)) this.queue.add(objectKey(quota));
      },
    });
  }

  async reconcile(key: string, { signal }: { readonly signal: AbortSignal }): Promise<void> {
    const { client, clock } = this.#deps;
    const named = this.quotas.get(key);
    if (named === undefined) return;
    const names = Object.keys(named.spec?.hard ?? {});
    const { namespace = '' } = named.metadata;
    const objects: CountedObjects[] = [];
    for (const kind of this.#kinds()) {
      if (!kind.namespaced || isIgnored(kind) || resourcesOfKind(kind, names).length === 0)
        continue;
      const informer = this.#watch(kind);
      await informer.synced({ signal });
      objects.push({ kind, objects: informer.listNamespace(namespace) });
    }
    // It may have changed while a new kind was being listed.
    const quota = this.quotas.get(key);
    if (quota === undefined) return;
    const status = planQuotaStatus(quota, objects, clock.now());
    if (status !== undefined) {
      const options = { subresource: 'status', signal };
      await client.update(quotaKind, { ...quota, status }, options).catch(ignoreNotFound);
    }
    this.queue.addAfter(key, limits.resyncMs);
  }

  #watch(kind: KindOf<KubeObject>): Informer<KubeObject> {
    const name = `${kind.plural}.${kind.group}`;
    const known = this.#watched.get(name);
    if (known !== undefined) return known;
    const isWeighed = weighed.some(
      ({ group, plural }) => group === kind.group && plural === kind.plural,
    );
    const informer = this.#deps.informers.of(kind, { metadataOnly: !isWeighed });
    this.#watched.set(name, informer);
    const wake = (object: KubeObject): void => this.#wakeQuotas(kind, object);
    informer.addHandler({
      onAdd: wake,
      onUpdate: (object, old) => {
        if (isWeighed && this.#weighsOtherwise(kind, object, old)) wake(object);
      },
      onDelete: wake,
    });
    return informer;
  }

  #weighsOtherwise(kind: KindOf<KubeObject>, object: KubeObject, old: KubeObject): boolean {
    const nowMs = this.#deps.clock.now();
    const before = usageOf(kind, old, nowMs);
    if (!isSameValue(usageOf(kind, object, nowMs), before)) return true;
    // A deadline moves a pod from one scope to another.
    const deadline = (of: KubeObject): unknown => (of as Pod).spec?.activeDeadlineSeconds;
    return kind.plural === pods.plural && deadline(object) !== deadline(old);
  }

  #wakeQuotas(kind: KindOf<KubeObject>, { metadata }: KubeObject): void {
    for (const quota of this.quotas.listNamespace(metadata.namespace ?? '')) {
      const names = Object.keys(quota.spec?.hard ?? {});
      if (resourcesOfKind(kind, names).length > 0) this.queue.add(objectKey(quota));
    }
  }
}
