/**
 * Scales what HorizontalPodAutoscalers point at, every 15 seconds, by what is measured.
 *
 * The target is read and written through its `scale` sub-resource, so anything that has one can be
 * scaled. Each metric proposes a number (`metric.ts`), the largest wins; `normalize.ts` says how
 * much of it is done now. If some metrics fail, the others may scale up but not down. A target
 * scaled to nothing is left alone. Behaviour: kubernetes.io, "Horizontal Pod Autoscaling".
 */
import type { KindOf } from '#api/kind-of.ts';
import { type KubeObject, objectKey, parseGroupVersion } from '#api/object.ts';
import { quantityMilliValue } from '#api/quantity.ts';
import { parseLabelSelector } from '#api/selectors.ts';
import { type Cancel, type Informer, objectPath, type Recorder } from '#client';
import { formatTime } from '#kit/clock.ts';
import { messageOf } from '#kit/error-message.ts';
import { WorkQueue } from '#kit/work-queue.ts';
import { horizontalPodAutoscalers as autoscalerKind, pods as podKind } from '#resources/kinds.ts';
import type { Scale } from '#resources/types/autoscaling-v1.ts';
import type {
  CrossVersionObjectReference,
  HorizontalPodAutoscaler,
  MetricStatus,
} from '#resources/types/autoscaling-v2.ts';
import type { Pod } from '#resources/types/core-v1.ts';
import type { Controller, ControllerDeps } from '../controller.ts';
import { updateStatus } from '../status-update.ts';
import { noteMetric, weighMetric } from './metric.ts';
import { type MetricsSource, openMetricsSource } from './metrics-source.ts';
import { type Condition, type History, noHistory, normalize, withScaling } from './normalize.ts';
import { type AutoscalingSettings, limits } from './settings.ts';

interface Target {
  readonly kind: KindOf<KubeObject>;
  readonly scale: Scale;
}

/** What one look at an autoscaler finds out and does, for its status. */
interface Outcome {
  readonly conditions: readonly Condition[];
  readonly metrics: readonly MetricStatus[] | undefined;
  readonly current: number;
  readonly desired: number;
  readonly isScaled: boolean;
}

export function openAutoscalingController(
  deps: ControllerDeps,
  options: {
    readonly kinds: () => readonly KindOf<KubeObject>[];
    readonly settings?: AutoscalingSettings;
  },
): Controller {
  const controller = new AutoscalingController(deps, options);
  return {
    name: 'horizontal-pod-autoscaler-controller',
    queue: controller.queue,
    reconcile: (key, cancel) => controller.reconcile(key, cancel),
    workers: 5,
    sources: [controller.autoscalers, controller.pods],
  };
}

class AutoscalingController {
  readonly queue: WorkQueue;
  readonly autoscalers: Informer<HorizontalPodAutoscaler>;
  readonly pods: Informer<Pod>;
  readonly #deps: ControllerDeps;
  readonly #kinds: () => readonly KindOf<KubeObject>[];
  readonly #settings: AutoscalingSettings;
  readonly #recorder: Recorder;
  readonly #source: MetricsSource;
  readonly #histories = new Map<string, History>();
  /** The selector of what each autoscaler scales, as last seen. */
  readonly #selectors = new Map<string, string>();

  constructor(
    deps: ControllerDeps,
    { kinds, settings = limits }: Parameters<typeof openAutoscalingController>[1],
  ) {
    this.#deps = deps;
    this.#kinds = kinds;
    this.#settings = settings;
    this.#recorder = deps.recorderFor('horizontal-pod-autoscaler');
    this.#source = openMetricsSource(deps.client);
    this.queue = new WorkQueue(deps);
    this.autoscalers = deps.informers.of(autoscalerKind);
    this.pods = deps.informers.of(podKind);
    const all = 'horizontal_pod_autoscaler_controller_num_horizontal_pod_autoscalers';
    deps.figures.gauge(all, () => [[[], [...this.autoscalers.list()].length]]);
    this.autoscalers.addHandler({
      onAdd: (autoscaler) => this.queue.addAfter(objectKey(autoscaler), settings.syncPeriodMs),
      onDelete: (autoscaler) => {
        this.#histories.delete(objectKey(autoscaler));
        this.#selectors.delete(objectKey(autoscaler));
      },
    });
  }

  async reconcile(key: string, { signal }: Cancel): Promise<void> {
    const autoscaler = this.autoscalers.get(key);
    if (autoscaler === undefined) return;
    // Whatever happens, the next look is at its time: failing sooner would help nobody.
    this.queue.addAfter(key, this.#settings.syncPeriodMs);
    const { namespace } = autoscaler.metadata;
    const { scaleTargetRef: reference } = autoscaler.spec;
    const { currentReplicas = 0, desiredReplicas = 0 } = autoscaler.status ?? {};
    const fromMs = this.#deps.clock.monotonic();
    let target: Target;
    try {
      target = await this.#targetOf(autoscaler, { signal });
    } catch (error) {
      signal.throwIfAborted();
      const why = messageOf(error);
      this.#noteLook(['none', 'internal'], (this.#deps.clock.monotonic() - fromMs) / 1000);
      this.#warn(autoscaler, 'FailedGetScale', why);
      const message = `the HPA controller was unable to get the target's current scale: ${why}`;
      const condition = { type: 'AbleToScale', status: 'False', reason: 'FailedGetScale' } as const;
      await this.#writeStatus(
        autoscaler,
        {
          conditions: [{ ...condition, message }],
          metrics: autoscaler.status?.currentMetrics,
          current: currentReplicas,
          desired: desiredReplicas,
          isScaled: false,
        },
        { signal },
      );
      const what = `${reference.kind} ${namespace}/${reference.name}`;
      this.#deps.log.debug('target cannot be scaled', { autoscaler: key, target: what, error });
      return;
    }
    const outcome = await this.#scale(autoscaler, target, { signal });
    this.#note(outcome, (this.#deps.clock.monotonic() - fromMs) / 1000);
    await this.#writeStatus(autoscaler, outcome, { signal });
  }

  #note({ current, desired, isScaled, conditions }: Outcome, seconds: number): void {
    const failed = conditions.find(
      ({ status, type }) => status === 'False' && type !== 'ScalingLimited',
    );
    const isOff = failed?.reason === 'ScalingDisabled';
    const action =
      isScaled && desired !== current ? (desired > current ? 'scale_up' : 'scale_down') : 'none';
    this.#noteLook([action, failed === undefined || isOff ? 'none' : 'internal'], seconds);
  }

  #noteLook(labels: readonly [action: string, error: string], seconds: number): void {
    const { figures } = this.#deps;
    figures.count('horizontal_pod_autoscaler_controller_reconciliations_total', labels);
    const name = 'horizontal_pod_autoscaler_controller_reconciliation_duration_seconds';
    figures.observe(name, labels, seconds);
  }

  #kindOf({ apiVersion = '', kind }: CrossVersionObjectReference): KindOf<KubeObject> {
    const { group } = parseGroupVersion(apiVersion);
    const found = this.#kinds().find((one) => one.group === group && one.kind === kind);
    if (found === undefined) throw new Error(`no matches for kind "${kind}" in group "${group}"`);
    return found;
  }

  async #targetOf(autoscaler: HorizontalPodAutoscaler, { signal }: Cancel): Promise<Target> {
    const { scaleTargetRef } = autoscaler.spec;
    const kind = this.#kindOf(scaleTargetRef);
    const { namespace } = autoscaler.metadata;
    const path = objectPath(kind, { namespace, name: scaleTargetRef.name }, 'scale');
    return { kind, scale: await this.#deps.client.getPath<Scale>(path, { signal }) };
  }

  async #scale(
    autoscaler: HorizontalPodAutoscaler,
    target: Target,
    { signal }: Cancel,
  ): Promise<Outcome> {
    const key = objectKey(autoscaler);
    const { minReplicas = 1, maxReplicas, behavior } = autoscaler.spec;
    const { replicas: current = 0 } = target.scale.spec ?? {};
    const conditions: Condition[] = [
      {
        type: 'AbleToScale',
        status: 'True',
        reason: 'SucceededGetScale',
        message: "the HPA controller was able to get the target's current scale",
      },
    ];
    const nowMs = this.#deps.clock.now();
    if (!this.#histories.has(key)) {
      const recommendations = [{ atMs: nowMs, replicas: current }];
      this.#histories.set(key, { ...noHistory, recommendations });
    }
    const metrics = autoscaler.status?.currentMetrics;
    const unchanged = { conditions, metrics, current, desired: current, isScaled: false };
    if (current === 0) {
      const message = 'scaling is disabled since the replica count of the target is zero';
      const reason = 'ScalingDisabled';
      conditions.push({ type: 'ScalingActive', status: 'False', reason, message });
      return { ...unchanged, metrics: undefined };
    }
    if (current > maxReplicas) {
      const why = 'Current number of replicas above Spec.MaxReplicas';
      return this.#rescale(autoscaler, target, { ...unchanged, desired: maxReplicas }, why, {
        signal,
      });
    }
    if (current < minReplicas) {
      const why = 'Current number of replicas below Spec.MinReplicas';
      return this.#rescale(autoscaler, target, { ...unchanged, desired: minReplicas }, why, {
        signal,
      });
    }
    const weighed = await this.#weighAll(autoscaler, target, { signal });
    conditions.push(weighed.condition);
    if (weighed.replicas === undefined) {
      const desired = autoscaler.status?.desiredReplicas ?? 0;
      return { ...unchanged, metrics: weighed.metrics, desired };
    }
    const { downStabilizationMs } = this.#settings;
    const bounds = { minReplicas, maxReplicas, behavior, downStabilizationMs };
    const wish = { ...bounds, current, desired: weighed.replicas };
    const history = this.#histories.get(key) ?? noHistory;
    const normalized = normalize(wish, history, this.#deps.clock.now());
    this.#histories.set(key, normalized.history);
    conditions.push(...normalized.conditions);
    const outcome = { ...unchanged, metrics: weighed.metrics, desired: normalized.replicas };
    if (normalized.replicas === current) return outcome;
    const above = `${weighed.name} above target`;
    const why = weighed.replicas > current ? above : 'All metrics below target';
    return this.#rescale(autoscaler, target, outcome, why, { signal });
  }

  async #weighAll(
    autoscaler: HorizontalPodAutoscaler,
    { scale }: Target,
    { signal }: Cancel,
  ): Promise<{
    readonly replicas: number | undefined;
    readonly name: string;
    readonly metrics: readonly MetricStatus[] | undefined;
    readonly condition: Condition;
  }> {
    const { metrics: specs = [], behavior } = autoscaler.spec;
    const { replicas: specReplicas = 0 } = scale.spec ?? {};
    const { replicas: statusReplicas = 0, selector = '' } = scale.status ?? {};
    const refused = this.#checkSelector(autoscaler, selector);
    if (refused !== undefined) {
      this.#warn(autoscaler, 'FailedComputeMetricsReplicas', refused.why);
      return { ...refused, replicas: undefined, name: '', metrics: undefined };
    }
    const tolerance = (given: string | undefined): number =>
      given === undefined ? this.#settings.tolerance : quantityMilliValue(given) / 1000;
    const facts = {
      namespace: autoscaler.metadata.namespace ?? '',
      selector,
      pods: this.#podsOf(autoscaler, selector),
      specReplicas,
      statusReplicas,
      tolerances: {
        up: tolerance(behavior?.scaleUp?.tolerance),
        down: tolerance(behavior?.scaleDown?.tolerance),
      },
      starting: this.#settings,
      nowMs: this.#deps.clock.now(),
      resourceOf: (reference: CrossVersionObjectReference): string => {
        const { group, plural } = this.#kindOf(reference);
        return group === '' ? plural : `${plural}.${group}`;
      },
    };
    const deps = { source: this.#source, signal };
    const all = await Promise.all(
      specs.map(async (spec) => {
        const fromMs = this.#deps.clock.monotonic();
        const weighed = await weighMetric(deps, spec, facts);
        const seconds = (this.#deps.clock.monotonic() - fromMs) / 1000;
        noteMetric(this.#deps.figures, spec, { weighed, specReplicas, seconds });
        return weighed;
      }),
    );
    const good = all.filter((one) => one.ok);
    const bad = all.filter((one) => !one.ok);
    for (const { reason, why } of bad) this.#warn(autoscaler, reason, why);
    let best = good[0];
    for (const one of good) if (best === undefined || one.replicas > best.replicas) best = one;
    // Clients pair them with the metrics of the spec by their place.
    const metrics = all.map((one) => (one.ok ? one.status : { type: '' }));
    const [first] = bad;
    const isUnsure = first !== undefined && (best === undefined || best.replicas < specReplicas);
    if (best === undefined || isUnsure) {
      const reason = first?.reason ?? 'FailedGetMetrics';
      const message = `the HPA was unable to compute the replica count: ${first?.why ?? ''}`;
      const count = `${bad.length} invalid out of ${specs.length}`;
      const sum = `invalid metrics (${count}), first error is: ${first?.message ?? ''}`;
      this.#warn(autoscaler, 'FailedComputeMetricsReplicas', sum);
      const condition = { type: 'ScalingActive', status: 'False', reason, message } as const;
      return { replicas: undefined, name: '', metrics, condition };
    }
    const message = `the HPA was able to successfully calculate a replica count from ${best.name}`;
    const reason = 'ValidMetricFound';
    const condition = { type: 'ScalingActive', status: 'True', reason, message } as const;
    return { replicas: best.replicas, name: best.name, metrics, condition };
  }

  #podsOf({ metadata }: HorizontalPodAutoscaler, selector: string): readonly Pod[] {
    const { matches } = parseLabelSelector(selector);
    const pods: Pod[] = [];
    for (const pod of this.pods.listNamespace(metadata.namespace ?? '')) {
      if (matches(pod.metadata.labels)) pods.push(pod);
    }
    return pods;
  }

  /** Why pods cannot be found by the selector, or are scaled by others too. */
  #checkSelector(
    autoscaler: HorizontalPodAutoscaler,
    selector: string,
  ): { readonly why: string; readonly condition: Condition } | undefined {
    const key = objectKey(autoscaler);
    const refuse = (reason: string, why: string, message = why) => {
      this.#warn(autoscaler, reason === 'InvalidSelector' ? 'SelectorRequired' : reason, why);
      const condition = { type: 'ScalingActive', status: 'False', reason, message } as const;
      return { why, condition };
    };
    if (selector === '') {
      const message = "the HPA target's scale is missing a selector";
      return refuse('InvalidSelector', 'selector is required', message);
    }
    this.#selectors.set(key, selector);
    const pods = this.#podsOf(autoscaler, selector);
    const rivals: string[] = [];
    for (const [other, text] of this.#selectors) {
      if (!other.startsWith(`${autoscaler.metadata.namespace}/`)) continue;
      const { matches } = parseLabelSelector(text);
      if (pods.some(({ metadata }) => matches(metadata.labels))) rivals.push(other);
    }
    if (rivals.length <= 1) return undefined;
    const list = `[${rivals.join(' ')}]`;
    const why = `pods by selector ${selector} are controlled by multiple HPAs: ${list}`;
    return refuse('AmbiguousSelector', why);
  }

  async #rescale(
    autoscaler: HorizontalPodAutoscaler,
    { kind, scale }: Target,
    outcome: Outcome,
    why: string,
    { signal }: Cancel,
  ): Promise<Outcome> {
    const { current, desired, conditions } = outcome;
    const news = `New size: ${desired}; reason: ${why}`;
    const type = 'AbleToScale';
    try {
      const next = { ...scale, spec: { ...scale.spec, replicas: desired } };
      // At the path of the target stands its Scale, whatever the target's own kind.
      const asScale = { ...kind } as KindOf<Scale & KubeObject>;
      await this.#deps.client.update(asScale, next, { subresource: 'scale', signal });
    } catch (error) {
      signal.throwIfAborted();
      this.#warn(autoscaler, 'FailedRescale', `${news}; error: ${messageOf(error)}`);
      const message = `the HPA controller was unable to update the target scale: ${messageOf(error)}`;
      const failed = { type, status: 'False', reason: 'FailedUpdateScale', message } as const;
      const before = autoscaler.status?.desiredReplicas ?? 0;
      return { ...outcome, desired: before, conditions: [...conditions, failed] };
    }
    this.#recorder.record(autoscaler, {
      type: 'Normal',
      reason: 'SuccessfulRescale',
      message: news,
    });
    const key = objectKey(autoscaler);
    const { behavior } = autoscaler.spec;
    const history = this.#histories.get(key) ?? noHistory;
    const nowMs = this.#deps.clock.now();
    this.#histories.set(key, withScaling(history, { current, behavior }, desired, nowMs));
    const message = `the HPA controller was able to update the target scale to ${desired}`;
    const done = { type, status: 'True', reason: 'SucceededRescale', message } as const;
    return { ...outcome, isScaled: true, conditions: [...conditions, done] };
  }

  async #writeStatus(
    autoscaler: HorizontalPodAutoscaler,
    { conditions, metrics, current, desired, isScaled }: Outcome,
    { signal }: Cancel,
  ): Promise<void> {
    const now = formatTime(this.#deps.clock.now());
    const byType = new Map((autoscaler.status?.conditions ?? []).map((one) => [one.type, one]));
    for (const next of conditions) {
      const before = byType.get(next.type);
      const isSame = before?.status === next.status;
      const lastTransitionTime = isSame ? before.lastTransitionTime : now;
      byType.set(next.type, { ...next, lastTransitionTime });
    }
    const { lastScaleTime } = autoscaler.status ?? {};
    const status = {
      ...autoscaler.status,
      ...(isScaled ? { lastScaleTime: now } : lastScaleTime === undefined ? {} : { lastScaleTime }),
      currentReplicas: current,
      desiredReplicas: desired,
      currentMetrics: metrics,
      conditions: [...byType.values()],
    };
    const change = { before: autoscaler, after: { ...autoscaler, status } };
    await updateStatus(this.#deps.client, autoscalerKind, change, { signal });
  }

  #warn(autoscaler: HorizontalPodAutoscaler, reason: string, message: string): void {
    this.#recorder.record(autoscaler, { type: 'Warning', reason, message });
  }
}
