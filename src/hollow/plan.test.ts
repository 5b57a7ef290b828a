/**
 * A hollow pod's life as a table: what is planned at each moment, and what its status then says.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Container, Pod, PodStatus } from '#resources/types/core-v1.ts';
import { type ContainerLife, type Exit, type PodLife, type Run, restartDelayMs } from './life.ts';
import { type Action, endOfRemoved, planPod } from './plan.ts';

const startMs = Date.UTC(2026, 0, 1);
const stopMs = 500;

function pod(more: Partial<Pod> = {}): Pod {
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name: 'web', namespace: 'default', uid: 'u1', ...more.metadata },
    spec: { containers: [{ name: 'c', image: 'web:1' }], nodeName: 'n', ...more.spec },
    status: more.status ?? { phase: 'Pending' },
  };
}

const begun: PodLife = {
  uid: 'u1',
  podIP: '10.128.0.2',
  hostIP: '192.168.0.0',
  seenMs: startMs,
  sandboxMs: startMs + 1000,
  pullMs: startMs + 1000,
  containers: new Map(),
  earlier: new Map(),
  stoppedMs: undefined,
};

const run = (more: Partial<Run> = {}): Run => ({
  startedMs: startMs + 1000,
  readyMs: startMs + 3000,
  exit: undefined,
  flap: undefined,
  ...more,
});

function living(containers: Readonly<Record<string, Partial<ContainerLife>>>): PodLife {
  const all = Object.entries(containers).map(
    ([name, life]) => [name, { run: run(), last: undefined, restartCount: 0, ...life }] as const,
  );
  return { ...begun, containers: new Map(all) };
}

const up = living({ c: {} });
const exit = (afterMs: number, code: number): Exit => ({ atMs: startMs + afterMs, code });
const ends = (code: number, restartCount = 0): PodLife =>
  living({ c: { run: run({ exit: exit(5000, code) }), restartCount } });

function plan(of: Pod, life: PodLife | undefined, afterMs: number): readonly Action[] {
  return planPod({ pod: of, life, stopMs, crowded: false }, startMs + afterMs);
}

function statusAt(afterMs: number, of: Pod, life: PodLife): PodStatus {
  const actions = plan(of, life, afterMs);
  const write = actions.find((action) => action.do === 'writeStatus');
  assert.ok(write?.do === 'writeStatus', JSON.stringify(actions));
  return write.status;
}

function summary(status: PodStatus): readonly unknown[] {
  const [container] = status.containerStatuses ?? [];
  const ready = status.conditions?.find(({ type }) => type === 'Ready')?.status;
  const state = Object.keys(container?.state ?? {});
  return [status.phase, ready, ...state, container?.restartCount, status.podIP];
}

function names(actions: readonly Action[]): readonly string[] {
  return actions.flatMap((action) =>
    action.do === 'run'
      ? action.due.map(({ container, atMs }) => `${container.name} at ${atMs - startMs}`)
      : [],
  );
}

test('a bound pod is started, then creating, running and ready in turn', () => {
  assert.deepEqual(plan(pod(), undefined, 0), [{ do: 'start' }]);
  const creating = statusAt(0, pod(), begun);
  assert.deepEqual(summary(creating), ['Pending', 'False', 'waiting', 0, undefined]);
  assert.deepEqual(names(plan(pod({ status: creating }), begun, 1000)), ['c at 1000']);
  const running = statusAt(1000, pod({ status: creating }), up);
  assert.deepEqual(summary(running), ['Running', 'False', 'running', 0, '10.128.0.2']);
  const ready = statusAt(3000, pod({ status: running }), up);
  assert.deepEqual(summary(ready), ['Running', 'True', 'running', 0, '10.128.0.2']);
  assert.deepEqual(plan(pod({ status: ready }), up, 4000), []);
});

test('what the API shows already is not written again; the next moment is waited for', () => {
  const status = statusAt(0, pod(), begun);
  assert.deepEqual(plan(pod({ status }), begun, 500), [{ do: 'wait', untilMs: startMs + 1000 }]);
  const others = [...(status.conditions ?? []), { type: 'PodScheduled', status: 'True' }];
  const known = pod({ status: { ...status, conditions: others } });
  assert.deepEqual(plan(known, begun, 500), [{ do: 'wait', untilMs: startMs + 1000 }]);
});

test('in a crowd it is not written that a pod begins which runs in a moment', () => {
  const at = (afterMs: number, crowded: boolean, life = begun) =>
    planPod({ pod: pod(), life, stopMs, crowded }, startMs + afterMs).map((one) => one.do);
  assert.deepEqual(at(0, true), ['wait']);
  assert.deepEqual(at(0, false), ['writeStatus', 'wait']);
  // Not in a moment; or begun already.
  assert.deepEqual(at(0, true, { ...begun, sandboxMs: startMs + 1001 }), ['writeStatus', 'wait']);
  assert.deepEqual(at(1000, true, up), ['writeStatus', 'wait']);
});

test('somebody who calls the pod unready is put right', () => {
  const ready = statusAt(3000, pod(), up);
  const conditions = ready.conditions?.map((one) =>
    one.type === 'Ready' ? { ...one, status: 'False' } : one,
  );
  const spoilt = pod({ status: { ...ready, conditions } });
  assert.equal(summary(statusAt(9000, spoilt, up))[1], 'True');
});

test('a pod that ends: again after a delay, or for good, as its policy says', () => {
  const policy = (restartPolicy: string): Pod =>
    pod({ spec: { containers: [{ name: 'c' }], restartPolicy } });
  const at = (of: Pod, life: PodLife) => summary(statusAt(6000, of, life)).slice(0, 3);
  assert.deepEqual(at(policy('Never'), ends(0)), ['Succeeded', 'False', 'terminated']);
  assert.deepEqual(at(policy('Never'), ends(1)), ['Failed', 'False', 'terminated']);
  assert.deepEqual(at(policy('OnFailure'), ends(0)), ['Succeeded', 'False', 'terminated']);
  assert.deepEqual(at(policy('OnFailure'), ends(1, 1)), ['Running', 'False', 'waiting']);
  assert.deepEqual(at(policy('Always'), ends(0, 1)), ['Running', 'False', 'waiting']);
  // At once, then after ten seconds, then after twenty, never after more than five minutes.
  assert.deepEqual(names(plan(policy('Always'), ends(0), 5000)), ['c at 5000']);
  assert.deepEqual(names(plan(policy('Always'), ends(0, 1), 14_999)), []);
  assert.deepEqual(names(plan(policy('Always'), ends(0, 1), 15_000)), ['c at 15000']);
  assert.deepEqual(names(plan(policy('Always'), ends(0, 2), 25_000)), ['c at 25000']);
  const late = 5000 + restartDelayMs.max;
  assert.deepEqual(names(plan(policy('Always'), ends(0, 50), late)), [`c at ${late}`]);
});

test('a container that keeps ending says how long it is held back, and how it ended', () => {
  const [container] = statusAt(6000, pod(), ends(1, 2)).containerStatuses ?? [];
  assert.deepEqual(container?.state?.waiting, {
    reason: 'CrashLoopBackOff',
    message: 'back-off 20s restarting failed container=c pod=web_default(u1)',
  });
  assert.equal(container?.lastState?.terminated?.exitCode, 1);
  assert.equal(container?.lastState?.terminated?.reason, 'Error');
});

test('an ended pod is left alone and its place forgotten', () => {
  const done = pod({ status: { phase: 'Succeeded' } });
  assert.deepEqual(plan(done, up, 0), [{ do: 'forget' }]);
  assert.deepEqual(plan(done, undefined, 0), []);
});

test('init containers run one after another, sidecars before what follows them', () => {
  const initContainers: readonly Container[] = [
    { name: 'a' },
    { name: 'b', restartPolicy: 'Always' },
    { name: 'd' },
  ];
  const of = pod({ spec: { containers: [{ name: 'c' }], initContainers } });
  const ended = (afterMs: number) => ({ run: run({ exit: exit(afterMs, 0) }) });
  const since = (afterMs: number) => ({ run: run({ startedMs: startMs + afterMs }) });
  assert.deepEqual(names(plan(of, begun, 1000)), ['a at 1000']);
  assert.deepEqual(names(plan(of, living({ a: ended(2000) }), 1500)), []);
  assert.deepEqual(names(plan(of, living({ a: ended(2000) }), 2500)), ['b at 2000']);
  const sidecar = living({ a: ended(2000), b: since(2000) });
  assert.deepEqual(names(plan(of, sidecar, 2500)), ['d at 2000']);
  const last = living({ a: ended(2000), b: since(2000), d: ended(4000) });
  assert.deepEqual(names(plan(of, last, 3000)), []);
  assert.equal(statusAt(3000, of, last).phase, 'Pending');
  assert.deepEqual(names(plan(of, last, 4000)), ['c at 4000']);
  const all = living({ a: ended(2000), b: since(2000), d: ended(4000), c: since(4000) });
  const status = statusAt(4000, of, all);
  assert.equal(status.phase, 'Running');
  assert.deepEqual(
    status.initContainerStatuses?.map(({ ready, state }) => [ready, ...Object.keys(state ?? {})]),
    [
      [true, 'terminated'],
      [true, 'running'],
      [true, 'terminated'],
    ],
  );
});

test('an init container that fails ends the pod, or is tried again, as its policy says', () => {
  const initContainers = [{ name: 'a' }];
  const failed = living({ a: { run: run({ exit: exit(2000, 1) }), restartCount: 1 } });
  const of = (restartPolicy: string): Pod =>
    pod({ spec: { containers: [{ name: 'c' }], initContainers, restartPolicy } });
  assert.equal(statusAt(3000, of('Never'), failed).phase, 'Failed');
  assert.equal(statusAt(3000, of('Always'), failed).phase, 'Pending');
  assert.deepEqual(names(plan(of('Always'), failed, 12_000)), ['a at 12000']);
});

test('images that cannot be pulled hold the containers back', () => {
  const held = { ...begun, pullMs: startMs + 16_000 };
  const [container] = statusAt(2000, pod(), held).containerStatuses ?? [];
  assert.equal(container?.state?.waiting?.reason, 'ImagePullBackOff');
  assert.deepEqual(names(plan(pod(), held, 16_000)), ['c at 16000']);
});

test('a container that flaps is not ready now and then', () => {
  const flap = { everyMs: 60_000, forMs: 5_000 };
  const flapping = living({ c: { run: run({ flap }) } });
  const isReady = (afterMs: number) => summary(statusAt(afterMs, pod(), flapping))[1];
  assert.equal(isReady(57_000), 'True');
  assert.equal(isReady(59_000), 'False');
  assert.equal(isReady(64_000), 'True');
  const status = statusAt(10_000, pod(), flapping);
  const untilMs = startMs + 3000 + 55_000;
  assert.deepEqual(plan(pod({ status }), flapping, 10_000), [{ do: 'wait', untilMs }]);
});

test('a pod over its deadline has failed', () => {
  const late = pod({ spec: { containers: [{ name: 'c' }], activeDeadlineSeconds: 10 } });
  assert.equal(statusAt(9000, late, up).phase, 'Running');
  const { phase, reason } = statusAt(10_000, late, up);
  assert.deepEqual([phase, reason], ['Failed', 'DeadlineExceeded']);
});

test('what ran before this process and must not run twice has failed', () => {
  const state = { running: { startedAt: '2026-01-01T00:00:00Z' } };
  const containerStatuses = [
    { name: 'c', image: '', imageID: '', ready: true, restartCount: 0, state },
  ];
  const of = (restartPolicy: string): Pod =>
    pod({
      spec: { containers: [{ name: 'c' }], restartPolicy },
      status: { phase: 'Running', containerStatuses },
    });
  assert.deepEqual(plan(of('Always'), undefined, 0), [{ do: 'start' }]);
  const [lost] = plan(of('Never'), undefined, 0);
  assert.equal(lost?.do === 'writeStatus' ? lost.status.phase : undefined, 'Failed');
});

const dying = (graceSeconds: number, status?: PodStatus): Pod => {
  const metadata = { name: 'web', uid: 'u1', deletionTimestamp: '2026-01-01T00:00:00Z' };
  return pod({
    metadata: { ...metadata, deletionGracePeriodSeconds: graceSeconds },
    ...(status && { status }),
  });
};

test('deletion: stop within the grace period, say how it ended, delete for good', () => {
  const does = (actions: readonly Action[]) => actions.map((action) => action.do);
  assert.deepEqual(does(plan(dying(30), undefined, 0)), ['writeStatus', 'delete']);
  const stopping = plan(dying(30), up, 2000);
  assert.deepEqual(stopping, [
    { do: 'stop', stoppedMs: startMs + 2500 },
    { do: 'wait', untilMs: startMs + 2500 },
  ]);
  const told = { ...up, stoppedMs: startMs + 2500 };
  assert.deepEqual(plan(dying(30), told, 2100), [{ do: 'wait', untilMs: startMs + 2500 }]);
  const end = plan(dying(30), told, 2500);
  assert.deepEqual(does(end), ['writeStatus', 'delete']);
  const status = statusAt(2500, dying(30), told);
  assert.equal(status.phase, 'Failed');
  assert.equal(status.containerStatuses?.[0]?.state?.terminated?.exitCode, 143);
  // A shorter grace period cuts the wait short.
  assert.deepEqual(plan(dying(0), told, 2100)[0], { do: 'stop', stoppedMs: startMs + 2100 });
});

test('a pod of which nobody knows anything ends without addresses', () => {
  const [write] = plan(dying(30), undefined, 0);
  assert.ok(write?.do === 'writeStatus');
  const { phase, hostIP, hostIPs, podIP } = write.status;
  assert.deepEqual([phase, hostIP, hostIPs, podIP], ['Failed', undefined, undefined, undefined]);
});

test('a pod that is deleted for good and held by a finalizer is left alone', () => {
  assert.deepEqual(plan(dying(30, { phase: 'Failed' }), undefined, 0), [{ do: 'delete' }]);
  assert.deepEqual(plan(dying(0, { phase: 'Failed' }), undefined, 0), []);
});

test('containers of a pod that was removed at once need their time to stop, if they run', () => {
  const lastsMs = (life: PodLife, afterMs: number): number =>
    endOfRemoved({ pod: pod(), life, stopMs }, startMs + afterMs) - startMs - afterMs;
  assert.equal(lastsMs(up, 4000), stopMs);
  assert.equal(lastsMs({ ...up, stoppedMs: startMs + 4100 }, 4000), 100);
  assert.equal(lastsMs(begun, 500), 0);
  assert.equal(lastsMs(ends(0), 6000), 0);
});

test('readiness gates hold readiness back', () => {
  const gates = [{ conditionType: 'example.com/in' }];
  const gated = pod({ spec: { containers: [{ name: 'c' }], readinessGates: gates } });
  assert.equal(summary(statusAt(4000, gated, up))[1], 'False');
  const conditions = [{ type: 'example.com/in', status: 'True' }];
  assert.equal(summary(statusAt(4000, { ...gated, status: { conditions } }, up))[1], 'True');
});
