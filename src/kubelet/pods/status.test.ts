/** From facts to what `kubectl get pod` shows. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Pod, PodSpec, PodStatus } from '#resources/types/core-v1.ts';
import { covers, superseded } from '#test/covers.ts';
import type { ContainerFact, Verdict } from './pod-facts.ts';
import { podStatus, type StatusFacts } from './status.ts';
import { statusPatch } from './status-writer.ts';

const nowMs = Date.UTC(2026, 0, 1, 12);
const now = '2026-01-01T12:00:00Z';

function podOf(spec: Partial<PodSpec> = {}, status: PodStatus = {}): Pod {
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name: 'p', namespace: 'default', uid: 'u1' },
    spec: { containers: [{ name: 'web', image: 'nginx:1' }], ...spec },
    status,
  };
}

function fact(state: ContainerFact['state'], more: Partial<ContainerFact> = {}): ContainerFact {
  return {
    ...{ id: 'c1', sandboxId: 's1', name: 'web', attempt: 0, state, createdAtMs: nowMs },
    ...{ startedAtMs: nowMs, finishedAtMs: nowMs, exitCode: 0, reason: '', message: '' },
    ...{ image: 'nginx:1', imageRef: 'sha256:1', hash: '' },
    ...more,
  };
}

function facts(
  pod: Pod,
  containers: readonly ContainerFact[],
  more: Partial<StatusFacts> = {},
): StatusFacts {
  const sandbox = { id: 's1', attempt: 0, ready: true, createdAtMs: nowMs, ips: ['10.0.0.1'] };
  return {
    pod,
    runtime: { sandboxes: [sandbox], containers },
    verdicts: new Map(),
    backoffs: new Map(),
    applied: new Map(),
    failures: new Map(),
    waiting: new Map(),
    hostIPs: ['192.0.2.1'],
    messages: new Map(),
    ...more,
  };
}

const ready: ReadonlyMap<string, Verdict> = new Map([['c1', { started: true, ready: true }]]);

function conditionsOf(status: PodStatus): Readonly<Record<string, string>> {
  const entries = (status.conditions ?? []).map(({ type, status: value }) => [type, value]);
  return Object.fromEntries(entries);
}

test('one of which the runtime has lost all knowledge waits, unless it has run', () => {
  const lost = fact('unknown', {
    exitCode: 255,
    reason: 'Unknown',
    startedAtMs: 0,
    finishedAtMs: 0,
  });
  const waiting = { reason: 'CreateContainerError', message: 'read ECONNRESET' };
  const failures = new Map([['web', { hash: '', waiting, untilMs: nowMs }]]);
  const never = podStatus(facts(podOf(), [lost], { failures }), nowMs);
  const [status] = never.containerStatuses ?? [];
  assert.deepEqual([status?.state, status?.lastState], [{ waiting }, {}], 'no end in 1970');
  assert.equal(never.phase, 'Pending');
  const before = podStatus(facts(podOf(), [fact('running')], { verdicts: ready }), nowMs);
  assert.equal(before.phase, 'Running');
  const first = podStatus(facts(podOf({}, before), [lost]), nowMs);
  const second = podStatus(facts(podOf({}, first), [lost]), nowMs);
  for (const { phase, containerStatuses } of [first, second]) {
    assert.equal(phase, 'Running', 'it does not go back to Pending');
    const { state, ready: isReady } = containerStatuses?.[0] ?? {};
    assert.deepEqual([state?.terminated?.reason, isReady], ['ContainerStatusUnknown', false]);
  }
});

test('whoever sees the wish for other resources sees that they are on their way', () => {
  const wanted = { requests: { cpu: '2' } };
  const pod = podOf({ containers: [{ name: 'web', image: 'i', resources: wanted }] });
  const under = (resources: typeof wanted) => {
    const applied = new Map([['web', resources]]);
    return podStatus(facts(pod, [fact('running')], { verdicts: ready, applied }), nowMs);
  };
  const before = under({ requests: { cpu: '1' } });
  assert.equal(conditionsOf(before)['PodResizeInProgress'], 'True');
  assert.equal(before.containerStatuses?.[0]?.resources?.requests?.['cpu'], '1');
  assert.equal(conditionsOf(under(wanted))['PodResizeInProgress'], undefined);
});

test('a running, ready pod', () => {
  covers('POD-215');
  const status = podStatus(facts(podOf(), [fact('running')], { verdicts: ready }), nowMs);
  const { phase, podIP, hostIP, startTime, qosClass } = status;
  assert.deepEqual(
    { phase, podIP, hostIP, startTime, qosClass },
    {
      phase: 'Running',
      podIP: '10.0.0.1',
      hostIP: '192.0.2.1',
      startTime: now,
      qosClass: 'BestEffort',
    },
  );
  assert.deepEqual(status.containerStatuses, [
    {
      name: 'web',
      image: 'nginx:1',
      imageID: 'sha256:1',
      containerID: 'containerd://c1',
      restartCount: 0,
      resources: {},
      ready: true,
      started: true,
      state: { running: { startedAt: now } },
      lastState: {},
    },
  ]);
  assert.deepEqual(conditionsOf(status), {
    PodReadyToStartContainers: 'True',
    Initialized: 'True',
    Ready: 'True',
    ContainersReady: 'True',
    PodScheduled: 'True',
  });
});

test('until a readiness probe succeeds the pod runs and is not ready', () => {
  const verdicts = new Map([['c1', { started: true, ready: false }]]);
  const status = podStatus(facts(podOf(), [fact('running')], { verdicts }), nowMs);
  assert.equal(status.phase, 'Running');
  const condition = status.conditions?.find(({ type }) => type === 'Ready');
  assert.deepEqual(condition, {
    type: 'Ready',
    status: 'False',
    lastTransitionTime: now,
    reason: 'ContainersNotReady',
    message: 'containers with unready status: [web]',
  });
});

test('conditions keep their time while their status stays, and foreign ones stay', () => {
  const old = '2025-12-31T00:00:00Z';
  const conditions = [
    { type: 'Ready', status: 'True', lastTransitionTime: old },
    { type: 'ContainersReady', status: 'False', lastTransitionTime: old },
    { type: 'example.com/gate', status: 'True' },
  ];
  const given = facts(podOf({}, { conditions }), [fact('running')], { verdicts: ready });
  const status = podStatus(given, nowMs);
  const times = Object.fromEntries(
    (status.conditions ?? []).map(({ type, lastTransitionTime }) => [type, lastTransitionTime]),
  );
  assert.equal(times['Ready'], old);
  assert.equal(times['ContainersReady'], now);
  assert.deepEqual(status.conditions?.at(-1), conditions[2]);
});

test('readiness gates hold a pod back', () => {
  const gates = { readinessGates: [{ conditionType: 'example.com/gate' }] };
  const given = facts(podOf(gates), [fact('running')], { verdicts: ready });
  const condition = podStatus(given, nowMs).conditions?.find(({ type }) => type === 'Ready');
  assert.equal(condition?.status, 'False');
  assert.equal(condition?.reason, 'ReadinessGatesNotReady');
});

test('phases follow from what has ended and the restart policy', () => {
  const phase = (restartPolicy: string, containers: readonly ContainerFact[]) =>
    podStatus(facts(podOf({ restartPolicy }), containers), nowMs).phase;
  const failed = fact('exited', { exitCode: 1 });
  assert.equal(phase('Never', []), 'Pending');
  assert.equal(phase('Never', [fact('running')]), 'Running');
  assert.equal(phase('Never', [fact('exited')]), 'Succeeded');
  assert.equal(phase('Never', [failed]), 'Failed');
  assert.equal(phase('OnFailure', [failed]), 'Running');
  assert.equal(phase('OnFailure', [fact('exited')]), 'Succeeded');
  assert.equal(phase('Always', [fact('exited')]), 'Running');
  const over = podStatus(facts(podOf({}, { phase: 'Failed' }), [fact('running')]), nowMs);
  assert.equal(over.phase, 'Failed', 'an end is final');
  superseded('POD-090', { by: 'v1.2', now: 'these four; Unknown is in the API and never set' });
});

test('an end is told when the last sidecar has ended', () => {
  const initContainers = [{ name: 'side', image: 'side:1', restartPolicy: 'Always' }] as const;
  const pod = podOf({ restartPolicy: 'Never', initContainers });
  const phaseWith = (state: 'running' | 'exited', exitCode: number) => {
    const side = fact(state, { id: 'c2', name: 'side' });
    return podStatus(facts(pod, [side, fact('exited', { exitCode })]), nowMs).phase;
  };
  assert.equal(phaseWith('running', 0), 'Running');
  assert.equal(phaseWith('exited', 0), 'Succeeded');
  assert.equal(phaseWith('exited', 1), 'Failed');
});

test('a container in back-off shows why it waits and how it ended', () => {
  covers('POD-210');
  const waiting = new Map([['web', { reason: 'CrashLoopBackOff', message: 'back-off 10s' }]]);
  const ended = fact('exited', { exitCode: 137, reason: 'OOMKilled', attempt: 3 });
  const messages = new Map([['c1', 'out of memory']]);
  const status = podStatus(facts(podOf(), [ended], { waiting, messages }), nowMs);
  const [container] = status.containerStatuses ?? [];
  assert.deepEqual(container?.state, { waiting: waiting.get('web') });
  assert.equal(container?.restartCount, 3);
  assert.deepEqual(container?.lastState?.terminated, {
    exitCode: 137,
    reason: 'OOMKilled',
    message: 'out of memory',
    startedAt: now,
    finishedAt: now,
    containerID: 'containerd://c1',
  });
});

test('a container that could not start and does not come again is what it ended as', () => {
  const waiting = { reason: 'RunContainerError', message: 'no such file' };
  const failures = new Map([['web', { hash: '', waiting, untilMs: nowMs }]]);
  const ended = fact('exited', { exitCode: 128, reason: 'StartError', message: 'no such file' });
  const stateUnder = (restartPolicy: 'Always' | 'Never') => {
    const status = podStatus(facts(podOf({ restartPolicy }), [ended], { failures }), nowMs);
    return status.containerStatuses?.[0]?.state;
  };
  assert.equal(stateUnder('Always')?.waiting?.reason, 'RunContainerError');
  assert.equal(stateUnder('Never')?.terminated?.reason, 'StartError');
});

test('before its containers run, a pod is initialising or creating', () => {
  const reason = (pod: Pod, containers: readonly ContainerFact[]) =>
    podStatus(facts(pod, containers), nowMs).containerStatuses?.[0]?.state?.waiting?.reason;
  assert.equal(reason(podOf(), []), 'ContainerCreating');
  const pod = podOf({ initContainers: [{ name: 'init' }] });
  assert.equal(reason(pod, []), 'PodInitializing');
  assert.equal(reason(pod, [fact('exited', { name: 'init', id: 'i' })]), 'ContainerCreating');
  const status = podStatus(facts(pod, []), nowMs);
  assert.equal(conditionsOf(status)['Initialized'], 'False');
});

test('a container that the runtime lost counts as ended, once', () => {
  const running = { running: { startedAt: now } };
  const known = { name: 'web', image: 'nginx:1', imageID: '', ready: true, state: running };
  const containerStatuses = [{ ...known, restartCount: 2, containerID: 'containerd://old' }];
  const first = podStatus(facts(podOf({}, { containerStatuses }), []), nowMs);
  const [status] = first.containerStatuses ?? [];
  assert.equal(status?.restartCount, 3);
  assert.equal(status?.containerID, undefined);
  assert.equal(status?.lastState?.terminated?.reason, 'ContainerStatusUnknown');
  const second = podStatus(facts(podOf({}, first), []), nowMs);
  assert.equal(second.containerStatuses?.[0]?.restartCount, 3);
  assert.deepEqual(second.containerStatuses?.[0]?.lastState, status?.lastState);
});

test('a deadline fails the pod', () => {
  const failure = { reason: 'DeadlineExceeded', message: 'too long' };
  const ending = { graceSeconds: 1, failure };
  const status = podStatus(facts(podOf(), [fact('exited')], { ending }), nowMs);
  assert.deepEqual(
    [status.phase, status.reason, status.message],
    ['Failed', 'DeadlineExceeded', 'too long'],
  );
});

test('only what changed is sent, and what is gone is taken back', () => {
  const from: PodStatus = {
    phase: 'Pending',
    reason: 'X',
    podIP: '10.0.0.1',
    qosClass: 'Burstable',
  };
  const to: PodStatus = { phase: 'Running', podIP: '10.0.0.1', qosClass: 'Burstable' };
  assert.deepEqual(statusPatch(from, to), { phase: 'Running', reason: null });
  assert.equal(statusPatch(to, { ...to, message: undefined }), undefined);
});
