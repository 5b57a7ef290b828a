/**
 * The conditions of a pod's status: PodReadyToStartContainers, Initialized, Ready, ContainersReady
 * and PodScheduled, with upstream's reasons and texts. Pure; `status.ts` calls it.
 *
 * A condition's transition time changes only with its status. Conditions that others own (readiness
 * gates, DisruptionTarget) are kept as they are.
 */
import { formatTime } from '#kit/clock.ts';
import type { Pod, PodCondition, PodStatus } from '#resources/types/core-v1.ts';
import { isResizing } from './applied-resources.ts';
import { initContainersOf, isPending, isSidecar, type PodFacts } from './pod-facts.ts';
import { hasOldContainers, isRestartingAll, mayRestartAll } from './restart-all.ts';

/** Types that the kubelet sets; others belong to whoever set them. */
const ownConditions: ReadonlySet<string> = new Set([
  'PodReadyToStartContainers',
  'Initialized',
  'Ready',
  'ContainersReady',
  'PodScheduled',
  'PodResizeInProgress',
  'PodResizePending',
  'AllContainersRestarting',
]);

/** Ours as we say them, and of those that belong to others what the API shows. */
export function withForeign(
  own: readonly PodCondition[] = [],
  shown: readonly PodCondition[] = [],
): readonly PodCondition[] {
  const ours = own.filter(({ type }) => ownConditions.has(type));
  return [...ours, ...shown.filter(({ type }) => !ownConditions.has(type))];
}

type Draft = Pick<PodCondition, 'type' | 'status' | 'reason' | 'message' | 'observedGeneration'>;

export function podConditions(
  facts: PodFacts,
  status: PodStatus,
  nowMs: number,
): readonly PodCondition[] {
  const containersReady = containersReadyCondition(facts, status);
  const own: readonly Draft[] = [
    sandboxCondition(facts),
    initializedCondition(facts, status),
    readyCondition(facts.pod, containersReady),
    containersReady,
    { type: 'PodScheduled', status: 'True' },
    ...resizeConditions(facts),
    ...disruptionCondition(facts),
    ...restartCondition(facts, status),
  ];
  const old = facts.pod.status?.conditions ?? [];
  const set = new Set(own.map(({ type }) => type));
  const foreign = old.filter(({ type }) => !ownConditions.has(type) && !set.has(type));
  return [...own.map((draft) => stamped(facts.pod, draft, old, nowMs)), ...foreign];
}

function stamped(
  pod: Pod,
  draft: Draft,
  old: readonly PodCondition[],
  nowMs: number,
): PodCondition {
  const before = old.find(({ type }) => type === draft.type);
  const kept = before?.status === draft.status ? before.lastTransitionTime : undefined;
  const generation = draft.observedGeneration ?? pod.metadata.generation;
  return {
    type: draft.type,
    status: draft.status,
    ...(generation === undefined ? {} : { observedGeneration: generation }),
    lastTransitionTime: kept ?? formatTime(nowMs),
    ...(draft.reason === undefined ? {} : { reason: draft.reason }),
    ...(draft.message === undefined ? {} : { message: draft.message }),
  };
}

/** Who sees that a change of the specification was noted sees as well that it is not done yet. */
function resizeConditions({ pod, applied, ending, resizeFailure }: PodFacts): readonly Draft[] {
  // A refused one that was taken back leaves nothing to tell.
  if (!isResizing(pod, applied)) return [];
  if (resizeFailure === undefined) {
    return ending === undefined ? [{ type: 'PodResizeInProgress', status: 'True' }] : [];
  }
  const { reason, message, generation: observedGeneration } = resizeFailure;
  const type = isPending(resizeFailure) ? 'PodResizePending' : 'PodResizeInProgress';
  return [{ type, status: 'True', reason, message, observedGeneration }];
}

function disruptionCondition({ ending }: PodFacts): readonly Draft[] {
  if (ending?.disruption === undefined) return [];
  const message = ending.disruption;
  return [{ type: 'DisruptionTarget', status: 'True', reason: 'TerminationByKubelet', message }];
}

/** Of pods that may restart as a whole. */
function restartCondition(facts: PodFacts, { phase }: PodStatus): readonly Draft[] {
  if (!mayRestartAll(facts.pod)) return [];
  const type = 'AllContainersRestarting';
  if (phase === 'Failed') return [{ type, status: 'False', reason: 'PodFailed' }];
  const isNow = facts.ending === undefined && isRestartingAll(facts) && hasOldContainers(facts);
  if (!isNow) return [{ type, status: 'False' }];
  const message = 'container exited with restart policy rule';
  return [{ type, status: 'True', reason: 'RestartAllContainersStarted', message }];
}

function sandboxCondition({ pod, runtime }: PodFacts): Draft {
  const sandbox = runtime.sandboxes[0];
  const addressed = pod.spec?.hostNetwork === true || (sandbox?.ips.length ?? 0) > 0;
  const ready = sandbox?.ready === true && addressed;
  return { type: 'PodReadyToStartContainers', status: ready ? 'True' : 'False' };
}

function initializedCondition(facts: PodFacts, status: PodStatus): Draft {
  const type = 'Initialized';
  if (status.phase === 'Succeeded') return { type, status: 'True', reason: 'PodCompleted' };
  const begun = status.containerStatuses?.some(({ containerID }) => containerID !== undefined);
  const incomplete = initContainersOf(facts.pod).filter((container) => {
    const known = status.initContainerStatuses?.find(({ name }) => name === container.name);
    if (isSidecar(container)) return known?.started !== true;
    return known?.state?.terminated?.exitCode !== 0;
  });
  // What was once begun stays so, also while all begins again.
  const before = facts.pod.status?.conditions?.find((condition) => condition.type === type);
  const isAgain = mayRestartAll(facts.pod) && before?.status === 'True';
  if (incomplete.length === 0 || begun === true || isAgain) return { type, status: 'True' };
  const names = incomplete.map(({ name }) => name).join(' ');
  return {
    type,
    status: 'False',
    reason: 'ContainersNotInitialized',
    message: `containers with incomplete status: [${names}]`,
  };
}

function containersReadyCondition(facts: PodFacts, status: PodStatus): Draft {
  const type = 'ContainersReady';
  if (status.phase === 'Succeeded') return { type, status: 'False', reason: 'PodCompleted' };
  if (status.phase === 'Failed') return { type, status: 'False', reason: 'PodFailed' };
  const sidecars = initContainersOf(facts.pod).filter(isSidecar);
  const counted = [
    ...(status.initContainerStatuses ?? []).filter(({ name }) =>
      sidecars.some((sidecar) => sidecar.name === name),
    ),
    ...(status.containerStatuses ?? []),
  ];
  const unready = counted.filter(({ ready }) => !ready).map(({ name }) => name);
  if (unready.length === 0) return { type, status: 'True' };
  return {
    type,
    status: 'False',
    reason: 'ContainersNotReady',
    message: `containers with unready status: [${unready.join(' ')}]`,
  };
}

function readyCondition(pod: Pod, containersReady: Draft): Draft {
  if (containersReady.status !== 'True') return { ...containersReady, type: 'Ready' };
  const conditions = pod.status?.conditions ?? [];
  const messages: string[] = [];
  for (const { conditionType } of pod.spec?.readinessGates ?? []) {
    const gate = conditions.find(({ type }) => type === conditionType);
    if (gate === undefined) {
      messages.push(
        `corresponding condition of pod readiness gate "${conditionType}" does not exist.`,
      );
    } else if (gate.status !== 'True') {
      messages.push(
        `the status of pod readiness gate "${conditionType}" is not "True", but ${gate.status}`,
      );
    }
  }
  if (messages.length === 0) return { type: 'Ready', status: 'True' };
  return {
    type: 'Ready',
    status: 'False',
    reason: 'ReadinessGatesNotReady',
    message: messages.join(', '),
  };
}
