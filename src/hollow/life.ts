/**
 * The life of a hollow pod on its node: which containers run, since when, and when they will end.
 * Pure: `dueRuns` says which containers have to begin by now, in the order of a kubelet (init
 * containers one after another, sidecars before what follows them, then the others together, and
 * what has ended again after its back-off).
 *
 * Example: init container `a` ends 1 s after its start, sidecar `b`, container `c`: at 0 s `a` is
 * due; at 1 s `b`, and with it `c`. `plan.ts` asks, `pods.ts` remembers.
 */
import type { Container, Pod } from '#resources/types/core-v1.ts';

/** One time that a container runs. */
export interface Run {
  readonly startedMs: number;
  readonly readyMs: number;
  /** When it ends by itself; undefined: not by itself. */
  readonly exit: Exit | undefined;
  /** Not ready for so long, so often. */
  readonly flap: { readonly everyMs: number; readonly forMs: number } | undefined;
}

export interface Exit {
  readonly atMs: number;
  readonly code: number;
  readonly reason?: string | undefined;
}

export interface ContainerLife {
  readonly run: Run;
  /** The run before this one. */
  readonly last: Run | undefined;
  readonly restartCount: number;
}

export interface PodLife {
  readonly uid: string;
  readonly podIP: string;
  readonly hostIP: string;
  readonly seenMs: number;
  /** When its sandbox is there and containers may begin. */
  readonly sandboxMs: number;
  /** Until then the images cannot be pulled. */
  readonly pullMs: number;
  readonly containers: ReadonlyMap<string, ContainerLife>;
  /** What ran before this process began, by container: how often it had been restarted. */
  readonly earlier: ReadonlyMap<string, number>;
  /** Containers have been told to stop, and will have by then. */
  readonly stoppedMs: number | undefined;
}

export interface DueRun {
  readonly container: Container;
  readonly atMs: number;
}

export const restartDelayMs = { first: 10_000, max: 300_000, forgottenAfterMs: 600_000 } as const;

export function isSidecar({ restartPolicy }: Container): boolean {
  return restartPolicy === 'Always';
}

export function initContainersOf({ spec }: Pod): readonly Container[] {
  return spec?.initContainers ?? [];
}

export function containersOf({ spec }: Pod): readonly Container[] {
  return spec?.containers ?? [];
}

/** Has ended by this moment. */
export function hasEnded({ run }: ContainerLife, nowMs: number): boolean {
  return run.exit !== undefined && run.exit.atMs <= nowMs;
}

/** Restarted at once the first time, then after 10 s, 20 s, … 5 min. */
export function backOffMs({ run, restartCount }: ContainerLife): number {
  const ranMs = (run.exit?.atMs ?? run.startedMs) - run.startedMs;
  if (restartCount === 0 || ranMs >= restartDelayMs.forgottenAfterMs) return 0;
  return Math.min(restartDelayMs.first * 2 ** (restartCount - 1), restartDelayMs.max);
}

/** When a container that ends begins again; undefined: never. */
export function restartMs(pod: Pod, container: Container, life: ContainerLife): number | undefined {
  const { exit } = life.run;
  if (exit === undefined) return undefined;
  const policy = isSidecar(container) ? 'Always' : (pod.spec?.restartPolicy ?? 'Always');
  const isInit = initContainersOf(pod).includes(container) && !isSidecar(container);
  const again =
    policy === 'Always' ? !isInit || exit.code !== 0 : policy === 'OnFailure' && exit.code !== 0;
  return again ? exit.atMs + backOffMs(life) : undefined;
}

/** When containers may begin; undefined: an init container is in the way. */
export function initializedMs(pod: Pod, life: PodLife, nowMs: number): number | undefined {
  let sinceMs = Math.max(life.sandboxMs, life.pullMs);
  for (const container of initContainersOf(pod)) {
    const known = life.containers.get(container.name);
    if (known === undefined) return undefined;
    if (isSidecar(container)) {
      sinceMs = Math.max(sinceMs, known.last?.startedMs ?? known.run.startedMs);
      continue;
    }
    const { exit } = known.run;
    if (exit === undefined || exit.code !== 0 || exit.atMs > nowMs) return undefined;
    sinceMs = Math.max(sinceMs, exit.atMs);
  }
  return sinceMs <= nowMs ? sinceMs : undefined;
}

export function dueRuns(pod: Pod, life: PodLife, nowMs: number): readonly DueRun[] {
  const due: DueRun[] = [];
  const add = (container: Container, atMs: number | undefined): void => {
    if (atMs !== undefined && atMs <= nowMs) due.push({ container, atMs });
  };
  const all = [...initContainersOf(pod), ...containersOf(pod)];
  for (const container of all) {
    const known = life.containers.get(container.name);
    if (known !== undefined) add(container, restartMs(pod, container, known));
  }
  const next = nextInit(pod, life, nowMs);
  if (next !== undefined) add(next.container, next.atMs);
  const sinceMs = initializedMs(pod, life, nowMs);
  for (const container of containersOf(pod)) {
    if (!life.containers.has(container.name)) add(container, sinceMs);
  }
  return due;
}

/** The first init container that has not begun, if nothing before it is in the way. */
function nextInit(pod: Pod, life: PodLife, nowMs: number): DueRun | undefined {
  const init = initContainersOf(pod);
  const index = init.findIndex(({ name }) => !life.containers.has(name));
  const container = init[index];
  if (container === undefined) return undefined;
  const before = {
    ...pod,
    spec: { ...pod.spec, containers: [], initContainers: init.slice(0, index) },
  };
  const atMs = initializedMs(before, life, nowMs);
  return atMs === undefined ? undefined : { container, atMs };
}

/** The next moment at which anything about the pod changes by itself. */
export function nextChangeMs(pod: Pod, life: PodLife, nowMs: number): number | undefined {
  const moments = [life.sandboxMs, life.pullMs];
  for (const container of [...initContainersOf(pod), ...containersOf(pod)]) {
    const known = life.containers.get(container.name);
    if (known === undefined) continue;
    const { startedMs, readyMs, exit, flap } = known.run;
    moments.push(startedMs, readyMs);
    if (exit !== undefined) moments.push(exit.atMs);
    if (flap !== undefined) moments.push(nextFlapMs(readyMs, flap, nowMs));
    const again = restartMs(pod, container, known);
    if (again !== undefined) moments.push(again);
  }
  const deadlineMs = deadlineOf(pod, life);
  if (deadlineMs !== undefined) moments.push(deadlineMs);
  const next = Math.min(...moments.filter((atMs) => atMs > nowMs));
  return Number.isFinite(next) ? next : undefined;
}

/** When `activeDeadlineSeconds` are over. */
export function deadlineOf({ spec }: Pod, { seenMs }: PodLife): number | undefined {
  const seconds = spec?.activeDeadlineSeconds;
  return seconds === undefined ? undefined : seenMs + seconds * 1000;
}

export function isReady({ run }: ContainerLife, nowMs: number): boolean {
  const { readyMs, exit, flap } = run;
  if (nowMs < readyMs || (exit !== undefined && exit.atMs <= nowMs)) return false;
  if (flap === undefined) return true;
  // Ready first, then away at the end of each interval.
  return (nowMs - readyMs) % flap.everyMs < flap.everyMs - flap.forMs;
}

function nextFlapMs(
  readyMs: number,
  { everyMs, forMs }: { readonly everyMs: number; readonly forMs: number },
  nowMs: number,
): number {
  const into = Math.max(0, nowMs - readyMs) % everyMs;
  const fromMs = nowMs - into + everyMs;
  return into < everyMs - forMs ? fromMs - forMs : fromMs;
}
