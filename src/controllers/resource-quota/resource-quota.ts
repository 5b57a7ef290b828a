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
  deviceClasses,
  persistentVolumeClaims,
  pods,
  resourceQuotas as quotaKind,
  resourceClaims,
  services,
} from '#resources/kinds.ts';
import {
  type CountedObjects,
  type DeviceFacts,
  isIgnored,
  resourcesOfKind,
  usageOf,
} from '#resources/quota/quota.ts';
import { mayBeBacked } from '#resources/resource/extended-device-class.ts';
import type { Pod, ResourceQuota } from '#resources/types/core-v1.ts';
import type { DeviceClass, ResourceClaim } from '#resources/types/resource-v1.ts';
import { ignoreNotFound } from '../api-failure.ts';
import type { Controller, ControllerDeps } from '../controller.ts';
import { isSameValue } from '../same-value.ts';
import { limits, lowers, planQuotaStatus, type QuotaStatus, raisedStatus } from './plan.ts';

/** Kinds that count for more than themselves. */
const weighed: readonly Pick<KindOf<KubeObject>, 'group' | 'plural'>[] = [
  pods,
  services,
  persistentVolumeClaims,
  resourceClaims,
];

interface QuotaOptions {
  readonly kinds: () => readonly KindOf<KubeObject>[];
  readonly resyncMs?: number;
}

export function openResourceQuotaController(
  deps: ControllerDeps,
  options: QuotaOptions,
): Controller {
  const controller = new ResourceQuotaController(deps, options);
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
  readonly #resyncMs: number;
  readonly #watched = new Map<string, Informer<KubeObject>>();
  /** From the first quota on that may count devices by other names. */
  #devices: DeviceInformers | undefined;
  /** Since when a quota that counts too much is as it is. */
  readonly #seen = new Map<
    string,
    { readonly resourceVersion: string | undefined; readonly sinceMs: number }
  >();

  constructor(deps: ControllerDeps, { kinds, resyncMs = limits.resyncMs }: QuotaOptions) {
    this.#deps = deps;
    this.#resyncMs = resyncMs;
    this.#kinds = kinds;
    this.queue = new WorkQueue(deps);
    this.quotas = deps.informers.of(quotaKind);
    this.quotas.addHandler({
      onAdd: (quota) => this.queue.add(objectKey(quota)),
      onUpdate: (quota, old) => {
        if (!isSameValue(quota.spec, old.spec)) this.queue.add(objectKey(quota));
      },
      onDelete: (quota) => this.#seen.delete(objectKey(quota)),
    });
  }

  async reconcile(key: string, { signal }: { readonly signal: AbortSignal }): Promise<void> {
    const { client, clock } = this.#deps;
    const named = this.quotas.get(key);
    if (named === undefined) return;
    const names = Object.keys(named.spec?.hard ?? {});
    const { namespace = '' } = named.metadata;
    const kinds: KindOf<KubeObject>[] = [];
    const objects: CountedObjects[] = [];
    const devices = await this.#devicesFor(names, { signal });
    for (const kind of this.#kinds()) {
      if (!kind.namespaced || isIgnored(kind)) continue;
      const counted = countedKind(kind, devices);
      if (resourcesOfKind(counted, names).length === 0) continue;
      const informer = this.#watch(kind);
      await informer.synced({ signal });
      kinds.push(kind);
      objects.push({ kind: counted, objects: informer.listNamespace(namespace) });
    }
    // It may have changed while a new kind was being listed.
    const quota = this.quotas.get(key);
    if (quota === undefined) return;
    this.queue.addAfter(key, this.#resyncMs);
    const counted = planQuotaStatus(quota, objects, clock.now());
    if (counted === undefined) return;
    const status = lowers(quota, counted)
      ? await this.#settled(key, quota, { kinds, devices, counted, signal })
      : counted;
    if (status === undefined) return;
    const options = { subresource: 'status', signal };
    await client.update(quotaKind, { ...quota, status }, options).catch(ignoreNotFound);
  }

  /**
   * A lower count, once it is sure: nobody has charged the quota for a while, and the server
   * itself, asked after that, has no more. Until then only what may be raised is.
   */
  async #settled(
    key: string,
    quota: ResourceQuota,
    {
      kinds,
      devices,
      counted,
      signal,
    }: {
      readonly kinds: readonly KindOf<KubeObject>[];
      readonly devices: DeviceFacts | undefined;
      readonly counted: QuotaStatus;
      readonly signal: AbortSignal;
    },
  ): Promise<QuotaStatus | undefined> {
    const { client, clock } = this.#deps;
    const { namespace, resourceVersion } = quota.metadata;
    const known = this.#seen.get(key);
    const isNew = known?.resourceVersion !== resourceVersion;
    const sinceMs = isNew ? clock.monotonic() : (known?.sinceMs ?? 0);
    if (isNew) this.#seen.set(key, { resourceVersion, sinceMs });
    const waitMs = sinceMs + limits.settleMs - clock.monotonic();
    if (waitMs > 0) {
      this.queue.addAfter(key, waitMs);
      return raisedStatus(quota, counted);
    }
    this.#seen.delete(key);
    const live: CountedObjects[] = [];
    for (const kind of kinds) {
      const { items } = await client.list(kind, { namespace, signal });
      live.push({ kind: countedKind(kind, devices), objects: items });
    }
    return planQuotaStatus(quota, live, clock.now());
  }

  /** Where a quota names extended resources: claims of devices may count under such a name. */
  async #devicesFor(
    names: readonly string[],
    options: { readonly signal: AbortSignal },
  ): Promise<DeviceFacts | undefined> {
    const prefix = 'requests.';
    const asks = (name: string): boolean =>
      name.startsWith(prefix) && mayBeBacked(name.slice(prefix.length));
    if (this.#devices === undefined && !names.some(asks)) return undefined;
    this.#devices ??= {
      classes: this.#deps.informers.of(deviceClasses),
      pods: this.#deps.informers.of(pods),
      claims: this.#deps.informers.of(resourceClaims),
    };
    const { classes, pods: podInformer, claims } = this.#devices;
    await Promise.all([classes, podInformer, claims].map((one) => one.synced(options)));
    return {
      classes: [...classes.list()],
      podOf: ({ metadata }, name) => podInformer.get(`${metadata.namespace}/${name}`),
      siblingsOf: ({ metadata }) => claims.listNamespace(metadata.namespace ?? ''),
    };
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
    // What comes was charged by admission before it was there.
    informer.addHandler({
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
      const counts = this.#devices !== undefined && kind.plural === resourceClaims.plural;
      if (counts || resourcesOfKind(kind, names).length > 0) this.queue.add(objectKey(quota));
    }
  }
}

interface DeviceInformers {
  readonly classes: Informer<DeviceClass>;
  readonly pods: Informer<Pod>;
  readonly claims: Informer<ResourceClaim>;
}

function countedKind({ group, plural }: KindOf<KubeObject>, devices: DeviceFacts | undefined) {
  return plural === resourceClaims.plural ? { group, plural, devices } : { group, plural };
}
