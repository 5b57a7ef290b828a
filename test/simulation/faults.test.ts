/** The simulated network: what each fault does to a request, and that a seed repeats it. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { seededRandom } from '#kit/random.ts';
import { Scope } from '#kit/scope.ts';
import type { PlainRequest, PlainResponse, Transport } from '#kit/transport.ts';
import { VirtualClock } from '#kit/virtual-clock.ts';
import { ConnectionLost, type FaultRates, FaultyTransport, noFaults } from './faults.ts';

const post: PlainRequest = { method: 'POST', path: '/api/v1/pods', headers: {} };

async function outcomeOf(
  rates: Partial<FaultRates>,
  options: { areOn?: boolean; seed?: number } = {},
) {
  const clock = new VirtualClock();
  await using scope = new Scope(new AbortController().signal);
  let carriedOut = 0;
  const inner: Transport = {
    send: async () => {
      carriedOut += 1;
      return { status: 200, headers: {}, body: new Uint8Array() };
    },
  };
  const notes: string[] = [];
  const faults: string[] = [];
  const deps = {
    clock,
    scope,
    random: seededRandom(options.seed ?? 1),
    areOn: () => options.areOn ?? true,
    note: (text: string) => notes.push(text),
    onFault: (fault: string) => faults.push(fault),
    onDeath: () => notes.push('dead'),
    onSend: () => {},
  };
  const transport = new FaultyTransport(deps, inner, { ...noFaults, ...rates });
  const caller = new AbortController();
  let answer: number | 'lost' | 'aborted' | undefined;
  let answeredMs = 0;
  let carriedOutAtAnswer = 0;
  const sending = transport
    .send(post, { signal: caller.signal })
    .then(({ status }: PlainResponse) => status)
    .catch((error: unknown) => (error instanceof ConnectionLost ? 'lost' : 'aborted'))
    .then((outcome) => {
      answer = outcome;
      answeredMs = clock.monotonic();
      carriedOutAtAnswer = carriedOut;
    });
  await clock.advance(60_000);
  caller.abort(new Error('the limit of the caller'));
  await sending;
  return { carriedOut: carriedOutAtAnswer, later: carriedOut, answer, answeredMs, notes, faults };
}

test('each fault does what its name says', async () => {
  const brief = async (rates: Partial<FaultRates>) => {
    const { carriedOut, later, answer } = await outcomeOf(rates);
    return [carriedOut, later, answer];
  };
  assert.deepEqual(await brief({}), [1, 1, 200]);
  // Nobody tells the sender: its own limit ends it. With another seed it hears of it.
  assert.deepEqual(await brief({ lose: 1 }), [0, 0, 'aborted']);
  assert.equal((await outcomeOf({ lose: 1 }, { seed: 2 })).answer, 'lost');
  assert.deepEqual(await brief({ loseAnswer: 1 }), [1, 1, 'lost']);
  assert.deepEqual(await brief({ late: 1 }), [0, 1, 'lost']);
  assert.deepEqual(await brief({ delay: 1 }), [1, 1, 200]);
  assert.deepEqual(await brief({ repeat: 1 }), [2, 2, 200]);
  assert.deepEqual(await brief({ die: 1 }), [1, 1, 'lost']);
});

test('a fault is noted, a delay is longer than latency, and faults can be off', async () => {
  const { notes, faults } = await outcomeOf({ lose: 1 });
  assert.deepEqual(notes, ['fault: lost: POST /api/v1/pods']);
  assert.deepEqual(faults, ['lose']);
  const death = await outcomeOf({ die: 1 });
  assert.deepEqual(death.notes, ['fault: sender dies: POST /api/v1/pods', 'dead']);
  assert.ok((await outcomeOf({ delay: 1 })).answeredMs > 10);
  assert.ok((await outcomeOf({})).answeredMs < 10);
  assert.equal((await outcomeOf({ lose: 1 }, { areOn: false })).answer, 200);
});

test('the same seed, the same outcome', async () => {
  const rates = { lose: 0.3, late: 0.3, delay: 0.3 };
  const all = async () => {
    const outcomes: Awaited<ReturnType<typeof outcomeOf>>[] = [];
    for (let seed = 0; seed < 20; seed++) outcomes.push(await outcomeOf(rates, { seed }));
    return outcomes;
  };
  const first = await all();
  assert.deepEqual(await all(), first);
  assert.ok(new Set(first.map(({ answer }) => answer)).size > 1);
});

/** One part a second; gives what was read of it within that time, and how reading ended. */
async function watchFor(
  ms: number,
  rates: Partial<FaultRates>,
): Promise<{ readonly seen: readonly number[]; readonly lateMs: number; readonly error: unknown }> {
  const clock = new VirtualClock();
  const stop = new AbortController();
  await using scope = new Scope(stop.signal);
  const inner: Transport = {
    send: async (_request, { signal }) => ({ status: 200, headers: {}, body: ticks(signal) }),
  };
  async function* ticks(signal: AbortSignal): AsyncGenerator<Uint8Array> {
    const fromMs = clock.monotonic();
    for (let index = 0; ; index++) {
      yield Uint8Array.of(index);
      await clock.sleep(Math.max(0, fromMs + (index + 1) * 1_000 - clock.monotonic()), { signal });
    }
  }
  const deps = {
    clock,
    scope,
    random: seededRandom(3),
    areOn: () => true,
    note: () => {},
    onFault: () => {},
    onDeath: () => {},
    onSend: () => {},
  };
  const transport = new FaultyTransport(deps, inner, { ...noFaults, ...rates });
  const seen: number[] = [];
  let lateMs = 0;
  let error: unknown;
  const reading = (async () => {
    const watch = { method: 'GET', path: '/api/v1/pods?watch=true', headers: {} };
    const { body } = await transport.send(watch, { signal: stop.signal });
    assert.ok(!(body instanceof Uint8Array));
    for await (const part of body) {
      seen.push(part[0] ?? -1);
      lateMs = Math.max(lateMs, clock.monotonic() - (seen.length - 1) * 1_000);
    }
  })().catch((thrown: unknown) => {
    error = thrown;
  });
  await clock.advance(ms);
  stop.abort();
  await reading;
  return { seen, lateMs, error };
}

test('a watch breaks off in the middle', async () => {
  const { seen, error } = await watchFor(61_000, { breakWatch: 1 });
  assert.ok(error instanceof ConnectionLost);
  assert.ok(seen.length > 0 && seen.length <= 60);
  assert.deepEqual(seen, [...seen.keys()]);
});

test('a watch stalls, and goes on with all that came meanwhile', async () => {
  const calm = await watchFor(61_000, {});
  assert.ok(calm.lateMs < 100, `${calm.lateMs}`);
  const { seen, lateMs } = await watchFor(61_000, { stallWatch: 0.05 });
  assert.ok(lateMs > 500 && lateMs < 20_000, `${lateMs}`);
  assert.ok(seen.length > 40, `${seen.length}`);
  assert.deepEqual(seen, [...seen.keys()]);
});
