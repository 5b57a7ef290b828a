/** Leaders over a real API server under a virtual clock: never two at a time, one in the end. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { silentLog } from '#kit/log.ts';
import { seededRandom } from '#kit/random.ts';
import type { Transport } from '#kit/transport.ts';
import { VirtualClock } from '#kit/virtual-clock.ts';
import { leases } from '#resources/kinds.ts';
import { openTestServer } from '#test/fixtures.ts';
import { openClient, runAsLeader } from './client.ts';

async function open() {
  const clock = new VirtualClock();
  const server = await openTestServer({ clock });
  const log: string[] = [];
  const leading = new Set<string>();
  const at = { namespace: 'kube-system', name: 'test' };

  /** A copy of a component; `cut` takes its connection away. */
  const copy = (identity: string) => {
    let isCut = false;
    const transport: Transport = {
      send: (request, options) =>
        isCut ? Promise.reject(new Error('cut')) : server.transport.send(request, options),
    };
    const client = openClient({ transport, clock });
    const random = seededRandom(identity.charCodeAt(0));
    const aborter = new AbortController();
    const { signal } = aborter;
    const running = runAsLeader(
      { client, clock, random, log: silentLog },
      { ...at, identity, signal },
      async (mine) => {
        leading.add(identity);
        assert.equal(leading.size, 1, `two lead: ${[...leading]}`);
        log.push(`${identity} leads at ${clock.monotonic() / 1000}`);
        await clock.sleep(1e9, { signal: mine }).finally(() => leading.delete(identity));
      },
    ).catch((error: unknown) => {
      if (error !== signal.reason) throw error;
    });
    return {
      cut: (): void => {
        isCut = true;
      },
      mend: (): void => {
        isCut = false;
      },
      stop: async (): Promise<void> => {
        aborter.abort(new Error(`${identity} stops`));
        await running;
      },
    };
  };
  const lease = async () => {
    const client = openClient({ transport: server.transport, clock });
    return (await client.get(leases, at, { signal: new AbortController().signal })).spec;
  };
  return { clock, server, log, leading, copy, lease };
}

test('the first leads, the second follows when the first stops', async () => {
  const world = await open();
  await using _server = world.server;
  const a = world.copy('a');
  await world.clock.advance(100);
  const b = world.copy('b');
  await world.clock.advance(60_000);
  assert.deepEqual(world.log, ['a leads at 0']);
  assert.equal((await world.lease())?.holderIdentity, 'a');
  await a.stop();
  assert.equal((await world.lease())?.holderIdentity, undefined);
  await world.clock.advance(3_000);
  assert.deepEqual([...world.leading], ['b']);
  assert.equal((await world.lease())?.leaseTransitions, 1);
  await b.stop();
  assert.deepEqual([...world.leading], []);
});

test('a leader that is cut off stops before another begins, and comes back as a follower', async () => {
  const world = await open();
  await using _server = world.server;
  const a = world.copy('a');
  await world.clock.advance(100);
  const b = world.copy('b');
  await world.clock.advance(20_000);
  a.cut();
  await world.clock.advance(11_000);
  assert.deepEqual([...world.leading], [], 'a gave up, the lease has not run out');
  await world.clock.advance(12_000);
  assert.deepEqual([...world.leading], ['b']);
  a.mend();
  await world.clock.advance(60_000);
  assert.deepEqual([...world.leading], ['b']);
  await b.stop();
  await world.clock.advance(5_000);
  assert.deepEqual([...world.leading], ['a']);
  await a.stop();
});

test('work that fails ends the run with its error and frees the lease', async () => {
  const world = await open();
  await using _server = world.server;
  const { clock, server, lease } = world;
  const client = openClient({ transport: server.transport, clock });
  const { signal } = new AbortController();
  const options = { namespace: 'kube-system', name: 'test', identity: 'a', signal };
  const error = new Error('broken');
  const deps = { client, clock, random: seededRandom(1), log: silentLog };
  const running = runAsLeader(deps, options, () => Promise.reject(error));
  await assert.rejects(running, error);
  assert.equal((await lease())?.holderIdentity, undefined);
});
