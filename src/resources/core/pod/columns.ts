/**
 * What `kubectl get pods` shows. The status column sums up phase, conditions and the states of all
 * containers in one word: `Running`, `Init:1/2`, `CrashLoopBackOff`, `Completed`, `Terminating`, …
 */
import type { Column } from '#api/resource.ts';
import { timeMs } from '#api/timestamp.ts';
import { ageColumn, formatDuration, nameColumn, timedColumn } from '#resources/columns.ts';
import type { Container, ContainerStatus, Pod } from '#resources/types/core-v1.ts';

export function podColumns(): readonly Column<Pod>[] {
  return [
    nameColumn(),
    {
      name: 'Ready',
      type: 'string',
      description: 'Containers that are ready, of all.',
      priority: 0,
      cell: (pod) => {
        const { ready, total } = summarize(pod);
        return `${ready}/${total}`;
      },
    },
    {
      name: 'Status',
      type: 'string',
      description: 'State of the pod and its containers in one word.',
      priority: 0,
      cell: (pod) => summarize(pod).reason,
    },
    timedColumn({
      name: 'Restarts',
      type: 'string',
      description: 'How often containers were restarted, and when last.',
      priority: 0,
      at: (pod) => {
        const { restarts, lastRestartMs } = summarize(pod);
        if (restarts === 0) return noRestarts;
        if (lastRestartMs === undefined) return () => String(restarts);
        return (nowMs) => `${restarts} (${formatDuration(nowMs - lastRestartMs)} ago)`;
      },
    }),
    ageColumn(),
    {
      name: 'IP',
      type: 'string',
      description: 'Address of the pod.',
      priority: 1,
      cell: ({ status }) => status?.podIPs?.[0]?.ip || status?.podIP || '<none>',
    },
    {
      name: 'Node',
      type: 'string',
      description: 'Node that the pod runs on.',
      priority: 1,
      cell: ({ spec }) => spec?.nodeName || '<none>',
    },
    {
      name: 'Nominated Node',
      type: 'string',
      description: 'Node on which room is being made for the pod.',
      priority: 1,
      cell: ({ status }) => status?.nominatedNodeName || '<none>',
    },
    {
      name: 'Readiness Gates',
      type: 'string',
      description: 'Conditions beyond the containers that make the pod ready, and how many hold.',
      priority: 1,
      cell: readinessGates,
    },
  ];
}

function noRestarts(): string {
  return '0';
}

function readinessGates({ spec, status }: Pod): string {
  const gates = spec?.readinessGates ?? [];
  if (gates.length === 0) return '<none>';
  const met = gates.filter(({ conditionType }) =>
    status?.conditions?.some(({ type, status: is }) => type === conditionType && is === 'True'),
  );
  return `${met.length}/${gates.length}`;
}

export interface PodSummary {
  readonly ready: number;
  readonly total: number;
  readonly restarts: number;
  readonly lastRestartMs: number | undefined;
  readonly reason: string;
}

interface Counts {
  ready: number;
  restarts: number;
  lastRestartMs: number | undefined;
}

/** The columns that need all containers, computed in one walk. */
function summarize(pod: Pod): PodSummary {
  const { spec, status, metadata } = pod;
  const sidecars = (spec?.initContainers ?? []).filter(isSidecar);
  const total = (spec?.containers.length ?? 0) + sidecars.length;
  const scheduling = status?.conditions?.find(({ type }) => type === 'PodScheduled');
  let reason: string = status?.reason || status?.phase || '';
  if (scheduling?.reason === 'SchedulingGated') reason = 'SchedulingGated';

  const init: Counts = { ready: 0, restarts: 0, lastRestartMs: undefined };
  const all: Counts = { ready: 0, restarts: 0, lastRestartMs: undefined };
  const initReason = walkInitContainers(pod, init, all);
  const initialized = hasCondition(pod, 'Initialized');
  if (initReason !== undefined) reason = initReason;
  let shown = initReason === undefined ? all : init;
  if (initReason === undefined || initialized) {
    const walked = walkContainers(pod, all);
    if (walked.reason !== undefined) reason = walked.reason;
    if (reason === 'Completed' && walked.running) {
      reason = hasCondition(pod, 'Ready') ? 'Running' : 'NotReady';
    }
    shown = all;
  }
  if (metadata.deletionTimestamp !== undefined) {
    if (status?.reason === 'NodeLost') reason = 'Unknown';
    else if (status?.phase !== 'Succeeded' && status?.phase !== 'Failed') reason = 'Terminating';
  }
  return { ...shown, ready: all.ready, total, reason };
}

function hasCondition({ status }: Pod, name: string): boolean {
  return (
    status?.conditions?.some(({ type, status: is }) => type === name && is === 'True') ?? false
  );
}

function isSidecar({ restartPolicy }: Container): boolean {
  return restartPolicy === 'Always';
}

function count(counts: Counts, status: ContainerStatus): void {
  counts.restarts += status.restartCount;
  const finishedMs = timeMs(status.lastState?.terminated?.finishedAt);
  if (finishedMs !== undefined) {
    counts.lastRestartMs = Math.max(counts.lastRestartMs ?? finishedMs, finishedMs);
  }
}

/** The reason while an init container has not done its part; undefined once all have. */
function walkInitContainers(pod: Pod, init: Counts, all: Counts): string | undefined {
  const containers = pod.spec?.initContainers ?? [];
  for (const [index, status] of (pod.status?.initContainerStatuses ?? []).entries()) {
    const container = containers.find(({ name }) => name === status.name);
    const sidecar = container !== undefined && isSidecar(container);
    count(init, status);
    if (sidecar) count(all, status);
    const { terminated, waiting } = status.state ?? {};
    if (terminated?.exitCode === 0) continue;
    if (sidecar && status.started === true) {
      if (status.ready) all.ready += 1;
      continue;
    }
    if (terminated !== undefined) {
      if (terminated.reason) return `Init:${terminated.reason}`;
      if (terminated.signal) return `Init:Signal:${terminated.signal}`;
      return `Init:ExitCode:${terminated.exitCode}`;
    }
    if (waiting?.reason && waiting.reason !== 'PodInitializing') return `Init:${waiting.reason}`;
    return `Init:${index}/${containers.length}`;
  }
  return undefined;
}

function walkContainers(
  pod: Pod,
  all: Counts,
): { readonly reason: string | undefined; readonly running: boolean } {
  let reason: string | undefined;
  let running = false;
  // From the last to the first: the first container's trouble is the one shown.
  for (const status of (pod.status?.containerStatuses ?? []).toReversed()) {
    count(all, status);
    const { terminated, waiting } = status.state ?? {};
    if (waiting?.reason) {
      reason = waiting.reason;
    } else if (terminated?.reason) {
      reason = terminated.reason;
    } else if (terminated !== undefined) {
      reason = terminated.signal
        ? `Signal:${terminated.signal}`
        : `ExitCode:${terminated.exitCode}`;
    } else if (status.ready && status.state?.running !== undefined) {
      running = true;
      all.ready += 1;
    }
  }
  return { reason, running };
}
