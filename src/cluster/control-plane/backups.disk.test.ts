/** The daily copies of a cluster's store: when, how many, and what happens when one fails. */
import assert from 'node:assert/strict';
import { existsSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { setTimeout as wait } from 'node:timers/promises';
import { systemClock } from '#kit/clock.ts';
import { silentLog } from '#kit/log.ts';
import { Scope } from '#kit/scope.ts';
import { VirtualClock } from '#kit/virtual-clock.ts';
import { openSqliteStore, restoreSqliteFile, type Store } from '#store';
import { covers } from '#test/covers.ts';
import { openTestServer, type TestServer } from '#test/fixtures.ts';
import { backupName, backupTimeMs, planNextBackup, planRemoval, runBackups } from './backups.ts';

const [hour, day] = [3_600_000, 86_400_000];

test('a name says when the copy was made', () => {
  const at = Date.UTC(2026, 10, 21, 7, 12, 30);
  assert.equal(backupName(at), 'state-20261121T071230Z.db');
  assert.equal(backupTimeMs(backupName(at)), at);
  assert.equal(backupTimeMs('state-20261121T071230Z.db.partial'), undefined);
  assert.equal(backupTimeMs('mine.db'), undefined);
});

test('the next copy is due one interval behind the newest, also over a restart', () => {
  const plan = { intervalMs: day, startedMs: 0, nowMs: 10 * day };
  assert.equal(planNextBackup([], { ...plan, startedMs: 7 }), 7 + hour);
  assert.equal(planNextBackup([], { ...plan, intervalMs: 60_000 }), 60_000);
  const names = [backupName(3 * day), backupName(9 * day), 'other'];
  assert.equal(planNextBackup(names, plan), 10 * day);
  assert.equal(planNextBackup([backupName(99 * day)], plan), 11 * day);
});

test('the oldest go, and what is not a copy stays', () => {
  const names = [3, 1, 2].map((days) => backupName(days * day));
  const partial = `${backupName(4 * day)}.partial`;
  assert.deepEqual(planRemoval([...names, 'mine.db', partial], 2), [backupName(day), partial]);
  assert.deepEqual(planRemoval(names, 3), []);
});

test('what somebody has deleted by mistake is in the copy of the day before', async () => {
  covers('DAT-023');
  const folder = mkdtempSync(join(tmpdir(), 'coracle-backups-'));
  const [file, copies] = [join(folder, 'state.db'), join(folder, 'copies')];
  const deps = { clock: systemClock(), log: silentLog };
  const space = '/api/v1/namespaces/default/configmaps';
  const withServer = async (
    work: (server: TestServer, store: Store) => Promise<void>,
  ): Promise<void> => {
    await using store = await openSqliteStore(deps, { file });
    await using server = await openTestServer({ ...deps, store });
    await work(server, store);
  };
  try {
    await withServer(async (server, store) => {
      const map = { metadata: { name: 'precious' }, data: { k: 'v' } };
      assert.equal((await server.request('POST', space, map)).status, 201);
      const clock = new VirtualClock();
      const scope = new Scope(new AbortController().signal);
      const options = { folder: copies, intervalMs: day, keep: 7 };
      scope.spawn((signal) => runBackups({ clock, log: silentLog, store }, options, signal));
      await clock.advance(2 * hour);
      for (let turn = 0; turn < 6000 && !isMade(copies); turn++) await wait(10);
      assert.ok(isMade(copies));
      assert.equal((await server.request('DELETE', `${space}/precious`)).status, 200);
      scope.abort(new Error('the day is over'));
      await scope.join();
    });
    const [copy = ''] = readdirSync(copies);
    await restoreSqliteFile({ from: join(copies, copy), file, keepAs: `${file}.kept` });
    await withServer(async (server) => {
      const { body } = await server.request('GET', `${space}/precious`);
      assert.deepEqual(body.data, { k: 'v' });
    });
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
});

function isMade(folder: string): boolean {
  return existsSync(folder) && readdirSync(folder).some((name) => backupTimeMs(name) !== undefined);
}

test('a month of copies under a virtual clock keeps the newest seven', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'coracle-backups-'));
  const clock = new VirtualClock();
  const made: number[] = [];
  let isFailing = false;
  const store = {
    backup: (file: string) => {
      if (isFailing) return Promise.reject(new Error('no space left'));
      made.push(clock.now());
      writeFileSync(file, 'copy');
      return Promise.resolve({ revision: made.length, bytes: 4 });
    },
  };
  const stop = new AbortController();
  const scope = new Scope(stop.signal);
  const startMs = clock.now();
  try {
    scope.spawn((signal) =>
      runBackups({ clock, log: silentLog, store }, { folder, intervalMs: day, keep: 7 }, signal),
    );
    await clock.advance(30 * day);
    assert.deepEqual(
      made.map((at) => at - startMs),
      Array.from({ length: 30 }, (_, index) => hour + index * day),
    );
    assert.deepEqual(
      readdirSync(folder).sort(),
      made.slice(-7).map((at) => backupName(at)),
    );
    isFailing = true;
    await clock.advance(2 * day);
    assert.equal(readdirSync(folder).length, 7, 'a failed copy removes none');
    isFailing = false;
    await clock.advance(hour);
    assert.equal(made.length, 31, 'tried again within the hour');
  } finally {
    stop.abort(new Error('the test is over'));
    await scope.join();
    rmSync(folder, { recursive: true, force: true });
  }
});
