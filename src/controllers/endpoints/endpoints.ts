/**
 * Endpoints: for clients that still read the older form of EndpointSlices.
 *
 * Each Service with a selector has an object of the same name, which goes when the Service goes;
 * those of Services without selector are their users' (`endpoint-slice-mirroring/` tells the node
 * proxies of them). `plan.ts` says what stands in it.
 */
import { objectKey } from '#api/object.ts';
import { mapMatches } from '#api/selectors.ts';
import type { Informer, Recorder } from '#client';
import { messageOf } from '#kit/error-message.ts';
import { WorkQueue } from '#kit/work-queue.ts';
import {
  endpoints as endpointsKind,
  pods as podKind,
  services as serviceKind,
} from '#resources/kinds.ts';
import type { Endpoints, Pod, Service } from '#resources/types/core-v1.ts';
import { ignoreNotFound, isNamespaceEnding } from '../api-failure.ts';
import type { Controller, ControllerDeps } from '../controller.ts';
import { ChangeTimes, changeTimeAnnotation } from '../endpoint-slice/change-times.ts';
import { isRelevant, selectorOf, servicesOf } from '../endpoint-slice/pod-endpoints.ts';
import { isSameValue } from '../same-value.ts';
import { managerName, planEndpoints } from './plan.ts';

/** Objects that serve as locks of old leader elections belong to no Service. */
const leaderAnnotation = 'control-plane.alpha.kubernetes.io/leader';

/** `batchMs`: news of pods wait this long for more of them. */
export function openEndpointsController(deps: ControllerDeps, batchMs = 0): Controller {
  const controller = new EndpointsController(deps, batchMs);
  return {
    name: 'endpoints-controller',
    queue: controller.queue,
    reconcile: (key, options) => controller.reconcile(key, options),
    workers: 5,
    sources: [controller.services, controller.pods, controller.endpoints],
  };
}

class EndpointsController {
  readonly queue: WorkQueue;
  readonly services: Informer<Service>;
  readonly pods: Informer<Pod>;
  readonly endpoints: Informer<Endpoints>;
  readonly #deps: ControllerDeps;
  readonly #recorder: Recorder;
  readonly #changeTimes = new ChangeTimes();

  constructor(deps: ControllerDeps, batchMs: number) {
    this.#deps = deps;
    this.#recorder = deps.recorderFor(managerName);
    this.queue = new WorkQueue(deps);
    this.services = deps.informers.of(serviceKind);
    this.pods = deps.informers.of(podKind);
    this.endpoints = deps.informers.of(endpointsKind);
    const startedAtMs = deps.clock.now();
    const wake = (object: Service | Endpoints): void => this.queue.add(objectKey(object));
    this.services.addHandler({ onAdd: wake, onUpdate: wake, onDelete: wake });
    const wakeSelecting = (pod: Pod): void => {
      const services = this.services.listNamespace(pod.metadata.namespace ?? '');
      for (const service of servicesOf(pod, services)) {
        this.queue.addAfter(objectKey(service), batchMs);
      }
    };
    this.pods.addHandler({
      onAdd: wakeSelecting,
      onUpdate: (pod, old) => {
        if (!isSameValue(pod.metadata.labels, old.metadata.labels)) wakeSelecting(old);
        if (isRelevant(pod, old)) wakeSelecting(pod);
      },
      onDelete: wakeSelecting,
    });
    this.endpoints.addHandler({
      onAdd: (endpoints) => {
        // Left by a Service that went while nobody looked; what comes later is somebody's own.
        const { creationTimestamp = '' } = endpoints.metadata;
        const isLeftover = Date.parse(creationTimestamp) < startedAtMs;
        if (isLeftover && !isLeftAlone(endpoints)) wake(endpoints);
      },
      onDelete: wake,
    });
  }

  async reconcile(key: string, { signal }: { readonly signal: AbortSignal }): Promise<void> {
    const { client } = this.#deps;
    const service = this.services.get(key);
    const before = this.endpoints.get(key);
    if (service === undefined) {
      this.#changeTimes.forget(key);
      if (before === undefined || isLeftAlone(before)) return;
      const { namespace, name = '' } = before.metadata;
      await client.delete(endpointsKind, { namespace, name }, { signal }).catch(ignoreNotFound);
      return;
    }
    const selector = selectorOf(service);
    if (selector === undefined || service.spec?.type === 'ExternalName') return;
    const pods: Pod[] = [];
    for (const pod of this.pods.listNamespace(service.metadata.namespace ?? '')) {
      if (mapMatches(selector, pod.metadata.labels)) pods.push(pod);
    }
    const changedAt = this.#changeTimes.of(service, pods);
    const planned = planEndpoints({ service, pods, before });
    if (planned !== undefined) await this.#write(service, planned, { changedAt, signal });
  }

  async #write(
    service: Service,
    planned: Endpoints,
    options: { readonly changedAt: string | undefined; readonly signal: AbortSignal },
  ): Promise<void> {
    const { client } = this.#deps;
    const { changedAt, signal } = options;
    const { [changeTimeAnnotation]: _, ...others } = planned.metadata.annotations ?? {};
    const time = changedAt === undefined ? {} : { [changeTimeAnnotation]: changedAt };
    const metadata = { ...planned.metadata, annotations: { ...others, ...time } };
    const isNew = planned.metadata.resourceVersion === undefined;
    try {
      if (isNew) await client.create(endpointsKind, { ...planned, metadata }, { signal });
      else await client.update(endpointsKind, { ...planned, metadata }, { signal });
    } catch (error) {
      signal.throwIfAborted();
      if (isNamespaceEnding(error)) return;
      const name = isNew
        ? `for service ${service.metadata.namespace}/${service.metadata.name}`
        : objectKey(service);
      const what = isNew ? 'Create' : 'Update';
      const message = `Failed to ${what.toLowerCase()} endpoint ${name}: ${messageOf(error)}`;
      this.#recorder.record(planned, {
        type: 'Warning',
        reason: `FailedTo${what}Endpoint`,
        message,
      });
      throw error;
    }
  }
}

function isLeftAlone({ metadata }: Endpoints): boolean {
  return leaderAnnotation in (metadata.annotations ?? {});
}
