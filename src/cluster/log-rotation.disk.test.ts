/** Our own logs have an end: what is over the limit moves aside, and writers go on as they were. */
import assert from 'node:assert/strict';
import {
  appendFileSync,
  closeSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  truncateSync,
  writeSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { silentLog } from '#kit/log.ts';
import { Scope } from '#kit/scope.ts';
import { VirtualClock } from '#kit/virtual-clock.ts';
import { superseded } from '#test/covers.ts';
import { keepLogsSmall, limits } from './log-rotation.ts';

test('a log over its limit is begun anew, and few older ones are kept', async () => {
  superseded('LOG-012', {
    by: 'v1.24',
    now: 'the kubelet rotates logs of containers at 10 MiB, we ours at 50 MiB; no logrotate',
  });
  const dataDir = mkdtempSync(join(tmpdir(), 'coracle-logs-'));
  const folder = join(dataDir, 'logs');
  mkdirSync(folder);
  const file = join(folder, 'node.log');
  // As its process has it: opened once, for appending.
  const output = openSync(file, 'a');
  const clock = new VirtualClock();
  const scope = new Scope(new AbortController().signal);
  scope.spawn((signal) => keepLogsSmall({ clock, log: silentLog }, { dataDir, signal }));
  const look = async (isDone: () => boolean): Promise<void> => {
    const deadline = performance.now() + 60_000;
    while (!isDone()) {
      assert.ok(performance.now() < deadline, readdirSync(folder).join());
      await clock.advance(limits.lookMs);
      await sleep(5);
    }
  };
  try {
    appendFileSync(join(folder, 'coracle.log'), 'short\n');
    for (let n = 1; n <= limits.ownLogsKept + 2; n++) {
      writeSync(output, `part ${n}\n`);
      // As long, without the bytes.
      truncateSync(file, limits.ownLogBytesMax + 1);
      await look(() => statSync(file).size === 0);
    }
    writeSync(output, 'after\n');
    assert.equal(readFileSync(file, 'utf8'), 'after\n');
    const names = ['coracle.log', 'node.log', 'node.log.1', 'node.log.2', 'node.log.3'];
    assert.deepEqual(readdirSync(folder).toSorted(), names);
    const heads = names.slice(2).map((name) => readHead(join(folder, name)));
    assert.deepEqual(heads, ['part 5', 'part 4', 'part 3']);
    assert.equal(readFileSync(join(folder, 'coracle.log'), 'utf8'), 'short\n');
  } finally {
    scope.abort(new Error('enough'));
    await scope[Symbol.asyncDispose]();
    closeSync(output);
    rmSync(dataDir, { recursive: true });
  }
});

function readHead(path: string): string {
  const text = readFileSync(path);
  return text.subarray(0, text.indexOf('\n')).toString();
}
