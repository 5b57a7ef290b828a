/**
 * The probes of one container: startup, then readiness and liveness, each with its own rhythm.
 *
 * `runProbes` lives as long as the container and reports each change of verdict. Until the startup
 * probe has succeeded the other two rest. A result counts after `successThreshold` or
 * `failureThreshold` equal ones in a row; `unknown` counts for nothing. `ThresholdCounter` is the
 * pure part. The first try of a probe without `initialDelaySeconds` is made at once; until it
 * succeeds a container with a readiness probe is not ready.
 */
import { Scope } from '#kit/scope.ts';
import type { Probe } from '#resources/types/core-v1.ts';
import type { Verdict } from '../pods/pod-facts.ts';
import type { ProbeResult } from './http-probe.ts';
import { type Subject, type TryDeps, tryProbe } from './try.ts';

export type ProbeKind = 'startup' | 'readiness' | 'liveness';

export interface ProberDeps extends TryDeps {
  /** Told whenever the container's verdict has changed. */
  readonly onVerdict: (verdict: Verdict) => void;
  /** Told for each try that failed or succeeded with a warning, for the event. */
  readonly onProblem: (kind: ProbeKind, sort: 'failed' | 'warning', message: string) => void;
}

export interface ProberOptions {
  readonly startedAtMs: number;
  /** What was known before, when the kubelet comes back to a container that runs. */
  readonly before?: { readonly started: boolean; readonly ready: boolean } | undefined;
  /** Aborts when the pod is to end: only whether it is ready is asked from then on. */
  readonly ending: AbortSignal;
  readonly signal: AbortSignal;
}

const defaults = { periodSeconds: 10, successThreshold: 1, failureThreshold: 3 } as const;

/** Equal results in a row, judged by a probe's thresholds. */
class ThresholdCounter {
  readonly #probe: Probe;
  #last: 'success' | 'failure' | undefined;
  #row = 0;

  constructor(probe: Probe) {
    this.#probe = probe;
  }

  /** The verdict when this result makes one. */
  add(tried: ProbeResult['result']): 'success' | 'failure' | undefined {
    if (tried === 'unknown') return undefined;
    const result = tried === 'warning' ? 'success' : tried;
    this.#row = result === this.#last ? this.#row + 1 : 1;
    this.#last = result;
    const needed =
      result === 'success'
        ? (this.#probe.successThreshold ?? defaults.successThreshold)
        : (this.#probe.failureThreshold ?? defaults.failureThreshold);
    return this.#row >= needed ? result : undefined;
  }
}

/** Resolves when the signal aborts or the container is condemned. */
export async function runProbes(
  deps: ProberDeps,
  subject: Subject,
  { startedAtMs, before, ending, signal }: ProberOptions,
): Promise<void> {
  const { container } = subject;
  const { startupProbe, readinessProbe, livenessProbe } = container;
  let verdict: Verdict = {
    started: startupProbe === undefined || before?.started === true,
    ready: readinessProbe === undefined || before?.ready === true,
  };
  const set = (change: Partial<Verdict>): void => {
    verdict = { ...verdict, ...change };
    deps.onVerdict(verdict);
  };
  const condemn = (kind: ProbeKind, probe: Probe): void => {
    const message = `Container ${container.name} failed ${kind} probe, will be restarted`;
    const graceSeconds = probe.terminationGracePeriodSeconds;
    set({
      ready: false,
      unhealthy: graceSeconds === undefined ? { message } : { message, graceSeconds },
    });
  };
  deps.onVerdict(verdict);
  const follow = (kind: ProbeKind, probe: Probe, until = signal) =>
    followProbe(deps, kind, probe, subject, { startedAtMs, signal: until });
  const followUntilEnding = (kind: ProbeKind, probe: Probe) =>
    untilAborted(follow(kind, probe, AbortSignal.any([signal, ending])), ending);
  if (startupProbe !== undefined && !verdict.started) {
    for await (const result of followUntilEnding('startup', startupProbe)) {
      if (result === 'failure') {
        condemn('startup', startupProbe);
        return;
      }
      set({ started: true });
      break;
    }
    if (!verdict.started) return;
  }
  await using scope = new Scope(signal);
  if (readinessProbe !== undefined) {
    scope.spawn(async () => {
      for await (const result of follow('readiness', readinessProbe)) {
        const ready = result === 'success';
        if (ready !== verdict.ready) set({ ready });
      }
    });
  }
  if (livenessProbe !== undefined) {
    scope.spawn(async () => {
      for await (const result of followUntilEnding('liveness', livenessProbe)) {
        if (result === 'success') continue;
        condemn('liveness', livenessProbe);
        return;
      }
    });
  }
  await scope.join();
}

/** That it is aborted is the end of it, and no failure. */
async function* untilAborted<T>(results: AsyncIterable<T>, signal: AbortSignal): AsyncIterable<T> {
  try {
    yield* results;
  } catch (error) {
    if (!signal.aborted) throw error;
  }
}

/** Tries again and again; yields each verdict, also when it is the same as before. */
async function* followProbe(
  deps: ProberDeps,
  kind: ProbeKind,
  probe: Probe,
  subject: Subject,
  { startedAtMs, signal }: { readonly startedAtMs: number; readonly signal: AbortSignal },
): AsyncIterable<'success' | 'failure'> {
  const { clock } = deps;
  const counter = new ThresholdCounter(probe);
  const periodMs = (probe.periodSeconds ?? defaults.periodSeconds) * 1000;
  const delayMs = (probe.initialDelaySeconds ?? 0) * 1000;
  // No longer than from now on, in case the clock was set back.
  const restOfDelayMs = Math.min(startedAtMs + delayMs - clock.now(), delayMs);
  if (restOfDelayMs > 0) await clock.sleep(restOfDelayMs, { signal });
  for (;;) {
    const startedMs = clock.monotonic();
    const { result, message } = await tryProbe(deps, probe, subject, { signal });
    signal.throwIfAborted();
    if (result === 'failure') deps.onProblem(kind, 'failed', message);
    if (result === 'warning') deps.onProblem(kind, 'warning', message);
    const verdict = counter.add(result);
    if (verdict !== undefined) yield verdict;
    const passedMs = clock.monotonic() - startedMs;
    const restMs = periodMs - passedMs;
    await clock.sleep(Math.max(restMs, 0), { signal });
  }
}
