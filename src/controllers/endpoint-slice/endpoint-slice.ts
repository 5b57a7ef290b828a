/**
 * EndpointSlices: which addresses stand behind each Service that has a selector.
 *
 * Gathers the service, its pods, slices and the nodes' zones, asks `plan.ts`, and performs
 * (`managed-slices.ts`).
 */
import { objectKey } from '#api/object.ts';
import { mapMatches } from '#api/selectors.ts';
import type { Informer, Recorder } from '#client';
import { WorkQueue } from '#kit/work-queue.ts';
import { nodes as nodeKind, pods as podKind, services as serviceKind } from '#resources/kinds.ts';
import type { Node, Pod, Service } from '#resources/types/core-v1.ts';
import type { Controller, ControllerDeps } from '../controller.ts';
import type { Figures } from '../figures.ts';
import { isSameValue } from '../same-value.ts';
import { ChangeTimes, changeTimeAnnotation } from './change-times.ts';
import { wantsAutomaticHints } from './hints.ts';
import { ManagedSlices } from './managed-slices.ts';
import { type Action, limits, managerName, planSlices } from './plan.ts';
import { isRelevant, selectorOf, servicesOf } from './pod-endpoints.ts';
import { noteWrites, tellSlices } from './slice-figures.ts';

const zoneLabel = 'topology.kubernetes.io/zone';

interface SliceOptions {
  readonly perSlice?: number;
  /** News of pods wait this long for more of them. */
  readonly batchMs?: number | undefined;
}

export function openEndpointSliceController(
  deps: ControllerDeps,
  options: SliceOptions = {},
): Controller {
  const controller = new EndpointSliceController(deps, options);
  return {
    name: 'endpointslice-controller',
    queue: controller.queue,
    reconcile: (key, options) => controller.reconcile(key, options),
    workers: 5,
    sources: [controller.services, controller.pods, controller.slices.informer, controller.nodes],
  };
}

class EndpointSliceController {
  readonly queue: WorkQueue;
  readonly services: Informer<Service>;
  readonly pods: Informer<Pod>;
  readonly slices: ManagedSlices;
  readonly nodes: Informer<Node>;
  readonly #recorder: Recorder;
  readonly #changeTimes = new ChangeTimes();
  /** Services with hints by CPU: why they have none, or nothing. */
  readonly #hinted = new Map<string, ReadonlyMap<string, string>>();
  readonly #options: SliceOptions;
  readonly #figures: Figures;

  constructor(deps: ControllerDeps, options: SliceOptions) {
    this.#options = options;
    this.#figures = deps.figures;
    this.#recorder = deps.recorderFor('endpoint-slice-controller');
    this.queue = new WorkQueue(deps);
    this.services = deps.informers.of(serviceKind);
    this.pods = deps.informers.of(podKind);
    this.slices = new ManagedSlices(deps, { manager: managerName, queue: this.queue });
    this.nodes = deps.informers.of(nodeKind);
    const { perSlice = limits.endpointsPerSlice } = options;
    const slices = () => this.slices.all();
    tellSlices(deps.figures, 'endpoint_slice_controller', { perSlice, slices });
    const wake = (service: Service): void => this.queue.add(objectKey(service));
    this.services.addHandler({
      onAdd: wake,
      onUpdate: wake,
      onDelete: (service) => {
        this.slices.forget(objectKey(service));
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
    if (!this.slices.areSeen(key)) {
      this.#figures.count('endpoint_slice_controller_syncs', ['stale']);
      return;
    }
    const pods: Pod[] = [];
    for (const pod of this.pods.listNamespace(service.metadata.namespace ?? '')) {
      if (mapMatches(selector, pod.metadata.labels)) pods.push(pod);
    }
    const slices = this.slices.of(key);
    const { actions, hints } = planSlices({
      service,
      pods,
      nodeOf: (nodeName) => this.nodes.get(nodeName),
      nodes: () => this.nodes.list(),
      slices,
      perSlice: this.#options.perSlice,
    });
    this.#tellHints(service, hints);
    const changedAt = this.#changeTimes.of(service, pods);
    const dated = actions.map((action) => withChangeTime(action, changedAt));
    try {
      await this.slices.perform(key, dated, { signal });
      this.#figures.count('endpoint_slice_controller_syncs', ['success']);
    } catch (error) {
      this.#figures.count('endpoint_slice_controller_syncs', ['error']);
      throw error;
    }
    noteWrites(this.#figures, 'endpoint_slice_controller', { before: slices, actions });
    const distribution = service.spec?.trafficDistribution ?? '';
    const labels = wantsAutomaticHints(service) ? ['Auto', ''] : ['Disabled', distribution];
    const changed = 'endpoint_slice_controller_endpointslices_changed_per_sync';
    this.#figures.observe(changed, labels, actions.length);
  }

  #wakeSelecting(pod: Pod): void {
    const services = this.services.listNamespace(pod.metadata.namespace ?? '');
    const { batchMs = 0 } = this.#options;
    for (const service of servicesOf(pod, services)) {
      this.queue.addAfter(objectKey(service), batchMs);
    }
  }

  /** Events about hints by zone, as each begins and ends, for each type of addresses. */
  #tellHints(service: Service, hints: ReadonlyMap<string, string>): void {
    const key = objectKey(service);
    const before = this.#hinted.get(key) ?? new Map<string, string>();
    if (hints.size > 0) this.#hinted.set(key, hints);
    else this.#hinted.delete(key);
    for (const [addressType, refusal] of hints) {
      if (before.get(addressType) === refusal) continue;
      const given = refusal === '';
      const what = given ? 'Topology Aware Hints has been enabled' : refusal;
      this.#tellHint(service, given, `${what}, addressType: ${addressType}`);
    }
    for (const [addressType, refusal] of before) {
      if (hints.has(addressType) || refusal !== '') continue;
      const message = `Topology Aware Hints has been disabled, addressType: ${addressType}`;
      this.#tellHint(service, false, message);
    }
  }

  #tellHint(service: Service, given: boolean, message: string): void {
    const type = given ? 'Normal' : 'Warning';
    const reason = given ? 'TopologyAwareHintsEnabled' : 'TopologyAwareHintsDisabled';
    this.#recorder.record(service, { type, reason, message });
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

function withChangeTime(action: Action, changedAt: string | undefined): Action {
  const { metadata } = action.slice;
  const { [changeTimeAnnotation]: _, ...others } = metadata.annotations ?? {};
  const annotations =
    changedAt === undefined ? others : { ...others, [changeTimeAnnotation]: changedAt };
  return { ...action, slice: { ...action.slice, metadata: { ...metadata, annotations } } };
}

function zoneOf(node: Node | undefined): string | undefined {
  return node?.metadata.labels?.[zoneLabel];
}

/** What hints by CPU are made from. */
function weightOf({ status }: Node): unknown {
  const ready = status?.conditions?.find(({ type }) => type === 'Ready')?.status;
  return [ready, status?.allocatable?.['cpu']];
}
