/** After a warm-up, the first write of a common kind reads nothing any more. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Catalog } from '#api/catalog.ts';
import type { PlainRequest } from '#kit/transport.ts';
import { VirtualClock } from '#kit/virtual-clock.ts';
import { openCatalog } from '#resources/resources.ts';
import { openTestServer } from '#test/fixtures.ts';
import { warmUp } from './warm-up.ts';

test('descriptors and definitions of common kinds are read soon after the start', async () => {
  const whole = openCatalog();
  const asked = new Set<string>();
  const definitions = {
    get: (name: string) => {
      asked.add(name);
      return whole.get(name);
    },
  };
  const catalog = new Catalog([...whole.resources], definitions);
  const clock = new VirtualClock();
  const rehearse = async () => ({ status: 201, headers: {}, body: new Uint8Array() });
  const parts = { catalog, clock, rehearse };
  const done = warmUp(parts, { signal: new AbortController().signal });
  await clock.advance(999);
  assert.equal(asked.size, 0);
  await clock.advance(10_000);
  await done;
  for (const name of ['Pod', 'PodSpec', 'EphemeralVolumeSource', 'Secret', 'ServicePort']) {
    assert.ok(asked.has(`io.k8s.api.core.v1.${name}`), name);
  }
});

test('what is rehearsed is accepted, and leaves nothing behind', async () => {
  await using server = await openTestServer();
  const statuses = new Map<string, number>();
  const clock = new VirtualClock();
  const { revision } = server.store;
  const rehearse = async ({ method, path, body, headers }: PlainRequest) => {
    const { signal } = new AbortController();
    const answer = await server.transport.send({ method, path, body, headers }, { signal });
    statuses.set(`${path} ${answer.status}`, (statuses.get(`${path} ${answer.status}`) ?? 0) + 1);
    return answer;
  };
  const catalog = openCatalog();
  const parts = { catalog, clock, rehearse };
  const done = warmUp(parts, { signal: new AbortController().signal });
  await clock.advance(10_000);
  await done;
  assert.deepEqual(
    [...statuses.keys()],
    ['secrets', 'configmaps', 'pods'].map(
      (plural) => `/api/v1/namespaces/default/${plural}?dryRun=All 201`,
    ),
  );
  assert.equal(server.store.revision, revision);
});
