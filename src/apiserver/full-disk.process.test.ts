/**
 * The disk is full, for real: the store lies on a small file system of memory that something else
 * fills up. Writes are refused with the disk's own reason, reads and watches go on, the server is
 * not ready; once there is room it recovers by itself, and nothing acknowledged is lost.
 * Mounting needs root.
 */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { systemClock } from '#kit/clock.ts';
import { silentLog } from '#kit/log.ts';
import { openSqliteStore } from '#store';
import { openTestServer, type TestServer } from '#test/fixtures.ts';

const clock = systemClock();
const never = new AbortController().signal;
const space = '/api/v1/namespaces/default/configmaps';
const recoveryLimitMs = 60_000;
const isRoot = process.platform === 'linux' && process.getuid?.() === 0;

async function withSmallDisk(use: (folder: string) => Promise<void>): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), 'coracle-full-'));
  try {
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=6m', 'coracle-full', folder]);
    try {
      await use(folder);
    } finally {
      execFileSync('umount', [folder]);
    }
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

function create(server: TestServer, name: string) {
  return server.request('POST', space, { metadata: { name }, data: { text: 'x'.repeat(10_000) } });
}

async function names(server: TestServer): Promise<readonly string[]> {
  const { body } = await server.request('GET', space);
  return body.items.map(({ metadata }: { metadata: { name: string } }) => metadata.name).sort();
}

/** Leaves no room, however much is there. */
function fill(file: string): void {
  assert.throws(() => writeFileSync(file, Buffer.alloc(16 * 1024 * 1024)), { code: 'ENOSPC' });
}

test('a full disk refuses writes and keeps what it has', { skip: !isRoot }, async () => {
  await withSmallDisk(async (folder) => {
    const file = join(folder, 'db', 'state.db');
    const acknowledged: string[] = [];
    {
      await using store = await openSqliteStore({ clock, log: silentLog }, { file });
      await using server = await openTestServer({ clock, store });
      assert.equal((await create(server, 'first')).status, 201);
      acknowledged.push('first');
      const watch = await server.watch(`${space}?watch=1&resourceVersion=0`);
      assert.equal((await watch.next()).object.metadata.name, 'first');
      const filler = join(folder, 'filler');
      fill(filler);
      let refused = 0;
      for (let n = 0; n < 1_000 && refused < 5; n++) {
        const { status, body } = await create(server, `full-${n}`);
        if (status === 201) acknowledged.push(`full-${n}`);
        else {
          refused += 1;
          assert.deepEqual([status, body.reason], [503, 'ServiceUnavailable']);
          assert.match(body.message, /could not be made durable: .*(full|disk I\/O)/);
        }
      }
      assert.equal(refused, 5);
      assert.deepEqual(await names(server), acknowledged.toSorted());
      assert.equal((await server.request('GET', '/readyz')).status, 500);
      rmSync(filler);
      const limitMs = clock.monotonic() + recoveryLimitMs;
      while ((await server.request('GET', '/readyz')).status !== 200) {
        assert.ok(clock.monotonic() < limitMs, 'it recovers by itself');
        await clock.sleep(100, { signal: never });
      }
      assert.equal((await create(server, 'last')).status, 201);
      acknowledged.push('last');
      const seen: string[] = ['first'];
      while (seen.at(-1) !== 'last') seen.push((await watch.next()).object.metadata.name);
      assert.deepEqual(seen, acknowledged);
      watch.stop();
    }
    await using store = await openSqliteStore({ clock, log: silentLog }, { file });
    await using server = await openTestServer({ clock, store });
    assert.deepEqual(await names(server), acknowledged.toSorted());
  });
});
