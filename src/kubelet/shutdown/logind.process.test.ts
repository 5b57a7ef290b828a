/**
 * The programs of systemd as logind's client uses them, with stand-ins that note what they hear.
 */
import assert from 'node:assert/strict';
import { chmodSync, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { openLogind, parseEvent } from './logind.ts';

async function eventually(holds: () => boolean): Promise<void> {
  for (let look = 0; look < 3000 && !holds(); look++) await sleep(20);
  assert.ok(holds());
}

test('asks, holds a lock until it is given back, and hears of shutdowns', async (context) => {
  const folder = mkdtempSync(join(tmpdir(), 'coracle-logind-'));
  context.after(() => rmSync(folder, { recursive: true }));
  const program = (name: string, text: string): string => {
    const path = join(folder, name);
    writeFileSync(path, `#!/bin/sh\ncd ${folder}\n${text}\n`);
    chmodSync(path, 0o755);
    return path;
  };
  const message = (value: boolean): string =>
    JSON.stringify({
      ...{ type: 'signal', member: 'PrepareForShutdown' },
      payload: { type: 'b', data: [value] },
    });
  const logind = openLogind({
    busctl: program(
      'busctl',
      [
        'echo "$@" >> calls',
        'case $1 in',
        '  get-property) echo "t 5000000" ;;',
        `  monitor) echo '${message(true)}'; echo '{}'; echo '${message(false)}' ;;`,
        'esac',
      ].join('\n'),
    ),
    inhibit: program('inhibit', 'echo "$@" > asked\nshift 4\n"$@"\necho > released'),
    configDir: join(folder, 'conf'),
  });
  const stop = new AbortController();
  const { signal } = stop;
  assert.equal(await logind.delayMs({ signal }), 5000);
  await logind.setDelay(30_500, { signal });
  const settings = readFileSync(join(folder, 'conf/99-kubelet.conf'), 'utf8');
  assert.match(settings, /^\[Login\]\nInhibitDelayMaxSec=31$/m);
  assert.match(readFileSync(join(folder, 'calls'), 'utf8'), /KillUnit ssi systemd-logind.service/);

  const lock = await logind.hold({ signal });
  assert.match(readFileSync(join(folder, 'asked'), 'utf8'), /^--what=shutdown .*--mode=delay/);
  assert.equal(existsSync(join(folder, 'released')), false);
  lock[Symbol.dispose]();
  await eventually(() => existsSync(join(folder, 'released')));

  const heard: boolean[] = [];
  for await (const isBeginning of logind.events({ signal })) heard.push(isBeginning);
  assert.deepEqual(heard, [true, false]);

  rmSync(join(folder, 'released'));
  await logind.hold({ signal });
  stop.abort(new Error('the kubelet ends'));
  await eventually(() => existsSync(join(folder, 'released')));
});

test('a machine without logind is told of', async () => {
  const { signal } = new AbortController();
  const logind = openLogind({ busctl: '/nonexistent/busctl', inhibit: '/nonexistent/inhibit' });
  await assert.rejects(logind.delayMs({ signal }), /busctl get-property/);
  await assert.rejects(logind.hold({ signal }), /ENOENT/);
});

test('other messages of the bus are passed over', () => {
  assert.equal(parseEvent('{"member":"PrepareForSleep","payload":{"data":[true]}}'), undefined);
  assert.equal(parseEvent('no message'), undefined);
});
