/**
 * EndpointSlices: which addresses stand behind each Service that has a selector.
 *
 * Gathers the service, its pods, slices and the nodes' zones, asks `plan.ts`, and performs. A slice
 * that was created and is not in the cache yet is waited for, so that none is created twice.
 */
import { objectKey } from '#api/object.ts';
import { mapMatches } from '#api/selectors.ts';
import type { Informer } from '#client';
import { WorkQueue } from '#kit/work-queue.ts';
import {
  nodes as nodeKind,
  pods as podKind,
  services as serviceKind,
  endpointSlices as sliceKind,
} from '#resources/kinds.ts';
import type { Node, Pod, Service } from '#resources/types/core-v1.ts';
import type { EndpointSlice } from '#resources/types/discovery-v1.ts';
import { ignoreNotFound, isNamespaceEnding } from '../api-failure.ts';
import type { Controller, ControllerDeps } from '../controller.ts';
import { Expectations } from '../expectations.ts';
import { isSameValue } from '../same-value.ts';
import { type Action, labels, managerName, planSlices } from './plan.ts';

const serviceIndex = 'managed slices of service';
const zoneLabel = 'topology.kubernetes.io/zone';

export function openEndpointSliceController(deps: ControllerDeps): Controller {
  const controller = new EndpointSliceController(deps);
  return {
    name: 'endpointslice-controller',
    queue: controller.queue,
    reconcile: (key, options) => controller.reconcile(key, options),
    workers: 5,
    sources: [controller.services, controller.pods, controller.slices, controller.nodes],
  };
}

class EndpointSliceController {
  readonly queue: WorkQueue;
  readonly services: Informer<Service>;
  readonly pods: Informer<Pod>;
  readonly slices: Informer<EndpointSlice>;
  readonly nodes: Informer<Node>;
  readonly #deps: ControllerDeps;
  readonly #expectations: Expectations;

  constructor(deps: ControllerDeps) {
    this.#deps = deps;
    this.#expectations = new Expectations(deps);
    this.queue = new WorkQueue(deps);
    this.services = deps.informers.of(serviceKind);
    this.pods = deps.informers.of(podKind);
    this.slices = deps.informers.of(sliceKind);
    this.nodes = deps.informers.of(nodeKind);
    this.slices.addIndex(serviceIndex, (slice) => {
      const key = serviceKeyOf(slice);
      return key === undefined ? [] : [key];
    });
    const wake = (service: Service): void => this.queue.add(objectKey(service));
    this.services.addHandler({
      onAdd: wake,
      onUpdate: wake,
      onDelete: (service) => this.#expectations.forget(objectKey(service)),
    });
    this.pods.addHandler({
      onAdd: (pod) => this.#wakeSelecting(pod),
      onUpdate: (pod, old) => {
        if (!isSameValue(pod.metadata.labels, old.metadata.labels)) this.#wakeSelecting(old);
        if (isRelevant(pod, old)) this.#wakeSelecting(pod);
      },
      onDelete: (pod) => this.#wakeSelecting(pod),
    });
    this.slices.addHandler({
      onAdd: (slice) => this.#sliceSeen(slice, 'creation'),
      onUpdate: (slice, old) => {
        this.#sliceSeen(slice, 'update');
        if (serviceKeyOf(old) !== serviceKeyOf(slice)) this.#sliceSeen(old, 'update');
      },
      onDelete: (slice) => this.#sliceSeen(slice, 'deletion'),
    });
    this.nodes.addHandler({
      onAdd: () => this.#wakeAll(),
      onUpdate: (node, old) => {
        if (zoneOf(node) !== zoneOf(old)) this.#wakeAll();
      },
    });
  }

  async reconcile(key: string, { signal }: { readonly signal: AbortSignal }): Promise<void> {
    const service = this.services.get(key);
    // Slices of a deleted service are the garbage collector's, those without selector users'.
    if (service === undefined || service.metadata.deletionTimestamp !== undefined) return;
    const { selector } = service.spec ?? {};
    if (selector === undefined || Object.keys(selector).length === 0) return;
    if (!this.#expectations.areMet(key)) return;
    const pods: Pod[] = [];
    for (const pod of this.pods.listNamespace(service.metadata.namespace ?? '')) {
      if (mapMatches(selector, pod.metadata.labels)) pods.push(pod);
    }
    const slices = [...this.slices.byIndex(serviceIndex, key)];
    const zone = (nodeName: string): string | undefined => zoneOf(this.nodes.get(nodeName));
    const actions = planSlices({ service, pods, zoneOf: zone, slices });
    const created = actions.filter((action) => action.do === 'create').length;
    const deletions = actions
      .filter((action) => action.do === 'delete')
      .map(({ slice }) => slice.metadata.uid ?? '');
    this.#expectations.expect(key, { creations: created, deletions });
    try {
      for (const action of actions) await this.#perform(action, { signal });
    } catch (error) {
      // The next attempt starts from what the cache then shows.
      this.#expectations.forget(key);
      if (!isNamespaceEnding(error)) throw error;
    }
  }

  async #perform(action: Action, { signal }: { readonly signal: AbortSignal }): Promise<void> {
    const { client } = this.#deps;
    const { namespace, name = '' } = action.slice.metadata;
    switch (action.do) {
      case 'create':
        await client.create(sliceKind, action.slice, { signal });
        break;
      case 'update':
        await client.update(sliceKind, action.slice, { signal });
        break;
      case 'delete':
        await client.delete(sliceKind, { namespace, name }, { signal }).catch(ignoreNotFound);
        break;
      default:
        action.do satisfies never;
    }
  }

  #sliceSeen(slice: EndpointSlice, what: 'creation' | 'update' | 'deletion'): void {
    const key = serviceKeyOf(slice);
    if (key === undefined) return;
    if (what === 'creation') this.#expectations.sawCreation(key);
    if (what === 'deletion') this.#expectations.sawDeletion(key, slice.metadata.uid ?? '');
    this.queue.add(key);
  }

  #wakeSelecting(pod: Pod): void {
    for (const service of this.services.listNamespace(pod.metadata.namespace ?? '')) {
      const { selector } = service.spec ?? {};
      if (selector !== undefined && mapMatches(selector, pod.metadata.labels)) {
        this.queue.add(objectKey(service));
      }
    }
  }

  #wakeAll(): void {
    for (const service of this.services.list()) this.queue.add(objectKey(service));
  }
}

/** The service whose managed slice this is. */
function serviceKeyOf({ metadata }: EndpointSlice): string | undefined {
  if (metadata.labels?.[labels.managedBy] !== managerName) return undefined;
  const name = metadata.labels[labels.serviceName];
  return name === undefined ? undefined : `${metadata.namespace}/${name}`;
}

function zoneOf(node: Node | undefined): string | undefined {
  return node?.metadata.labels?.[zoneLabel];
}

/** Whether an endpoint could have changed; most updates of a pod are about something else. */
function isRelevant(pod: Pod, old: Pod): boolean {
  const ready = (of: Pod) =>
    of.status?.conditions?.find((condition) => condition.type === 'Ready')?.status;
  return (
    ready(pod) !== ready(old) ||
    pod.status?.phase !== old.status?.phase ||
    pod.spec?.nodeName !== old.spec?.nodeName ||
    pod.metadata.deletionTimestamp !== old.metadata.deletionTimestamp ||
    !isSameValue(pod.status?.podIPs, old.status?.podIPs) ||
    pod.status?.podIP !== old.status?.podIP ||
    !isSameValue(pod.metadata.labels, old.metadata.labels)
  );
}
