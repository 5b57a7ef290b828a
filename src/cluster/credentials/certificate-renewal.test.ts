/** How a node keeps its certificate good, and what it does when that has failed for too long. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { openClient } from '#client';
import { silentLog } from '#kit/log.ts';
import { seededRandom } from '#kit/random.ts';
import { VirtualClock } from '#kit/virtual-clock.ts';
import { issueCertificate, type KeyPair } from '#kit/x509.ts';
import { keepRenewed } from './certificate-renewal.ts';

test('a certificate that has ended renews nothing: it is asked for as at first', async () => {
  const [clock, random, stop] = [new VirtualClock(), seededRandom(1), new AbortController()];
  const issue = (lifeMs: number): KeyPair => {
    const times = { notBeforeMs: clock.now(), notAfterMs: clock.now() + lifeMs };
    return issueCertificate({ random }, { commonName: 'system:node:n1', role: 'ca', ...times });
  };
  let refused = 0;
  const transport = {
    send: async () => {
      refused += 1;
      throw new Error('nobody is known by a certificate that has ended');
    },
  };
  const client = openClient({ transport, clock });
  const used: KeyPair[] = [];
  const next = issue(1_000_000);
  let asked = 0;
  const anew = async (): Promise<KeyPair> => {
    asked += 1;
    if (asked === 1) throw new Error('not yet');
    return next;
  };
  const running = keepRenewed(
    { clock, random, log: silentLog, client },
    {
      asked: { nodeName: 'n1', sort: 'client' },
      ...{ first: issue(100_000), anew, use: (pair) => used.push(pair), signal: stop.signal },
    },
  );
  await clock.advance(95_000);
  assert.ok(refused > 0, 'it asks with the one that it has');
  assert.equal(asked, 0);
  await clock.advance(30_000);
  assert.deepEqual(used, [next]);
  assert.equal(asked, 2);
  await clock.advance(100_000);
  assert.equal(asked, 2, 'the new one is good for long');
  stop.abort(new Error('the test is over'));
  await assert.rejects(running);
});
