/**
 * A hollow pod's life as a table: what is planned at each moment, and what its status then
 * says.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Pod, PodStatus } from '#resources/types/core-v1.ts';
import { type Action, planPod, type RunningPod } from './plan.ts';
import { podStatus } from './status.ts';

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

const running: RunningPod = {
  uid: 'u1',
  podIP: '10.128.0.2',
  hostIP: '192.168.0.0',
  restartCount: 0,
  before: undefined,
  seenMs: startMs,
  runningMs: startMs + 1000,
  readyMs: startMs + 3000,
  exit: undefined,
  stoppedMs: undefined,
};

function statusAt(afterMs: number, of: Pod, run: RunningPod): PodStatus {
  const actions = planPod({ pod: of, running: run, stopMs }, startMs + afterMs);
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

function plan(of: Pod, run: RunningPod | undefined, afterMs: number): readonly Action[] {
  return planPod({ pod: of, running: run, stopMs }, startMs + afterMs);
}

test('a bound pod is started, then creating, running and ready in turn', () => {
  assert.deepEqual(plan(pod(), undefined, 0), [{ do: 'start' }]);
  const creating = statusAt(0, pod(), running);
  assert.deepEqual(summary(creating), ['Pending', 'False', 'waiting', 0, undefined]);
  const up = statusAt(1000, pod({ status: creating }), running);
  assert.deepEqual(summary(up), ['Running', 'False', 'running', 0, '10.128.0.2']);
  const ready = statusAt(3000, pod({ status: up }), running);
  assert.deepEqual(summary(ready), ['Running', 'True', 'running', 0, '10.128.0.2']);
  assert.deepEqual(plan(pod({ status: ready }), running, 4000), []);
});

test('what the API shows already is not written again; the next moment is waited for', () => {
  const status = podStatus(pod(), running, { nowMs: startMs, restarts: false });
  assert.deepEqual(plan(pod({ status }), running, 500), [{ do: 'wait', untilMs: startMs + 1000 }]);
  const others = [...(status.conditions ?? []), { type: 'PodScheduled', status: 'True' }];
  const known = pod({ status: { ...status, conditions: others } });
  assert.deepEqual(plan(known, running, 500), [{ do: 'wait', untilMs: startMs + 1000 }]);
});

test('somebody who calls the pod unready is put right', () => {
  const ready = podStatus(pod(), running, { nowMs: startMs + 3000, restarts: false });
  const conditions = ready.conditions?.map((one) =>
    one.type === 'Ready' ? { ...one, status: 'False' } : one,
  );
  const spoilt = pod({ status: { ...ready, conditions } });
  assert.equal(summary(statusAt(9000, spoilt, running))[1], 'True');
});

test('a pod that ends: again after a delay, or for good, as its policy says', () => {
  const ends = (code: number): RunningPod => ({ ...running, exit: { atMs: startMs + 5000, code } });
  const policy = (restartPolicy: string): Pod =>
    pod({ spec: { containers: [{ name: 'c' }], restartPolicy } });
  const at = (of: Pod, code: number) => summary(statusAt(6000, of, ends(code))).slice(0, 3);
  assert.deepEqual(at(policy('Never'), 0), ['Succeeded', 'False', 'terminated']);
  assert.deepEqual(at(policy('Never'), 1), ['Failed', 'False', 'terminated']);
  assert.deepEqual(at(policy('OnFailure'), 0), ['Succeeded', 'False', 'terminated']);
  assert.deepEqual(at(policy('OnFailure'), 1), ['Running', 'False', 'waiting']);
  assert.deepEqual(at(policy('Always'), 0), ['Running', 'False', 'waiting']);
  // Ten seconds after the end, then twenty.
  assert.deepEqual(plan(policy('Always'), ends(0), 15_000), [{ do: 'restart' }]);
  const second = { ...ends(0), restartCount: 1 };
  assert.notDeepEqual(plan(policy('Always'), second, 15_000), [{ do: 'restart' }]);
  assert.deepEqual(plan(policy('Always'), second, 25_000), [{ do: 'restart' }]);
});

test('an ended pod is left alone and its place forgotten', () => {
  const done = pod({ status: { phase: 'Succeeded' } });
  assert.deepEqual(plan(done, running, 0), [{ do: 'forget' }]);
  assert.deepEqual(plan(done, undefined, 0), []);
});

test('deletion: stop within the grace period, then delete for good', () => {
  const dying = (graceSeconds: number): Pod => {
    const metadata = { name: 'web', uid: 'u1', deletionTimestamp: '2026-01-01T00:00:00Z' };
    return pod({ metadata: { ...metadata, deletionGracePeriodSeconds: graceSeconds } });
  };
  assert.deepEqual(plan(dying(30), undefined, 0), [{ do: 'delete' }]);
  const stopping = plan(dying(30), running, 0);
  assert.deepEqual(stopping, [
    { do: 'stop', stoppedMs: startMs + 500 },
    { do: 'wait', untilMs: startMs + 500 },
  ]);
  const told = { ...running, stoppedMs: startMs + 500 };
  assert.deepEqual(plan(dying(30), told, 100), [{ do: 'wait', untilMs: startMs + 500 }]);
  assert.deepEqual(plan(dying(30), told, 500), [{ do: 'delete' }]);
  // A shorter grace period cuts the wait short.
  assert.deepEqual(plan(dying(0), told, 100)[0], { do: 'stop', stoppedMs: startMs + 100 });
});

test('readiness gates hold readiness back', () => {
  const gates = [{ conditionType: 'example.com/in' }];
  const gated = pod({ spec: { containers: [{ name: 'c' }], readinessGates: gates } });
  assert.equal(summary(statusAt(4000, gated, running))[1], 'False');
  const conditions = [{ type: 'example.com/in', status: 'True' }];
  assert.equal(summary(statusAt(4000, { ...gated, status: { conditions } }, running))[1], 'True');
});
