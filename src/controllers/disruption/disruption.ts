/**
 * PodDisruptionBudgets: keeps their status true, which evictions ask. Gathers the facts, asks
 * `plan.ts`, and writes.
 *
 * A count that fails (an owner without a scale) allows nothing and says so in the condition. A
 * second sort of key, `pod NAMESPACE/NAME`, is for the condition DisruptionTarget of pods that were
 * to be disturbed and were not: after two minutes it is taken back.
 */
import type { KindOf } from '#api/kind-of.ts';
import { controllerOf, type KubeObject, objectKey } from '#api/object.ts';
import { labelSelectorMatches } from '#api/selectors.ts';
import type { Informer, Recorder } from '#client';
import { messageOf } from '#kit/error-message.ts';
import { WorkQueue } from '#kit/work-queue.ts';
import { podDisruptionBudgets as budgetKind, pods as podKind } from '#resources/kinds.ts';
import type { Pod } from '#resources/types/core-v1.ts';
import type { PodDisruptionBudget, PodDisruptionBudgetStatus } from '#resources/types/policy-v1.ts';
import { ignoreNotFound } from '../api-failure.ts';
import type { Controller, ControllerDeps } from '../controller.ts';
import { isSameValue } from '../same-value.ts';
import { updateStatus } from '../status-update.ts';
import {
  type BudgetPlan,
  needsScales,
  planBudget,
  planFailSafe,
  staleFromMs,
  withoutTarget,
} from './plan.ts';
import { OwnerScales } from './scales.ts';

const podPrefix = 'pod ';

interface SeenEviction {
  /** As it stands in the status. */
  readonly time: string;
  /** When it was first seen there, of the clock that never jumps. */
  readonly seenMs: number;
}

export function openDisruptionController(
  deps: ControllerDeps,
  options: { readonly kinds: () => readonly KindOf<KubeObject>[] },
): Controller {
  const controller = new DisruptionController(deps, options.kinds);
  const { deployments, replicaSets, statefulSets, replicationControllers } = controller.scales;
  return {
    name: 'disruption-controller',
    queue: controller.queue,
    reconcile: (key, { signal }) => controller.reconcile(key, signal),
    workers: 1,
    sources: [
      controller.budgets,
      controller.pods,
      deployments,
      replicaSets,
      statefulSets,
      replicationControllers,
    ],
  };
}

class DisruptionController {
  readonly queue: WorkQueue;
  readonly budgets: Informer<PodDisruptionBudget>;
  readonly pods: Informer<Pod>;
  readonly scales: OwnerScales;
  readonly #deps: ControllerDeps;
  readonly #recorder: Recorder;
  /** By key of the budget and name of the pod: evictions of its status. */
  readonly #evictions = new Map<string, ReadonlyMap<string, SeenEviction>>();

  constructor(deps: ControllerDeps, kinds: () => readonly KindOf<KubeObject>[]) {
    this.#deps = deps;
    this.#recorder = deps.recorderFor('controllermanager');
    this.queue = new WorkQueue(deps);
    this.budgets = deps.informers.of(budgetKind);
    this.pods = deps.informers.of(podKind);
    this.scales = new OwnerScales(deps, kinds);
    const enqueue = (budget: PodDisruptionBudget): void => this.queue.add(objectKey(budget));
    this.budgets.addHandler({ onAdd: enqueue, onUpdate: enqueue });
    this.pods.addHandler({
      onAdd: (pod) => this.#changed(pod),
      onUpdate: (pod, old) => {
        if (!isSameValue(pod.metadata.labels, old.metadata.labels, 'labels')) this.#wake(old);
        this.#changed(pod);
      },
      onDelete: (pod) => this.#wake(pod),
    });
  }

  async reconcile(key: string, signal: AbortSignal): Promise<void> {
    if (key.startsWith(podPrefix)) {
      await this.#resetTarget(key.slice(podPrefix.length), signal);
      return;
    }
    const budget = this.budgets.get(key);
    if (budget === undefined) {
      this.#evictions.delete(key);
      return;
    }
    const { clock } = this.#deps;
    let plan: BudgetPlan;
    try {
      plan = await this.#plan(budget, signal);
    } catch (error) {
      signal.throwIfAborted();
      const text = messageOf(error);
      const message = `Failed to calculate the number of expected pods: ${text}`;
      const reason = 'CalculateExpectedPodCountFailed';
      this.#recorder.record(budget, { type: 'Warning', reason, message });
      await this.#writeStatus(budget, planFailSafe(budget, text, clock.now()), signal);
      return;
    }
    for (const note of plan.notes) this.#recorder.record(budget, note);
    for (const pod of plan.notDeleted) {
      const message = `Pod was expected by PDB ${key} to be deleted but it wasn't`;
      this.#recorder.record(pod, { type: 'Warning', reason: 'NotDeleted', message });
    }
    await this.#writeStatus(budget, plan.status, signal);
    if (plan.againAfterMs !== undefined) this.queue.addAfter(key, plan.againAfterMs);
  }

  async #plan(budget: PodDisruptionBudget, signal: AbortSignal): Promise<BudgetPlan> {
    const { namespace = '' } = budget.metadata;
    const pods: Pod[] = [];
    for (const pod of this.pods.listNamespace(namespace)) {
      if (labelSelectorMatches(budget.spec?.selector, pod.metadata.labels)) pods.push(pod);
    }
    const scales = new Map<string, number>();
    const asked = new Set<string>();
    for (const pod of needsScales(budget) ? pods : []) {
      const owner = controllerOf(pod);
      if (owner === undefined || asked.has(owner.uid)) continue;
      asked.add(owner.uid);
      const scale = await this.scales.of(owner, namespace, signal);
      if (scale === undefined) {
        throw new Error(`found no controllers for pod ${JSON.stringify(pod.metadata.name)}`);
      }
      scales.set(scale.uid, scale.replicas);
    }
    const disruptedForMs = this.#seeEvictions(budget);
    return planBudget({ budget, pods, scales, disruptedForMs }, this.#deps.clock.now());
  }

  #seeEvictions(budget: PodDisruptionBudget): ReadonlyMap<string, number> {
    const nowMs = this.#deps.clock.monotonic();
    const key = objectKey(budget);
    const known = this.#evictions.get(key);
    const seen = new Map<string, SeenEviction>();
    const forMs = new Map<string, number>();
    for (const [name, time] of Object.entries(budget.status?.disruptedPods ?? {})) {
      const before = known?.get(name);
      const eviction = before?.time === time ? before : { time, seenMs: nowMs };
      seen.set(name, eviction);
      forMs.set(name, nowMs - eviction.seenMs);
    }
    if (seen.size > 0) this.#evictions.set(key, seen);
    else this.#evictions.delete(key);
    return forMs;
  }

  async #writeStatus(
    budget: PodDisruptionBudget,
    status: PodDisruptionBudgetStatus,
    signal: AbortSignal,
  ): Promise<void> {
    const change = { before: budget, after: { ...budget, status } };
    await updateStatus(this.#deps.client, budgetKind, change, { signal });
  }

  async #resetTarget(key: string, signal: AbortSignal): Promise<void> {
    const pod = this.pods.get(key);
    const fromMs = pod && staleFromMs(pod);
    if (pod === undefined || fromMs === undefined) return;
    const now = this.#deps.clock.now();
    if (fromMs > now) {
      this.queue.addAfter(podPrefix + key, fromMs - now);
      return;
    }
    const options = { subresource: 'status', signal };
    const next = withoutTarget(pod, now);
    await this.#deps.client.update(podKind, next, options).catch(ignoreNotFound);
  }

  #changed(pod: Pod): void {
    this.#wake(pod);
    const fromMs = staleFromMs(pod);
    if (fromMs === undefined) return;
    this.queue.addAfter(podPrefix + objectKey(pod), fromMs - this.#deps.clock.now());
  }

  #wake(pod: Pod): void {
    const matching: string[] = [];
    for (const budget of this.budgets.listNamespace(pod.metadata.namespace ?? '')) {
      if (!labelSelectorMatches(budget.spec?.selector, pod.metadata.labels)) continue;
      this.queue.add(objectKey(budget));
      matching.push(budget.metadata.name ?? '');
    }
    const [first] = matching.sort();
    if (matching.length < 2) return;
    const { namespace, name } = pod.metadata;
    const message = `Pod "${namespace}"/"${name}" matches multiple PodDisruptionBudgets.  Chose "${first}" arbitrarily.`;
    const reason = 'MultiplePodDisruptionBudgets';
    this.#recorder.record(pod, { type: 'Warning', reason, message });
  }
}
