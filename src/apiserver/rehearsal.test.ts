/** What is rehearsed is what clients do, and all of it is accepted. */
import assert from 'node:assert/strict';
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

function begin(signal: AbortSignal) {
  const clock = new VirtualClock();
  const random = seededRandom(1);
  const { cert, key } = issueCertificate(
    { random },
    { commonName: 'server', role: 'server', notBeforeMs: 0, notAfterMs: 2 ** 42 },
  );
  const deps = { catalog: openCatalog(), clock, random };
  return { clock, done: rehearseAlone(deps, options, { cert, key, signal }) };
}

test('every write of a rehearsal is accepted', { timeout: 60_000 }, async () => {
  const { clock, done } = begin(new AbortController().signal);
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
  assert.ok(writes > 900, `${writes} writes`);
});

test('a rehearsal ends when its server closes', { timeout: 60_000 }, async () => {
  const closing = new AbortController();
  const { done } = begin(closing.signal);
  const ended = assert.rejects(done, /closed/);
  await setImmediate();
  closing.abort(new Error('closed'));
  await ended;
});
