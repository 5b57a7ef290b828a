/** The port of a test cluster: an operator with a connection of its own, and who else gets in. */
import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { isReason } from '#api/errors.ts';
import { type Client, openClient, openHttpTransport } from '#client';
import { systemClock } from '#kit/clock.ts';
import { configMaps, nodes } from '#resources/kinds.ts';
import type { ConfigMap } from '#resources/types/core-v1.ts';
import { startCluster } from './testing.ts';

interface Connection {
  readonly server: string;
  readonly ca: string;
  readonly cert: string;
  readonly key: string;
}

function connectionOf(kubeconfig: string): Connection {
  const field = (name: string): string => new RegExp(`${name}: (\\S+)`).exec(kubeconfig)?.[1] ?? '';
  const text = (name: string): string => Buffer.from(field(name), 'base64').toString();
  return {
    server: field('server'),
    ca: text('certificate-authority-data'),
    cert: text('client-certificate-data'),
    key: text('client-key-data'),
  };
}

function connect(context: TestContext, options: Partial<Connection> & { server: string }): Client {
  const transport = openHttpTransport(options);
  context.after(() => transport[Symbol.dispose]());
  return openClient({ transport, clock: systemClock() });
}

function configMap(name: string): ConfigMap {
  return { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name, namespace: 'default' } };
}

for (const clock of ['real', 'virtual'] as const) {
  test(`an operator on its own connection, ${clock} clock`, async (t) => {
    await using cluster = await startCluster({ clock });
    const { client, signal } = cluster;
    const remote = connect(t, connectionOf(await cluster.kubeconfig()));
    const stop = new AbortController();
    const { resourceVersion } = await remote.list(configMaps, { signal });
    const operator = (async () => {
      const selection = { namespace: 'default', fieldSelector: 'metadata.name=cause' };
      const watch = { ...selection, resourceVersion, signal: stop.signal };
      for await (const { type } of remote.watch(configMaps, watch)) {
        if (type !== 'ADDED') continue;
        // As slow as one that first looks at a few hundred things.
        for (let i = 0; i < 400; i++) await remote.list(nodes, { signal: stop.signal });
        await remote.create(configMaps, configMap('effect'), { signal: stop.signal });
      }
    })();
    const operatorEnds = assert.rejects(operator, /enough seen/);
    await client.create(configMaps, configMap('cause'), { signal });
    await cluster.until('the operator has acted', async () => {
      const { items } = await client.list(configMaps, { namespace: 'default', signal });
      return items.some(({ metadata }) => metadata.name === 'effect');
    });
    stop.abort(new Error('enough seen'));
    await operatorEnds;
  });
}

test('strangers, and who has the certificate of another cluster, are nobody', async (t) => {
  await using one = await startCluster();
  await using other = await startCluster();
  const { signal } = one;
  const mine = connectionOf(await one.kubeconfig());
  assert.equal(await one.kubeconfig(), await one.kubeconfig(), 'one port, however often asked for');
  const theirs = connectionOf(await other.kubeconfig());
  assert.notEqual(mine.ca, theirs.ca);
  assert.equal((await connect(t, mine).list(nodes, { signal })).items.length, 1);
  const { server, ca } = mine;
  for (const shown of [{}, { cert: theirs.cert, key: theirs.key }]) {
    const stranger = connect(t, { server, ca, ...shown });
    await assert.rejects(
      stranger.list(nodes, { signal }),
      (error) => isReason(error, 'Forbidden') || isReason(error, 'Unauthorized'),
    );
  }
  await assert.rejects(
    connect(t, { ...mine, ca: theirs.ca }).list(nodes, { signal }),
    /certificate/,
  );
});

test('the port is closed when the cluster has stopped, whoever still watches', async (t) => {
  for (const clock of ['real', 'virtual'] as const) {
    const cluster = await startCluster({ clock });
    const remote = connect(t, connectionOf(await cluster.kubeconfig()));
    const { signal } = new AbortController();
    const { resourceVersion } = await remote.list(nodes, { signal });
    const watching = (async () => {
      for await (const _ of remote.watch(nodes, { resourceVersion, signal }));
    })().catch(() => {});
    await cluster[Symbol.asyncDispose]();
    await watching;
    await assert.rejects(remote.list(nodes, { signal }), /ECONNREFUSED/);
    assert.throws(() => cluster.kubeconfig(), /the test cluster stops/);
  }
});
