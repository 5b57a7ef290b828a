/** Reading, following and rotating log files. */
import assert from 'node:assert/strict';
import {
  appendFileSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { open } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { setImmediate } from 'node:timers/promises';
import { gunzipSync } from 'node:zlib';
import { systemClock } from '#kit/clock.ts';
import { silentLog } from '#kit/log.ts';
import { VirtualClock } from '#kit/virtual-clock.ts';
import { type LogOptions, readLog, tailOffset } from './log-reader.ts';
import { makeRoom, rotateLogs } from './log-rotation.ts';

const { signal } = new AbortController();
const whole: LogOptions = { follow: false, timestamps: false };

function fileOf(context: TestContext): string {
  const folder = mkdtempSync(join(tmpdir(), 'coracle-logs-'));
  context.after(() => rmSync(folder, { recursive: true, force: true }));
  return join(folder, '0.log');
}

function lines(from: number, to: number): string {
  let text = '';
  for (let index = from; index <= to; index++) {
    text += `2026-01-01T00:00:00.${String(index).padStart(9, '0')}Z stdout F line ${index}\n`;
  }
  return text;
}

async function read(path: string, options: LogOptions): Promise<string> {
  const deps = { clock: systemClock(), isRunning: async () => false };
  let text = '';
  for await (const part of readLog(deps, path, options, signal)) text += part.toString();
  return text;
}

test('the end of a log, over several blocks', async (context) => {
  const path = fileOf(context);
  writeFileSync(path, lines(1, 5000));
  assert.equal(await read(path, { ...whole, tailLines: 2 }), 'line 4999\nline 5000\n');
  assert.equal((await read(path, { ...whole, tailLines: 4000 })).split('\n').length, 4001);
  assert.equal((await read(path, { ...whole, tailLines: 9999 })).split('\n').length, 5001);
  assert.equal(await read(path, { ...whole, tailLines: 0 }), '');
  assert.equal(await read(path, { ...whole, limitBytes: 10 }), 'line 1\nlin');
});

test('a last line without its line break counts as a line', async (context) => {
  const path = fileOf(context);
  writeFileSync(path, lines(1, 3).slice(0, -1));
  assert.equal(await read(path, { ...whole, tailLines: 1 }), 'line 3\n');
  await using file = await open(path);
  assert.equal(await tailOffset(file, 3), 0);
});

test('lines of every length come whole, also those that are longer than what is read at a time', async (context) => {
  const path = fileOf(context);
  const texts = [0, 1, 16_340, 16_384, 700_000, 3, 262_144, 262_100, 90].map((length, index) =>
    String(index).repeat(length),
  );
  const time = '2026-01-01T00:00:00.000000000Z';
  writeFileSync(path, texts.map((text) => `${time} stdout F ${text}\n`).join(''));
  assert.equal(await read(path, whole), texts.map((text) => `${text}\n`).join(''));
});

test('a line that is written in parts is told when it is whole', async (context) => {
  const path = fileOf(context);
  const parts = lines(1, 9).match(/[\s\S]{1,17}/g) ?? [];
  writeFileSync(path, '');
  let left = 0;
  const deps = { clock: systemClock(), isRunning: async () => left < parts.length };
  const writing = (async () => {
    for (const part of parts) {
      appendFileSync(path, part);
      left += 1;
      await setImmediate();
    }
  })();
  let text = '';
  for await (const part of readLog(deps, path, { ...whole, follow: true }, signal)) {
    text += part.toString();
    assert.ok(text.endsWith('\n'));
  }
  await writing;
  assert.equal(text, Array.from({ length: 9 }, (_, index) => `line ${index + 1}\n`).join(''));
});

test('following goes on with what is appended and with the next file', async (context) => {
  const path = fileOf(context);
  writeFileSync(path, lines(1, 1));
  let isRunning = true;
  const deps = { clock: systemClock(), isRunning: async () => isRunning };
  let text = '';
  for await (const part of readLog(deps, path, { ...whole, follow: true }, signal)) {
    text += part.toString();
    if (text.endsWith('line 1\n')) appendFileSync(path, lines(2, 2));
    else if (text.endsWith('line 2\n')) {
      renameSync(path, `${path}.20260101`);
      writeFileSync(path, lines(3, 3));
    } else isRunning = false;
  }
  assert.equal(text, 'line 1\nline 2\nline 3\n');
});

test('a follower that falls behind reads every file between, and what comes late', async (context) => {
  const path = fileOf(context);
  writeFileSync(path, lines(1, 1));
  let isRunning = true;
  const deps = { clock: systemClock(), isRunning: async () => isRunning };
  const rotate = (name: string, next: string): void => {
    renameSync(path, `${path}.2026010${name}`);
    writeFileSync(path, next);
  };
  let text = '';
  for await (const part of readLog(deps, path, { ...whole, follow: true }, signal)) {
    const isFirst = text === '';
    text += part.toString();
    if (isFirst) {
      // Three times while the reader is busy; the oldest two are compressed meanwhile.
      appendFileSync(path, lines(2, 2));
      rotate('1', lines(3, 3));
      rotate('2', lines(4, 4));
      await makeRoom(path, { filesMax: 9, signal });
      rotate('3', lines(5, 5));
    } else if (text.endsWith('line 5\n')) {
      // The runtime has not let go of the old file yet.
      appendFileSync(`${path}.20260103`, lines(6, 6));
      isRunning = false;
    }
  }
  assert.equal(text, 'line 1\nline 2\nline 3\nline 4\nline 5\nline 6\n');
});

test('a log that is opened between its renaming and the new file is what was renamed', async (context) => {
  const path = fileOf(context);
  writeFileSync(`${path}.20260101`, lines(1, 2));
  writeFileSync(`${path}.20260102`, lines(3, 5));
  assert.equal(await read(path, whole), 'line 3\nline 4\nline 5\n');
  assert.equal(await read(path, { ...whole, tailLines: 1 }), 'line 5\n');
  writeFileSync(path, lines(6, 6));
  assert.equal(await read(path, whole), 'line 6\n');
});

test('a follower that comes between goes on with the new file, and loses and repeats nothing', async (context) => {
  const path = fileOf(context);
  writeFileSync(`${path}.20260101`, lines(1, 1));
  writeFileSync(`${path}.20260102`, lines(2, 3));
  let isRunning = true;
  const deps = { clock: systemClock(), isRunning: async () => isRunning };
  let text = '';
  for await (const part of readLog(deps, path, { ...whole, follow: true }, signal)) {
    text += part.toString();
    if (text.endsWith('line 3\n')) {
      appendFileSync(`${path}.20260102`, lines(4, 4));
      writeFileSync(path, lines(5, 5));
    } else if (text.endsWith('line 5\n')) isRunning = false;
  }
  assert.equal(text, 'line 2\nline 3\nline 4\nline 5\n');
});

test('where there is no log at all, reading says so', async (context) => {
  await assert.rejects(read(fileOf(context), whole), { code: 'ENOENT' });
});

test('a follower whose file was removed goes on with the oldest that is left', async (context) => {
  const path = fileOf(context);
  // By its time a file is known again when it is compressed; these are written in one moment.
  const write = (number: number): void => {
    writeFileSync(path, lines(number, number));
    utimesSync(path, number, number);
  };
  write(1);
  let isRunning = true;
  const deps = { clock: systemClock(), isRunning: async () => isRunning };
  let text = '';
  for await (const part of readLog(deps, path, { ...whole, follow: true }, signal)) {
    if (text === '') {
      for (const next of [2, 3, 4]) {
        renameSync(path, `${path}.2026010${next - 1}`);
        write(next);
      }
      rmSync(`${path}.20260101`);
      await makeRoom(path, { filesMax: 9, signal });
      isRunning = false;
    }
    text += part.toString();
  }
  assert.equal(text, 'line 1\nline 2\nline 3\nline 4\n');
});

test('what stands in the log when its container has ended is read, though it was rotated', async (context) => {
  const path = fileOf(context);
  writeFileSync(path, lines(1, 1));
  const isRunning = async (): Promise<boolean> => {
    renameSync(path, `${path}.20260101`);
    writeFileSync(path, lines(2, 2));
    return false;
  };
  let text = '';
  const deps = { clock: systemClock(), isRunning };
  for await (const part of readLog(deps, path, { ...whole, follow: true }, signal)) {
    text += part.toString();
    deps.isRunning = async () => false;
  }
  assert.equal(text, 'line 1\nline 2\n');
});

test('before a log is rotated the oldest go, and the others are compressed', async (context) => {
  const path = fileOf(context);
  const ending = ['1.gz', '2', '2.gz', '3', '4.tmp'];
  for (const each of ending) writeFileSync(`${path}.2026010${each}`, `text of ${each}`);
  writeFileSync(path, '');
  await makeRoom(path, { filesMax: 4, signal: new AbortController().signal });
  const left = ['0.log', '0.log.20260102.gz', '0.log.20260103.gz'];
  assert.deepEqual(readdirSync(join(path, '..')).toSorted(), left);
  assert.equal(gunzipSync(readFileSync(`${path}.20260103.gz`)).toString(), 'text of 3');
});

test('a log that cannot be rotated stays in its place, and others are rotated', async (context) => {
  const podLogs = join(fileOf(context), '..');
  const logOf = (name: string): string => join(podLogs, 'n_p_u', name, '0.log');
  const containers = ['ended', 'lost', 'fine'].map((name) => {
    mkdirSync(join(logOf(name), '..'), { recursive: true });
    writeFileSync(logOf(name), `old text of ${name}`);
    const pod = { namespace: 'n', name: 'p', uid: 'u' };
    const ofPod = Object.entries(pod).map(([key, value]) => [`io.kubernetes.pod.${key}`, value]);
    const labels = { ...Object.fromEntries(ofPod), 'io.kubernetes.container.name': name };
    return { id: name, labels, annotations: {} };
  });
  const runtime = {
    listContainers: async () => containers,
    reopenContainerLog: async (id: string) => {
      if (id !== 'ended') writeFileSync(logOf(id), 'new text');
      if (id !== 'fine') throw new Error('there is no such container');
    },
  };
  const deps = { runtime, paths: { podLogs }, clock: systemClock(), log: silentLog };
  await rotateLogs(deps, { logBytesMax: 10, logFilesMax: 3, signal });
  const filesOf = (name: string): readonly string[] => readdirSync(join(logOf(name), '..'));
  assert.deepEqual(filesOf('ended'), ['0.log']);
  assert.equal(readFileSync(logOf('ended'), 'utf8'), 'old text of ended');
  for (const name of ['lost', 'fine']) {
    assert.equal(readFileSync(logOf(name), 'utf8'), 'new text', name);
    assert.equal(filesOf(name).length, 2, name);
  }
});

test('two turns of one second lose nothing', async (context) => {
  const podLogs = join(fileOf(context), '..');
  const labels = Object.fromEntries(
    Object.entries({ namespace: 'n', name: 'p', uid: 'u' })
      .map(([key, value]) => [`io.kubernetes.pod.${key}`, value])
      .concat([['io.kubernetes.container.name', 'c']]),
  );
  const path = join(podLogs, 'n_p_u', 'c', '0.log');
  mkdirSync(join(path, '..'), { recursive: true });
  const clock = new VirtualClock();
  const runtime = {
    listContainers: async () => [{ id: 'c', labels, annotations: {} }],
    reopenContainerLog: async () => writeFileSync(path, ''),
  };
  const turnOver = (): Promise<void> =>
    rotateLogs(
      { runtime, paths: { podLogs }, clock, log: silentLog },
      { logBytesMax: 1, logFilesMax: 5, signal: new AbortController().signal },
    );
  const names = (): readonly string[] => readdirSync(join(path, '..')).toSorted();
  writeFileSync(path, 'first');
  await turnOver();
  const [, first = ''] = names();
  writeFileSync(path, 'second');
  await turnOver();
  assert.deepEqual(names(), ['0.log', first]);
  assert.equal(readFileSync(path, 'utf8'), 'second', 'it waits for the next second');
  await clock.advance(1000);
  await turnOver();
  const [, compressed = '', second = ''] = names();
  assert.equal(gunzipSync(readFileSync(join(path, '..', compressed))).toString(), 'first');
  assert.equal(readFileSync(join(path, '..', second), 'utf8'), 'second');
});
