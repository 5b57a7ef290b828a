/**
 * EndpointSlices: which addresses stand behind each Service that has a selector.
 *
 * Gathers the service, its pods, slices and the nodes' zones, asks `plan.ts`, and performs. A slice
 * that was created and is not in the cache yet is waited for, so that none is created twice.
 */
import { objectKey } from '#api/object.ts';
import { mapMatches } from '#api/selectors.ts';
import type { Informer, Recorder } from '#client';
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
import { ChangeTimes, changeTimeAnnotation } from './change-times.ts';
import { wantsAutomaticHints } from './hints.ts';
import { type Action, labels, managerName, planSlices } from './plan.ts';
import { isRelevant, selectorOf, servicesOf } from './pod-endpoints.ts';

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
  readonly #recorder: Recorder;
  readonly #changeTimes = new ChangeTimes();
  /** Services with hints by CPU: why they have none, or nothing. */
  readonly #hinted = new Map<string, string>();

  constructor(deps: ControllerDeps) {
    this.#deps = deps;
    this.#expectations = new Expectations(deps);
    this.#recorder = deps.recorderFor('endpoint-slice-controller');
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
      onDelete: (service) => {
        this.#expectations.forget(objectKey(service));
        this.#changeTimes.forget(objectKey(service));
        this.#hinted.delete(objectKey(service));
      },
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
        else if (!isSameValue(weightOf(node), weightOf(old))) this.#wakeHinted();
      },
      onDelete: () => this.#wakeAll(),
    });
  }

  async reconcile(key: string, { signal }: { readonly signal: AbortSignal }): Promise<void> {
    const service = this.services.get(key);
    // Slices of a deleted service are the garbage collector's, those without selector users'.
    if (service === undefined || service.metadata.deletionTimestamp !== undefined) return;
    const selector = selectorOf(service);
    if (selector === undefined) return;
    if (!this.#expectations.areMet(key)) return;
    const pods: Pod[] = [];
    for (const pod of this.pods.listNamespace(service.metadata.namespace ?? '')) {
      if (mapMatches(selector, pod.metadata.labels)) pods.push(pod);
    }
    const slices = [...this.slices.byIndex(serviceIndex, key)];
    const { actions, refusals } = planSlices({
      service,
      pods,
      nodeOf: (nodeName) => this.nodes.get(nodeName),
      nodes: () => this.nodes.list(),
      slices,
    });
    this.#tellHints(service, refusals);
    const changedAt = this.#changeTimes.of(service, pods);
    const created = actions.filter((action) => action.do === 'create').length;
    const deletions = actions
      .filter((action) => action.do === 'delete')
      .map(({ slice }) => slice.metadata.uid ?? '');
    this.#expectations.expect(key, { creations: created, deletions });
    try {
      for (const action of actions) await this.#perform(action, changedAt, { signal });
    } catch (error) {
      // The next attempt starts from what the cache then shows.
      this.#expectations.forget(key);
      if (!isNamespaceEnding(error)) throw error;
    }
  }

  async #perform(
    action: Action,
    changedAt: string | undefined,
    { signal }: { readonly signal: AbortSignal },
  ): Promise<void> {
    const { client } = this.#deps;
    const { namespace, name = '' } = action.slice.metadata;
    const { [changeTimeAnnotation]: _, ...others } = action.slice.metadata.annotations ?? {};
    const annotations =
      changedAt === undefined ? others : { ...others, [changeTimeAnnotation]: changedAt };
    const slice = { ...action.slice, metadata: { ...action.slice.metadata, annotations } };
    switch (action.do) {
      case 'create':
        await client.create(sliceKind, slice, { signal });
        break;
      case 'update':
        await client.update(sliceKind, slice, { signal });
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
    const services = this.services.listNamespace(pod.metadata.namespace ?? '');
    for (const service of servicesOf(pod, services)) this.queue.add(objectKey(service));
  }

  /** Events about hints by zone, as each begins and ends. */
  #tellHints(service: Service, refusals: readonly string[]): void {
    const key = objectKey(service);
    const before = this.#hinted.get(key);
    if (!wantsAutomaticHints(service)) {
      if (before !== undefined) this.#hinted.delete(key);
      if (before === '') this.#tellDisabled(service, 'Topology Aware Hints has been disabled');
      return;
    }
    const now = refusals.join('; ');
    if (now === before) return;
    this.#hinted.set(key, now);
    if (now !== '') {
      this.#tellDisabled(service, now);
      return;
    }
    const message = 'Topology Aware Hints has been enabled';
    this.#recorder.record(service, {
      type: 'Normal',
      reason: 'TopologyAwareHintsEnabled',
      message,
    });
  }

  #tellDisabled(service: Service, message: string): void {
    const reason = 'TopologyAwareHintsDisabled';
    this.#recorder.record(service, { type: 'Warning', reason, message });
  }

  #wakeHinted(): void {
    for (const service of this.services.list()) {
      if (wantsAutomaticHints(service)) this.queue.add(objectKey(service));
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

/** What hints by CPU are made from. */
function weightOf({ status }: Node): unknown {
  const ready = status?.conditions?.find(({ type }) => type === 'Ready')?.status;
  return [ready, status?.allocatable?.['cpu']];
}
