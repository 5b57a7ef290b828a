/** Slots are handed on in order, also when somebody fails or gives up waiting. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Slots } from './slots.ts';
import { settle } from './virtual-clock.ts';

const { signal } = new AbortController();

test('no more than the given number run, first come, first served', async () => {
  const slots = new Slots(2);
  const order: string[] = [];
  const gates = new Map<string, () => void>();
  const run = (name: string) =>
    slots.use(
      () =>
        new Promise<void>((resolve) => {
          order.push(name);
          gates.set(name, resolve);
        }),
      { signal },
    );
  const all = ['a', 'b', 'c', 'd'].map(run);
  await settle();
  assert.deepEqual(order, ['a', 'b']);
  gates.get('b')?.();
  await settle();
  assert.deepEqual(order, ['a', 'b', 'c']);
  for (const name of ['a', 'c']) gates.get(name)?.();
  await settle();
  gates.get('d')?.();
  await Promise.all(all);
  assert.deepEqual(order, ['a', 'b', 'c', 'd']);
});

test('a failure gives the slot back; giving up takes none', async () => {
  const slots = new Slots(1);
  await assert.rejects(
    slots.use(() => Promise.reject(new Error('broken')), { signal }),
    /broken/,
  );
  const gate = Promise.withResolvers<void>();
  const first = slots.use(() => gate.promise, { signal });
  const impatient = new AbortController();
  const second = slots.use(async () => assert.fail('it gave up'), { signal: impatient.signal });
  impatient.abort(new Error('no time'));
  await assert.rejects(second, /no time/);
  gate.resolve();
  await first;
  assert.equal(await slots.use(async () => 'free', { signal }), 'free');
});
