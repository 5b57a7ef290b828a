/** One word for the state of a pod: the STATUS column, with READY and RESTARTS beside it. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Container, ContainerStatus, Pod, PodStatus } from '#resources/types/core-v1.ts';
import { covers } from '#test/covers.ts';
import { podColumns } from './columns.ts';

const nowMs = Date.UTC(2026, 0, 1, 0, 10);

const running = (name: string, ready = true): ContainerStatus => ({
  name,
  ready,
  started: true,
  restartCount: 0,
  image: '',
  imageID: '',
  state: { running: { startedAt: '2026-01-01T00:00:00Z' } },
});
const waiting = (name: string, reason: string): ContainerStatus => ({
  ...running(name, false),
  state: { waiting: { reason } },
});
const ended = (name: string, exitCode: number, reason?: string): ContainerStatus => ({
  ...running(name, false),
  state: { terminated: { exitCode, ...(reason === undefined ? {} : { reason }) } },
});

function row(
  status: PodStatus,
  options: {
    readonly containers?: readonly string[];
    readonly init?: readonly Container[];
    readonly deleted?: boolean;
  } = {},
): string {
  const pod: Pod = {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: {
      name: 'web',
      creationTimestamp: '2026-01-01T00:00:00Z',
      ...(options.deleted ? { deletionTimestamp: '2026-01-01T00:09:00Z' } : {}),
    },
    spec: {
      containers: (options.containers ?? ['a']).map((name) => ({ name })),
      initContainers: options.init ?? [],
    },
    status,
  };
  return podColumns()
    .slice(1, 4)
    .map(({ cell }) => cell(pod, nowMs))
    .join(' ');
}

test('the life of a pod in its status column', () => {
  const cases: readonly [PodStatus, string][] = [
    [{ phase: 'Pending' }, '0/1 Pending 0'],
    [
      { phase: 'Pending', containerStatuses: [waiting('a', 'ContainerCreating')] },
      '0/1 ContainerCreating 0',
    ],
    [{ phase: 'Pending', containerStatuses: [waiting('a', 'ErrImagePull')] }, '0/1 ErrImagePull 0'],
    [
      { phase: 'Pending', containerStatuses: [waiting('a', 'RunContainerError')] },
      '0/1 RunContainerError 0',
    ],
    [{ phase: 'Running', containerStatuses: [running('a')] }, '1/1 Running 0'],
    [{ phase: 'Running', containerStatuses: [running('a', false)] }, '0/1 Running 0'],
    [
      { phase: 'Running', containerStatuses: [waiting('a', 'CrashLoopBackOff')] },
      '0/1 CrashLoopBackOff 0',
    ],
    [{ phase: 'Succeeded', containerStatuses: [ended('a', 0, 'Completed')] }, '0/1 Completed 0'],
    [{ phase: 'Failed', containerStatuses: [ended('a', 1, 'Error')] }, '0/1 Error 0'],
    [{ phase: 'Failed', containerStatuses: [ended('a', 3)] }, '0/1 ExitCode:3 0'],
    [{ phase: 'Failed', reason: 'Evicted' }, '0/1 Evicted 0'],
    [
      {
        phase: 'Pending',
        conditions: [{ type: 'PodScheduled', status: 'False', reason: 'SchedulingGated' }],
      },
      '0/1 SchedulingGated 0',
    ],
  ];
  for (const [status, text] of cases) assert.equal(row(status), text);
});

test('restarts say when the last one was', () => {
  const status: ContainerStatus = {
    ...running('a'),
    restartCount: 2,
    lastState: { terminated: { exitCode: 1, finishedAt: '2026-01-01T00:09:55Z' } },
  };
  assert.equal(row({ phase: 'Running', containerStatuses: [status] }), '1/1 Running 2 (5s ago)');
});

test('a pod on its way out is terminating until it has ended', () => {
  const statuses = [running('a')];
  assert.equal(
    row({ phase: 'Running', containerStatuses: statuses }, { deleted: true }),
    '1/1 Terminating 0',
  );
  assert.equal(row({ phase: 'Running', reason: 'NodeLost' }, { deleted: true }), '0/1 Unknown 0');
  assert.equal(
    row({ phase: 'Succeeded', containerStatuses: [ended('a', 0, 'Completed')] }, { deleted: true }),
    '0/1 Completed 0',
  );
});

test('init containers count up before the others start', () => {
  // That they run in this order is in src/kubelet/pods/plan.test.ts.
  covers('POD-292');
  const init = [{ name: 'i' }, { name: 'j' }];
  const states = (...initContainerStatuses: ContainerStatus[]) =>
    row(
      {
        phase: 'Pending',
        initContainerStatuses,
        containerStatuses: [waiting('a', 'PodInitializing')],
      },
      { init },
    );
  assert.equal(states(running('i', false), waiting('j', 'PodInitializing')), '0/1 Init:0/2 0');
  assert.equal(states(ended('i', 0, 'Completed'), running('j', false)), '0/1 Init:1/2 0');
  assert.equal(states(ended('i', 1, 'Error')), '0/1 Init:Error 0');
  assert.equal(states(ended('i', 7)), '0/1 Init:ExitCode:7 0');
  assert.equal(states(waiting('i', 'CrashLoopBackOff')), '0/1 Init:CrashLoopBackOff 0');
  assert.equal(
    states(ended('i', 0, 'Completed'), ended('j', 0, 'Completed')),
    '0/1 PodInitializing 0',
  );
});

test('sidecars count as containers', () => {
  const init: Container[] = [{ name: 's', restartPolicy: 'Always' }];
  const status = {
    phase: 'Running',
    initContainerStatuses: [running('s')],
    containerStatuses: [running('a')],
  };
  assert.equal(row(status, { init }), '2/2 Running 0');
});

test('one container done and one running is still running', () => {
  const status = (ready: 'True' | 'False'): PodStatus => ({
    phase: 'Running',
    conditions: [{ type: 'Ready', status: ready }],
    containerStatuses: [ended('a', 0, 'Completed'), running('b')],
  });
  assert.equal(row(status('True'), { containers: ['a', 'b'] }), '1/2 Running 0');
  assert.equal(row(status('False'), { containers: ['a', 'b'] }), '1/2 NotReady 0');
});

test('names and priorities of the columns', () => {
  assert.deepEqual(
    podColumns().map(({ name, priority }) => `${name} ${priority}`),
    [
      'Name 0',
      'Ready 0',
      'Status 0',
      'Restarts 0',
      'Age 0',
      'IP 1',
      'Node 1',
      'Nominated Node 1',
      'Readiness Gates 1',
    ],
  );
});
