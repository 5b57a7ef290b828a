/** Logs as they are asked for: which file they come from, and until when they are followed. */
import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import type { ServerResponse } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { GrpcError } from '#cri';
import { systemClock } from '#kit/clock.ts';
import { silentLog } from '#kit/log.ts';
import { kubeletPaths } from '../pods/pod-paths.ts';
import { answerLogs, type LogTarget, whyNoLog } from './log-server.ts';
import type { ServerParts } from './server.ts';

const { signal } = new AbortController();
const pod = {
  metadata: { namespace: 'n', name: 'p', uid: 'u' },
  spec: { containers: [{ name: 'c', image: 'i' }] },
};

/** A container that runs, and what is answered about its logs. */
function open(context: TestContext, stateOf: () => string) {
  const folder = mkdtempSync(join(tmpdir(), 'coracle-log-server-'));
  context.after(() => rmSync(folder, { recursive: true, force: true }));
  const paths = { ...kubeletPaths(folder, {}), podLogs: folder };
  const path = join(folder, 'n_p_u', 'c', '0.log');
  mkdirSync(join(path, '..'), { recursive: true });
  const containers = [{ id: 'id', name: 'c', attempt: 0, state: 'running' }];
  const runtime = { containerStatus: async () => ({ state: stateOf() }) };
  // Only what is asked of them.
  const parts = { paths, runtime, clock: systemClock(), log: silentLog } as unknown as ServerParts;
  const worker = {
    pod,
    findContainer: async () => ({ runtime: { containers } }),
  } as unknown as NonNullable<LogTarget['worker']>;
  const ask = async (query: string): Promise<string> => {
    let text = '';
    const response = {
      writeHead: () => {},
      flushHeaders: () => {},
      once: () => {},
      write: (part: Buffer, done: () => void) => {
        text += part.toString();
        done();
        return true;
      },
      end: () => {},
    } as unknown as ServerResponse;
    const target = { worker, namespace: 'n', name: 'p', container: 'c' };
    await answerLogs(parts, target, new URLSearchParams(query), response, signal);
    return text;
  };
  return { path, ask };
}

const line = (text: string): string => `2026-01-01T00:00:00.000000000Z stdout F ${text}\n`;

test('what was rotated away is not shown, and the newest file may be empty', async (context) => {
  const { path, ask } = open(context, () => 'CONTAINER_RUNNING');
  assert.equal(await ask(''), '');
  writeFileSync(path, line('old'));
  assert.equal(await ask(''), 'old\n');
  renameSync(path, `${path}.20260101-000000`);
  // The runtime has not begun the new one yet.
  assert.equal(await ask(''), 'old\n');
  writeFileSync(path, '');
  assert.equal(await ask(''), '');
  writeFileSync(path, line('new'));
  assert.equal(await ask(''), 'new\n');
  assert.equal(await ask('tailLines=5'), 'new\n');
});

test('a log is followed while the runtime is away, until the container has ended', async (context) => {
  let asked = 0;
  const { path, ask } = open(context, () => {
    asked += 1;
    if (asked === 1) throw new GrpcError('/ContainerStatus', 'UNAVAILABLE', 'refused');
    writeFileSync(path, line('first') + line('second'));
    return asked === 2 ? 'CONTAINER_RUNNING' : 'CONTAINER_EXITED';
  });
  writeFileSync(path, line('first'));
  assert.equal(await ask('follow=true'), 'first\nsecond\n');
  assert.ok(asked >= 3, String(asked));
});

test('of a container that the runtime does not have it is told whether it is still to come', () => {
  const of = (state: object, lastState: object = {}) =>
    whyNoLog(
      // Only what is asked of it.
      { name: 'c', state, lastState } as unknown as Parameters<typeof whyNoLog>[0],
      'container "c" in pod "p"',
    );
  const waiting = (reason: string) => of({ waiting: { reason } });
  const begin = 'container "c" in pod "p" is waiting to start:';
  assert.equal(waiting('ContainerCreating'), `${begin} ContainerCreating`);
  assert.equal(waiting('ErrImagePull'), `${begin} image can't be pulled`);
  assert.equal(waiting('ImagePullBackOff'), `${begin} trying and failing to pull image`);
  const gone = { terminated: { exitCode: 2, containerID: 'containerd://1' } };
  const text = 'unable to retrieve container logs for containerd://1';
  assert.equal(of(gone), text);
  assert.equal(of({ waiting: { reason: 'CrashLoopBackOff' } }, gone), text);
  assert.equal(of({ terminated: { exitCode: 1 } }), 'container "c" in pod "p" is terminated');
  assert.equal(whyNoLog(undefined, 'container "c" in pod "p"'), `${begin} ContainerCreating`);
});
