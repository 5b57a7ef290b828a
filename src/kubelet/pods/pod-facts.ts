/**
 * What the kubelet knows about one pod when it decides: the object, the runtime's state, the
 * probes' verdicts and its own notes. `plan.ts` and `status.ts` are pure functions of this.
 *
 * `readRuntime` asks the runtime for the pod's part, found by the labels that upstream's kubelet
 * puts on sandboxes and containers; so a restarted kubelet sees, and keeps, what already runs.
 */
import type { Cancel, Received, Runtime } from '#cri';
import { isGrpcCode } from '#cri';
import type {
  Container,
  ContainerRestartRule,
  ContainerStateWaiting,
  LinuxContainerUser,
  Pod,
  ResourceRequirements,
  Volume,
} from '#resources/types/core-v1.ts';
import type { Backoff } from './backoff.ts';

export const podLabels = {
  containerName: 'io.kubernetes.container.name',
  podName: 'io.kubernetes.pod.name',
  podNamespace: 'io.kubernetes.pod.namespace',
  podUid: 'io.kubernetes.pod.uid',
} as const;

export const containerAnnotations = {
  hash: 'io.kubernetes.container.hash',
  restartCount: 'io.kubernetes.container.restartCount',
  terminationMessagePath: 'io.kubernetes.container.terminationMessagePath',
  terminationMessagePolicy: 'io.kubernetes.container.terminationMessagePolicy',
  terminationMessageFile: 'coracle.io/termination-message-file',
} as const;

export interface SandboxFact {
  readonly id: string;
  readonly attempt: number;
  readonly ready: boolean;
  readonly createdAtMs: number;
  /** Empty for a pod in the host's network, and while the network is not set up. */
  readonly ips: readonly string[];
}

export interface ContainerFact {
  readonly id: string;
  readonly sandboxId: string;
  readonly name: string;
  /** The restart count that it was created with. */
  readonly attempt: number;
  /** `unknown`: the runtime cannot tell whether it runs, until somebody stops it. */
  readonly state: 'created' | 'running' | 'exited' | 'unknown';
  readonly createdAtMs: number;
  readonly startedAtMs: number;
  readonly finishedAtMs: number;
  readonly exitCode: number;
  readonly reason: string;
  readonly message: string;
  readonly image: string;
  readonly imageRef: string;
  readonly hash: string;
  /** Whom it has been started as; undefined where the runtime does not tell. */
  readonly user?: LinuxContainerUser | undefined;
  /** Paths in it that are read-only with all that is mounted below. */
  readonly recursiveReadOnly?: readonly string[] | undefined;
}

/** Newest first, both. */
export interface RuntimeFacts {
  readonly sandboxes: readonly SandboxFact[];
  readonly containers: readonly ContainerFact[];
}

/** What probes and hooks have found out about one container (by id). */
export interface Verdict {
  /** The post-start hook has returned and the startup probe, if any, has succeeded. */
  readonly started: boolean;
  readonly ready: boolean;
  /** Which probe or hook says that the container must be restarted, and how that is told. */
  readonly unhealthy?: { readonly message: string; readonly graceSeconds?: number } | undefined;
}

export interface PodFacts {
  readonly pod: Pod;
  readonly runtime: RuntimeFacts;
  readonly verdicts: ReadonlyMap<string, Verdict>;
  /** By `restartKey`: delay before the next restart. */
  readonly backoffs: ReadonlyMap<string, Backoff>;
  /** By container name: a start that failed, and when it may be tried again. */
  readonly failures: ReadonlyMap<string, StartFailure>;
  /** The sandbox or the volumes could not be made ready; tried again after `untilMs`. */
  readonly podFailure?: { readonly untilMs: number } | undefined;
  /** By container name: CPU and memory of what runs, as far as noted; of the pod as well. */
  readonly applied: ReadonlyMap<string, ResourceRequirements>;
  readonly resizeFailure?: ResizeFailure | undefined;
  /** When the clock was set back: ends in the future count from here. */
  readonly clockSetAtMs?: number | undefined;
  /** The pod is to end: deleted, out of time, evicted. */
  readonly ending?: Ending | undefined;
}

export interface ResizeFailure {
  /**
   * `Infeasible`: the node is too small for it. `Deferred`: others have what it wants. `Error`: the
   * kernel refused it.
   */
  readonly reason: 'Infeasible' | 'Deferred' | 'Error';
  readonly message: string;
  readonly untilMs: number;
  /** Of the wish that was refused; another one is tried at once. */
  readonly generation?: number | undefined;
}

/** It was not given what it wants, and has what it had. */
export function isPending(failure: ResizeFailure | undefined): boolean {
  return failure !== undefined && failure.reason !== 'Error';
}

export interface StartFailure {
  /** Of the container that could not be started. */
  readonly hash: string;
  readonly waiting: ContainerStateWaiting;
  readonly untilMs: number;
}

export interface Ending {
  readonly graceSeconds: number;
  /** Set where the pod fails by this, as for a deadline: becomes the status. */
  readonly failure?: { readonly reason: string; readonly message: string } | undefined;
  /** It was never begun: its status says that, and nothing of containers. */
  readonly isRefused?: boolean | undefined;
  /** Set where this node ends a healthy pod for the sake of others: text of the condition. */
  readonly disruption?: string | undefined;
}

export function initContainersOf(pod: Pod): readonly Container[] {
  return pod.spec?.initContainers ?? [];
}

export function containersOf(pod: Pod): readonly Container[] {
  return pod.spec?.containers ?? [];
}

/** Added to a pod that runs, to look into it; never started twice. */
export function ephemeralContainersOf(pod: Pod): readonly Container[] {
  return pod.spec?.ephemeralContainers ?? [];
}

export function isSidecar(container: Container): boolean {
  return container.restartPolicy === 'Always';
}

/** All but ephemeral ones, in the order in which they begin. */
export function startOrder(pod: Pod): readonly Container[] {
  return [...initContainersOf(pod), ...containersOf(pod)];
}

/** Those that a container mounts, or has as a device: of the others, nothing is made. */
export function usedVolumesOf(pod: Pod): readonly Volume[] {
  const used = new Set(
    [...startOrder(pod), ...ephemeralContainersOf(pod)].flatMap((container) =>
      [...(container.volumeMounts ?? []), ...(container.volumeDevices ?? [])].map(
        ({ name }) => name,
      ),
    ),
  );
  return (pod.spec?.volumes ?? []).filter(({ name }) => used.has(name));
}

/** Those that run for as long as the pod does. */
export function lastingContainersOf(pod: Pod): readonly Container[] {
  return [...containersOf(pod), ...initContainersOf(pod).filter(isSidecar)];
}

/** Given to a pod that does not say how long it may take to end, as the API's default is. */
const graceSecondsDefault = 30;

export function graceSecondsOf(pod: Pod): number {
  return pod.spec?.terminationGracePeriodSeconds ?? graceSecondsDefault;
}

/** As the status of a container, and who reads it, writes which one it is. */
export function containerIdOf({ id }: ContainerFact): string {
  return `containerd://${id}`;
}

/**
 * Whether a start follows an end: the first of the container's rules that matches says so, then its
 * own policy, then the pod's.
 */
export function restartsAfter(pod: Pod, container: Container, exitCode: number): boolean {
  const action = ruleAfter(container, exitCode)?.action;
  if (action === 'Restart' || action === 'RestartAllContainers') return true;
  const policy = container.restartPolicy ?? pod.spec?.restartPolicy ?? 'Always';
  return policy === 'Always' || (policy === 'OnFailure' && exitCode !== 0);
}

/** The first of the container's rules that speaks of this end. */
export function ruleAfter(
  { restartPolicy, restartPolicyRules }: Container,
  exitCode: number,
): ContainerRestartRule | undefined {
  if (restartPolicy === undefined) return undefined;
  return (restartPolicyRules ?? []).find(({ exitCodes }) => {
    const isListed = exitCodes?.values?.includes(exitCode) === true;
    return exitCodes?.operator === 'NotIn' ? !isListed : isListed;
  });
}

/** The newest container of this name. */
export function latestOf(runtime: RuntimeFacts, name: string): ContainerFact | undefined {
  return runtime.containers.find((container) => container.name === name);
}

const millisecond = 1_000_000;

export async function readRuntime(
  runtime: Runtime,
  podUid: string,
  { signal }: Cancel,
): Promise<RuntimeFacts> {
  const labelSelector = { [podLabels.podUid]: podUid };
  const [sandboxes, containers] = await Promise.all([
    runtime.listPodSandboxes({ labelSelector }, { signal }),
    runtime.listContainers({ labelSelector }, { signal }),
  ]);
  const sandboxFacts = await Promise.all(
    sandboxes.map(({ id }) => readSandbox(runtime, id, signal)),
  );
  const containerFacts = await Promise.all(
    containers.map(({ id, podSandboxId }) => readContainer(runtime, id, podSandboxId, signal)),
  );
  return {
    sandboxes: newestFirst(isThere(sandboxFacts)),
    containers: newestFirst(isThere(containerFacts)),
  };
}

/** What we ourselves have just made, by its kind. */
export interface Made {
  readonly sandboxes: readonly string[];
  readonly containers: readonly string[];
}

/**
 * What was known, and what was made since: for when nobody else can have changed anything. One
 * question for each thing made, where a whole look asks for all, twice.
 */
export async function readMade(
  runtime: Runtime,
  known: RuntimeFacts,
  made: Made,
  { signal }: Cancel,
): Promise<RuntimeFacts> {
  const [sandboxes, containers] = await Promise.all([
    Promise.all(made.sandboxes.map((id) => readSandbox(runtime, id, signal))),
    Promise.all(
      made.containers.map((id) => readContainer(runtime, id, known.sandboxes[0]?.id ?? '', signal)),
    ),
  ]);
  return {
    sandboxes: newestFirst([...isThere(sandboxes), ...known.sandboxes]),
    containers: newestFirst([...isThere(containers), ...known.containers]),
  };
}

function isThere<T>(facts: readonly (T | undefined)[]): readonly T[] {
  return facts.filter((fact) => fact !== undefined);
}

export function isAmong({ sandboxes, containers }: RuntimeFacts, id: string): boolean {
  return [...sandboxes, ...containers].some((each) => each.id === id);
}

/** Whether a list of the runtime says nothing new of a sandbox or container. */
export function isKnownState(facts: RuntimeFacts, id: string, state: string): boolean {
  const sandbox = facts.sandboxes.find((each) => each.id === id);
  if (sandbox !== undefined) return sandbox.ready === (state === 'SANDBOX_READY');
  return facts.containers.find((each) => each.id === id)?.state === stateNames[state];
}

function newestFirst<T extends { readonly createdAtMs: number; readonly attempt: number }>(
  facts: readonly T[],
): readonly T[] {
  // Attempts only grow; the clock by which the runtime stamps may have been set back meanwhile.
  return facts.toSorted((a, b) => b.attempt - a.attempt || b.createdAtMs - a.createdAtMs);
}

async function readSandbox(
  runtime: Runtime,
  id: string,
  signal: AbortSignal,
): Promise<SandboxFact | undefined> {
  const status = await unlessGone(runtime.podSandboxStatus(id, { signal }));
  if (status === undefined) return undefined;
  const first = status.network?.ip ?? '';
  const more = status.network?.additionalIps.map(({ ip }) => ip) ?? [];
  return {
    id: status.id,
    attempt: status.metadata?.attempt ?? 0,
    ready: status.state === 'SANDBOX_READY',
    createdAtMs: status.createdAt / millisecond,
    ips: [first, ...more].filter((ip) => ip !== ''),
  };
}

const stateNames: Readonly<Record<string, ContainerFact['state']>> = {
  CONTAINER_CREATED: 'created',
  CONTAINER_RUNNING: 'running',
  CONTAINER_EXITED: 'exited',
};

async function readContainer(
  runtime: Runtime,
  id: string,
  sandboxId: string,
  signal: AbortSignal,
): Promise<ContainerFact | undefined> {
  const status = await unlessGone(runtime.containerStatus(id, { signal }));
  if (status === undefined) return undefined;
  return {
    id: status.id,
    sandboxId,
    name: status.labels[podLabels.containerName] ?? status.metadata?.name ?? '',
    attempt: Number(
      status.annotations[containerAnnotations.restartCount] ?? status.metadata?.attempt ?? 0,
    ),
    state: stateNames[status.state] ?? 'unknown',
    createdAtMs: status.createdAt / millisecond,
    startedAtMs: status.startedAt / millisecond,
    finishedAtMs: status.finishedAt / millisecond,
    exitCode: status.exitCode,
    reason: status.reason,
    message: status.message,
    image: status.image?.image ?? '',
    imageRef: status.imageRef,
    hash: status.annotations[containerAnnotations.hash] ?? '',
    user: userOf(status.user?.linux),
    recursiveReadOnly: status.mounts.flatMap((mount) =>
      mount.recursiveReadOnly ? [mount.containerPath] : [],
    ),
  };
}

function userOf(user: Received<'LinuxContainerUser'> | undefined): LinuxContainerUser | undefined {
  if (user === undefined) return undefined;
  const { uid, gid, supplementalGroups } = user;
  return { uid, gid, ...(supplementalGroups.length === 0 ? {} : { supplementalGroups }) };
}

/** It was taken before: it runs, it ends, or it has ended. */
export function hasBegun({ status = {}, metadata }: Pod): boolean {
  if (status.startTime !== undefined || metadata.deletionTimestamp !== undefined) return true;
  return hasEnded({ status });
}

/** For good: no container of it runs, and none will. */
export function hasEnded({ status }: Pick<Pod, 'status'>): boolean {
  return status?.phase === 'Succeeded' || status?.phase === 'Failed';
}

/** Or pushed aside by one that the node needs. */
export function isEvicted({ status }: Pod): boolean {
  return status?.phase === 'Failed' && /^(Evicted|Preempting)$/.test(status?.reason ?? '');
}

/** The status has told that it runs, or how it ended. */
export function hasRun({ status = {} }: Pod, fact: ContainerFact): boolean {
  const { containerStatuses = [], initContainerStatuses = [] } = status;
  return [...containerStatuses, ...initContainerStatuses].some(
    ({ containerID, state }) =>
      containerID === containerIdOf(fact) && (state?.running ?? state?.terminated) !== undefined,
  );
}

/** Undefined where the runtime does not have it any more: it may go between any two questions. */
export async function unlessGone<T>(answer: Promise<T>): Promise<T | undefined> {
  try {
    return await answer;
  } catch (error) {
    if (isGrpcCode(error, 'NOT_FOUND')) return undefined;
    throw error;
  }
}
