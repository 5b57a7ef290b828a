/**
 * The probes of one pod's containers: begun when a container runs, ended when it does not.
 *
 * After a restart of the kubelet a container that ran before begins where its status stood, so that
 * a ready pod does not turn unready for a moment.
 */
import type { Scope } from '#kit/scope.ts';
import type { Container, Pod } from '#resources/types/core-v1.ts';
import type { KubeletParts } from '../parts.ts';
import {
  type ContainerFact,
  containerIdOf,
  lastingContainersOf,
  type RuntimeFacts,
  type Verdict,
} from '../pods/pod-facts.ts';
import { type ProbeKind, runProbes } from './prober.ts';

const titles: Readonly<Record<ProbeKind, string>> = {
  startup: 'Startup',
  readiness: 'Readiness',
  liveness: 'Liveness',
};

export class PodProbes {
  readonly #parts: KubeletParts;
  readonly #scope: Scope;
  readonly #pod: () => Pod;
  readonly #onChange: () => void;
  readonly #running = new Map<string, AbortController>();
  readonly #verdicts = new Map<string, Verdict>();
  readonly #ending = new AbortController();
  #isFollowing = false;

  constructor(
    parts: KubeletParts,
    scope: Scope,
    options: { readonly pod: () => Pod; readonly onChange: () => void },
  ) {
    this.#parts = parts;
    this.#scope = scope;
    this.#pod = options.pod;
    this.#onChange = options.onChange;
  }

  /** By container id. */
  get verdicts(): ReadonlyMap<string, Verdict> {
    return this.#verdicts;
  }

  follow(runtime: RuntimeFacts): void {
    const pod = this.#pod();
    const wanted = new Map<string, readonly [ContainerFact, Container]>();
    for (const fact of runtime.containers) {
      if (fact.state !== 'running') continue;
      const container = lastingContainersOf(pod).find(({ name }) => name === fact.name);
      if (container !== undefined) wanted.set(fact.id, [fact, container]);
    }
    for (const [id, stop] of this.#running) {
      if (wanted.has(id)) continue;
      stop.abort(new Error('the container has ended'));
      this.#running.delete(id);
      this.#verdicts.delete(id);
    }
    const podIP =
      pod.spec?.hostNetwork === true ? this.#parts.node.hostIPs[0] : runtime.sandboxes[0]?.ips[0];
    this.#isFollowing = true;
    for (const [id, [fact, container]] of wanted) {
      if (!this.#running.has(id)) this.#start(pod, fact, container, podIP ?? '');
    }
    this.#isFollowing = false;
  }

  /** The pod is to end: nobody asks any more whether its containers live, only who is ready. */
  end(): void {
    this.#ending.abort(new Error('the pod is to end'));
  }

  stop(): void {
    for (const stop of this.#running.values()) stop.abort(new Error('the pod has ended'));
    this.#running.clear();
    this.#verdicts.clear();
  }

  #start(pod: Pod, fact: ContainerFact, container: Container, podIP: string): void {
    const stop = new AbortController();
    this.#running.set(fact.id, stop);
    const known = knownStatus(pod, fact);
    const { recorder, runtime, clock } = this.#parts;
    const deps = {
      runtime,
      clock,
      onVerdict: (verdict: Verdict) => {
        if (stop.signal.aborted) return;
        this.#verdicts.set(fact.id, verdict);
        // The first verdict of all is there before whoever follows asks for it.
        if (!this.#isFollowing) this.#onChange();
      },
      onProblem: (kind: ProbeKind, sort: 'failed' | 'warning', message: string) => {
        recorder.record(this.#pod(), {
          type: 'Warning',
          reason: sort === 'failed' ? 'Unhealthy' : 'ProbeWarning',
          message: `${titles[kind]} probe ${sort}: ${message}`,
          fieldPath: `spec.containers{${container.name}}`,
        });
      },
    };
    const subject = { container, containerId: fact.id, podIP };
    this.#scope.spawn(async (signal) => {
      const either = AbortSignal.any([signal, stop.signal]);
      const times = { startedAtMs: fact.startedAtMs, before: known };
      const options = { ...times, ending: this.#ending.signal, signal: either };
      await runProbes(deps, subject, options).catch((error: unknown) => {
        if (!either.aborted) throw error;
      });
    });
  }
}

function knownStatus(
  pod: Pod,
  fact: ContainerFact,
): { readonly started: boolean; readonly ready: boolean } | undefined {
  const { containerStatuses = [], initContainerStatuses = [] } = pod.status ?? {};
  const status = [...containerStatuses, ...initContainerStatuses].find(
    ({ containerID }) => containerID === containerIdOf(fact),
  );
  return status === undefined
    ? undefined
    : { started: status.started === true, ready: status.ready };
}
