/**
 * Notices nodes that are gone, and says so: conditions, taints, and pods that are not ready any
 * more.
 *
 * Signs of life (a renewed Lease, a posted status) are timed by this process's own clock when they
 * are seen, so that clocks of nodes do not matter. There is no polling: each node has one timer for
 * the moment when its grace would be over. `plan.ts` decides what follows.
 */
import type { Cancel, Informer, Recorder } from '#client';
import { formatTime } from '#kit/clock.ts';
import { WorkQueue } from '#kit/work-queue.ts';
import { leases as leaseKind, nodes as nodeKind, pods as podKind } from '#resources/kinds.ts';
import type { Lease } from '#resources/types/coordination-v1.ts';
import type { Node, NodeCondition, Pod, Taint } from '#resources/types/core-v1.ts';
import { ignoreNotFound } from '../api-failure.ts';
import type { Controller, ControllerDeps } from '../controller.ts';
import type { FigureName } from '../figures.ts';
import { type NodePatches, nodeWorkers } from '../node-patches.ts';
import { conditionOf, nodeNamesOf, podsByNode } from '../pod-state.ts';
import { isSameValue } from '../same-value.ts';
import {
  deadlineMs,
  type HealthSettings,
  pace,
  planLabels,
  planTaints,
  planUnknown,
  readyStatus,
  withoutEviction,
} from './plan.ts';

const leaseNamespace = 'kube-node-lease';

interface Zone {
  nodes: number;
  unhealthy: number;
}

interface Deps extends ControllerDeps {
  readonly nodePatches: NodePatches;
}

export function openNodeLifecycleController(deps: Deps, settings?: HealthSettings): Controller {
  const controller = new NodeLifecycleController(deps, settings);
  return {
    name: 'node-lifecycle-controller',
    queue: controller.queue,
    reconcile: (key, options) => controller.reconcile(key, options),
    // Each waits for its write most of the time; a node takes no pods until its turn has come.
    workers: nodeWorkers,
    sources: [controller.nodes, controller.pods, controller.leases],
  };
}

class NodeLifecycleController {
  readonly queue: WorkQueue;
  readonly nodes: Informer<Node>;
  readonly pods: Informer<Pod>;
  readonly leases: Informer<Lease>;
  readonly #deps: Deps;
  readonly #settings: HealthSettings | undefined;
  readonly #recorder: Recorder;
  /** When each node last gave a sign of life, on the monotonic clock. */
  readonly #heardMs = new Map<string, number>();
  /** When the next node of a zone may be given up. */
  readonly #nextEvictionMs = new Map<string, number>();

  constructor(deps: Deps, settings: HealthSettings | undefined) {
    this.#deps = deps;
    this.#settings = settings;
    this.#recorder = deps.recorderFor('node-controller');
    this.queue = new WorkQueue(deps);
    this.nodes = deps.informers.of(nodeKind);
    this.pods = deps.informers.of(podKind);
    this.leases = deps.informers.of(leaseKind, { namespace: leaseNamespace });
    this.pods.addIndex(podsByNode, nodeNamesOf);
    this.nodes.addHandler({
      onAdd: (node) => {
        this.#heard(nameOf(node));
        this.queue.add(nameOf(node));
        this.#tell(node, 'RegisteredNode', `Registered Node ${nameOf(node)} in Controller`);
      },
      onUpdate: (node, old) => {
        if (!isSameValue(heartbeats(node), heartbeats(old))) this.#heard(nameOf(node));
        // Whether pods may be driven off a node depends on how the others are.
        if (readyStatus(node) !== readyStatus(old)) this.#wakeUnhealthy();
        if (readyStatus(node) !== 'True' && readyStatus(old) === 'True') this.#tellNotReady(node);
        this.queue.add(nameOf(node));
      },
      onDelete: (node) => {
        this.#heardMs.delete(nameOf(node));
        this.#wakeUnhealthy();
        this.#tell(node, 'RemovingNode', `Removing Node ${nameOf(node)} from Controller`);
      },
    });
    const { figures } = deps;
    const tell = (name: FigureName, weigh: (zone: Zone) => number): void =>
      figures.gauge(name, () => [...this.#zones()].map(([zone, one]) => [[zone], weigh(one)]));
    figures.gauge('node_collector_zone_size', () =>
      [...this.#zones()].map(([zone, { nodes }]) => {
        figures.count('node_collector_evictions_total', [zone], 0);
        return [[zone], nodes];
      }),
    );
    tell('node_collector_unhealthy_nodes_in_zone', ({ unhealthy }) => unhealthy);
    tell(
      'node_collector_zone_health',
      ({ nodes, unhealthy }) => (100 * (nodes - unhealthy)) / nodes,
    );
    this.leases.addHandler({
      onAdd: (lease) => this.#heard(lease.metadata.name ?? ''),
      onUpdate: (lease, old) => {
        if (lease.spec?.renewTime !== old.spec?.renewTime) this.#heard(lease.metadata.name ?? '');
      },
    });
  }

  async reconcile(name: string, { signal }: Cancel): Promise<void> {
    const node = this.nodes.get(name);
    if (node === undefined) return;
    const { clock, figures } = this.#deps;
    const fromMs = clock.monotonic();
    await this.#look(name, node, { signal });
    const seconds = (clock.monotonic() - fromMs) / 1000;
    figures.observe('node_collector_update_node_health_duration_seconds', [], seconds);
  }

  async #look(name: string, node: Node, { signal }: Cancel): Promise<void> {
    const { clock } = this.#deps;
    const heardMs = this.#heardMs.get(name) ?? clock.monotonic();
    const deadline = deadlineMs(node, heardMs, this.#settings);
    if (deadline > clock.monotonic()) {
      this.queue.addAfter(name, deadline - clock.monotonic() + 1);
    } else {
      const conditions = planUnknown(node, clock.now());
      if (conditions !== undefined) {
        await this.#giveUp(node, conditions, { signal });
        // The changed node comes back through the informer and is tainted then.
        return;
      }
    }
    await this.#taint(node, { signal });
    await this.#label(node, { signal });
    if (readyStatus(node) !== 'True') await this.#markPods(node, { signal });
  }

  async #giveUp(node: Node, conditions: readonly NodeCondition[], { signal }: Cancel) {
    const status = { ...node.status, conditions };
    const options = { subresource: 'status', signal };
    await this.#deps.client.update(nodeKind, { ...node, status }, options).catch(ignoreNotFound);
    this.#deps.log.info('node is not heard of any more', { node: nameOf(node) });
  }

  #tell(node: Node, reason: string, what: string): void {
    const message = `Node ${nameOf(node)} event: ${what}`;
    this.#recorder.record(node, { type: 'Normal', reason, message });
  }

  #tellNotReady(node: Node): void {
    const message = `Node ${nameOf(node)} status is now: NodeNotReady`;
    this.#recorder.record(node, { type: 'Normal', reason: 'NodeNotReady', message });
  }

  async #taint(node: Node, { signal }: Cancel): Promise<void> {
    const before = node.spec?.taints ?? [];
    const taints = this.#planTaints(node) ?? before;
    if (isSameValue(taints, before)) return;
    const { resourceVersion } = node.metadata;
    const patch = { metadata: { resourceVersion }, spec: { taints } };
    await this.#deps.nodePatches.patch(nameOf(node), patch, { signal }).catch(ignoreNotFound);
  }

  /** What old clients still select by. */
  async #label(node: Node, { signal }: Cancel): Promise<void> {
    const labels = planLabels(node);
    if (labels === undefined) return;
    const patch = { metadata: { labels } };
    await this.#deps.nodePatches.patch(nameOf(node), patch, { signal }).catch(ignoreNotFound);
  }

  #planTaints(node: Node): readonly Taint[] | undefined {
    const { clock } = this.#deps;
    // A healthy node is driven away from in no case: how the others are does not matter.
    if (readyStatus(node) === 'True') return planTaints(node, { mayEvict: false }, clock.now());
    const zones = this.#zones();
    const zone = zoneOf(node);
    const own = zones.get(zone) ?? { nodes: 0, unhealthy: 0 };
    const speed = pace(zones.values(), own, this.#settings);
    if (speed === 'stop') {
      const planned = planTaints(node, { mayEvict: false }, clock.now());
      if (!isAllDown(zones)) return planned;
      return withoutEviction(planned ?? node.spec?.taints ?? []);
    }
    const now = clock.monotonic();
    const nextMs = this.#nextEvictionMs.get(zone) ?? now;
    const planned = planTaints(node, { mayEvict: nextMs <= now }, clock.now());
    const wasEvicted = (node.spec?.taints ?? []).some(isEviction);
    const isEvicted = planned === undefined ? wasEvicted : planned.some(isEviction);
    if (isEvicted && !wasEvicted) {
      this.#nextEvictionMs.set(zone, now + speed);
      this.#deps.figures.count('node_collector_evictions_total', [zone]);
    } else if (!isEvicted && nextMs > now) this.queue.addAfter(nameOf(node), nextMs - now);
    return planned;
  }

  /** Pods of a node that is not heard of are not ready either: Services must leave them out. */
  async #markPods(node: Node, { signal }: Cancel): Promise<void> {
    for (const pod of [...this.pods.byIndex(podsByNode, nameOf(node))]) {
      const ready = conditionOf(pod, 'Ready');
      if (ready?.status !== 'True') continue;
      const now = formatTime(this.#deps.clock.now());
      const conditions = pod.status?.conditions?.map((condition) =>
        condition === ready ? { ...ready, status: 'False', lastTransitionTime: now } : condition,
      );
      const next = { ...pod, status: { ...pod.status, conditions } };
      const options = { subresource: 'status', signal };
      await this.#deps.client.update(podKind, next, options).catch(ignoreNotFound);
      const message = 'Node is not ready';
      this.#recorder.record(pod, { type: 'Warning', reason: 'NodeNotReady', message });
    }
  }

  #zones(): Map<string, Zone> {
    const zones = new Map<string, Zone>();
    for (const node of this.nodes.list()) {
      const zone = zones.get(zoneOf(node)) ?? { nodes: 0, unhealthy: 0 };
      zones.set(zoneOf(node), zone);
      zone.nodes += 1;
      if (this.#isAway(node)) zone.unhealthy += 1;
    }
    return zones;
  }

  /** Or will be said to be, as soon as that is written. */
  #isAway(node: Node): boolean {
    if (readyStatus(node) !== 'True') return true;
    const now = this.#deps.clock.monotonic();
    const heardMs = this.#heardMs.get(nameOf(node)) ?? now;
    return deadlineMs(node, heardMs, this.#settings) <= now;
  }

  #heard(name: string): void {
    this.#heardMs.set(name, this.#deps.clock.monotonic());
  }

  #wakeUnhealthy(): void {
    for (const node of this.nodes.list()) {
      if (readyStatus(node) !== 'True') this.queue.add(nameOf(node));
    }
  }
}

function nameOf(node: Node): string {
  return node.metadata.name ?? '';
}

function heartbeats(node: Node): readonly (string | undefined)[] | undefined {
  return node.status?.conditions?.map(({ lastHeartbeatTime }) => lastHeartbeatTime);
}

function zoneOf(node: Node): string {
  const { labels = {} } = node.metadata;
  const { 'topology.kubernetes.io/region': region = '', 'topology.kubernetes.io/zone': zone = '' } =
    labels;
  // As upstream writes it in its figures, zero byte and all.
  return region === '' && zone === '' ? '' : `${region}:\0:${zone}`;
}

function isAllDown(zones: ReadonlyMap<string, Zone>): boolean {
  for (const { nodes, unhealthy } of zones.values()) if (unhealthy < nodes) return false;
  return true;
}

function isEviction({ key, effect }: Taint): boolean {
  if (effect !== 'NoExecute') return false;
  return key === 'node.kubernetes.io/not-ready' || key === 'node.kubernetes.io/unreachable';
}
