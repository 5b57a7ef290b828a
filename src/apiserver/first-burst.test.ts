/** What is made ready for a burst that may come is given back when none comes. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { VirtualClock } from '#kit/virtual-clock.ts';
import { openCatalog } from '#resources/resources.ts';
import { prepareFirstBurst } from './first-burst.ts';

function begin({ rehearses = true } = {}) {
  const clock = new VirtualClock();
  const closing = new AbortController();
  const done: string[] = [];
  const state = { share: 0 };
  const note = (what: string) => () => {
    done.push(`${what} ${Math.floor(clock.monotonic() / 1000)}`);
  };
  const rehearse = async (): Promise<void> => {
    note('rehearsed')();
    await clock.sleep(4000, { signal: closing.signal });
  };
  const ended = prepareFirstBurst(
    {
      ...{ catalog: openCatalog(), clock, utilization: () => state.share },
      rehearse: rehearses ? rehearse : undefined,
      memory: async () => ({ collect: note('collected'), trim: note('trimmed') }),
    },
    { signal: closing.signal },
  );
  return { clock, closing, done, state, ended };
}

test('a server that nobody uses rehearses, and gives all back after a while', async () => {
  const { clock, done, ended } = begin();
  await clock.advance(60_000);
  await ended;
  assert.deepEqual(done, ['rehearsed 1', 'trimmed 5', 'collected 20', 'trimmed 20']);
});

test('one that is used keeps what makes it fast until it is not', async () => {
  const { clock, done, state, ended } = begin();
  await clock.advance(6000);
  state.share = 0.1;
  await clock.advance(600_000);
  assert.deepEqual(done, ['rehearsed 1', 'trimmed 5']);
  state.share = 0.03;
  await clock.advance(16_000);
  await ended;
  assert.equal(done.length, 4);
});

test('one that is busy when the rehearsal ends is not stopped to give memory back', async () => {
  const { clock, closing, done, state, ended } = begin();
  await clock.advance(3000);
  state.share = 0.5;
  await clock.advance(120_000);
  assert.deepEqual(done, ['rehearsed 1']);
  const refused = assert.rejects(ended, /closed/);
  closing.abort(new Error('closed'));
  await refused;
});

test('without a rehearsal there is nothing to give back', async () => {
  const { clock, done, ended } = begin({ rehearses: false });
  await clock.advance(60_000);
  await ended;
  assert.deepEqual(done, []);
});
