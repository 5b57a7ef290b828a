/** After a warm-up, the first write of a common kind reads nothing any more. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Catalog } from '#api/catalog.ts';
import { VirtualClock } from '#kit/virtual-clock.ts';
import { openCatalog } from '#resources/resources.ts';
import { warmUp } from './warm-up.ts';

test('descriptors and definitions of common kinds are read soon after the start, at quiet times', async () => {
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
  let share = 0;
  const deps = { catalog, clock, utilization: () => share };
  const done = warmUp(deps, { signal: new AbortController().signal });
  await clock.advance(999);
  assert.equal(asked.size, 0);
  share = 0.5;
  await clock.advance(10_000);
  assert.equal(asked.size, 0);
  share = 0.1;
  await clock.advance(1000);
  await done;
  for (const name of ['Pod', 'PodSpec', 'EphemeralVolumeSource', 'Secret', 'ServicePort']) {
    assert.ok(asked.has(`io.k8s.api.core.v1.${name}`), name);
  }
});
