/** What is rehearsed is what clients do, and all of it is accepted. */
import assert from 'node:assert/strict';
import { getEventListeners } from 'node:events';
import { test } from 'node:test';
import { setImmediate } from 'node:timers/promises';
import { seededRandom } from '#kit/random.ts';
import { VirtualClock } from '#kit/virtual-clock.ts';
import { createPrivateKeyPem, issueCertificate } from '#kit/x509.ts';
import { openCatalog } from '#resources/resources.ts';
import { rehearseAlone } from './apiserver.ts';

const options = {
  serviceCIDR: '10.43.0.0/16',
  nodePortRange: { first: 30_000, last: 32_767 },
  advertise: { address: '192.0.2.1', port: 6443 },
  serviceAccountKey: createPrivateKeyPem(),
  serviceAccountIssuer: 'https://kubernetes.default.svc',
  legacyVersions: false,
};

function begin(signal: AbortSignal, utilization = () => 0) {
  const clock = new VirtualClock();
  const random = seededRandom(1);
  const { cert, key } = issueCertificate(
    { random },
    { commonName: 'server', role: 'server', notBeforeMs: 0, notAfterMs: 2 ** 42 },
  );
  const deps = { catalog: openCatalog(), clock, random };
  return { clock, done: rehearseAlone(deps, options, { cert, key, utilization, signal }) };
}

async function aSecond(clock: VirtualClock): Promise<void> {
  for (let ms = 0; ms < 1000; ms += 25) {
    await clock.advance(25);
    await setImmediate();
  }
}

test('every write of a rehearsal is accepted, and nothing of it stays', {
  timeout: 60_000,
}, async () => {
  const { signal } = new AbortController();
  const { clock, done } = begin(signal);
  let statuses: ReadonlyMap<number, number> | undefined;
  const over = done.then((seen) => {
    statuses = seen;
  });
  while (statuses === undefined) {
    await clock.advance(1);
    await setImmediate();
  }
  await over;
  const writes = [...statuses.values()].reduce((sum, count) => sum + count, 0);
  assert.deepEqual([...statuses.keys()], [201]);
  assert.ok(writes > 4000, `${writes} writes`);
  // Who listens to a signal that lives as long as the server keeps all that he knows.
  assert.deepEqual(getEventListeners(signal, 'abort'), []);
});

test('a rehearsal waits while the thread is busy with others', { timeout: 60_000 }, async () => {
  let busyLooks = 0;
  const { clock, done } = begin(new AbortController().signal, () => {
    busyLooks += 1;
    return 1;
  });
  let statuses: ReadonlyMap<number, number> | undefined;
  const over = done.then((seen) => {
    statuses = seen;
  });
  for (let second = 0; second < 59; second++) await aSecond(clock);
  assert.equal(statuses, undefined);
  for (let second = 0; second < 2; second++) await aSecond(clock);
  await over;
  // What is needed, and one round.
  assert.deepEqual(statuses, new Map([[201, 7]]));
  assert.ok(busyLooks >= 1000, `${busyLooks} looks`);
});

test('a rehearsal ends when its server closes', { timeout: 60_000 }, async () => {
  const closing = new AbortController();
  const { done } = begin(closing.signal);
  const ended = assert.rejects(done, /closed/);
  await setImmediate();
  closing.abort(new Error('closed'));
  await ended;
});
