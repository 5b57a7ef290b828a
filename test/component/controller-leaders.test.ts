/** Two copies of the controllers: one works, and when it cannot, the other goes on from there. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { openClient, openInformers, runAsLeader } from '#client';
import { runControllers } from '#controllers';
import { silentLog } from '#kit/log.ts';
import { seededRandom } from '#kit/random.ts';
import { Scope } from '#kit/scope.ts';
import type { Transport } from '#kit/transport.ts';
import { VirtualClock } from '#kit/virtual-clock.ts';
import { deployments, leases, pods, replicaSets } from '#resources/kinds.ts';
import { covers } from '#test/covers.ts';
import { openTestServer } from '#test/fixtures.ts';

const namespace = 'default';
const leaseAt = { namespace: 'kube-system', name: 'kube-controller-manager' };

/** A connection that can be cut; who tries to use it then hears nothing. */
function cuttable(transport: Transport): { readonly transport: Transport; isCut: boolean } {
  const line = {
    isCut: false,
    transport: {
      send: async (...call: Parameters<Transport['send']>) => {
        if (line.isCut) throw new Error('connection refused');
        const response = await transport.send(...call);
        if (line.isCut) throw new Error('connection reset');
        return response;
      },
    },
  };
  return line;
}

test('one copy leads; cut off from the server it stops, and the other takes over', async (t) => {
  covers('HA-003');
  const clock = new VirtualClock();
  await using server = await openTestServer({ clock });
  const admin = openClient({ transport: server.transport, clock });
  const scope = new Scope(new AbortController().signal);
  const { signal } = scope;
  const working = new Set<string>();
  let mostWorking = 0;
  const startCopy = (identity: string) => {
    const line = cuttable(server.transport);
    const client = openClient({ transport: line.transport, clock });
    const deps = { client, clock, random: seededRandom(identity.length), log: silentLog };
    scope.spawn((inner) =>
      runAsLeader(deps, { ...leaseAt, identity, signal: inner }, async (leading) => {
        working.add(identity);
        mostWorking = Math.max(mostWorking, working.size);
        const informers = openInformers(deps);
        const own = new Scope(leading);
        own.spawn((one) => informers.run(one));
        const options = { clusterCIDR: '10.42.0.0/16', rootCA: 'the certificate' };
        own.spawn((one) => runControllers({ ...deps, informers }, { ...options, signal: one }));
        await own.join().finally(() => working.delete(identity));
      }),
    );
    return line;
  };
  t.after(async () => {
    scope.abort(new Error('the test is over'));
    await Promise.all([scope.join(), clock.advance(5_000)]);
  });
  const first = startCopy('first');
  await clock.advance(3_000);
  startCopy('second');
  await clock.advance(10_000);
  const holder = async () => (await admin.get(leases, leaseAt, { signal })).spec?.holderIdentity;
  assert.equal(await holder(), 'first');
  assert.deepEqual([...working], ['first']);

  const labels = { app: 'web' };
  const template = { metadata: { labels }, spec: { containers: [{ name: 'c', image: 'i' }] } };
  const metadata = { namespace, name: 'web' };
  await admin.create(
    deployments,
    {
      apiVersion: 'apps/v1',
      kind: 'Deployment',
      metadata,
      spec: { replicas: 5, selector: { matchLabels: labels }, template },
    },
    { signal },
  );
  const count = async () => (await admin.list(pods, { namespace, signal })).items.length;
  await clock.advance(2_000);
  assert.equal(await count(), 5);

  first.isCut = true;
  const merge = { type: 'merge', signal } as const;
  await admin.patch(deployments, metadata, { spec: { replicas: 8 } }, merge);
  for (let second = 0; second < 40; second++) {
    await clock.advance(1_000);
    assert.ok((await count()) <= 8, 'never too many');
  }
  assert.equal(await holder(), 'second');
  assert.deepEqual([...working], ['second']);
  assert.equal(await count(), 8);
  assert.equal((await admin.list(replicaSets, { namespace, signal })).items.length, 1);

  // The first comes back: it waits, and nothing is done twice.
  first.isCut = false;
  await admin.patch(deployments, metadata, { spec: { replicas: 3 } }, merge);
  await clock.advance(40_000);
  assert.equal(await holder(), 'second');
  assert.equal(await count(), 3);
  assert.equal(mostWorking, 1, 'never two at a time');
  const { spec } = await admin.get(leases, leaseAt, { signal });
  assert.equal(spec?.leaseTransitions, 1);
});
