/** `coracle hollow` joins a cluster over HTTPS: its nodes are ready, and pods run on them. */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { systemClock } from '#kit/clock.ts';
import { openLog } from '#kit/log.ts';
import { systemRandom } from '#kit/random.ts';
import { nodes, pods } from '#resources/kinds.ts';
import { startCluster } from '#testing';
import { readHollowSettings } from '../settings/hollow-settings.ts';
import { joinWithHollowNodes } from './hollow-command.ts';

test('nodes of another process join, in zones, and run pods', async (t) => {
  await using cluster = await startCluster({ nodes: 0 });
  const { client, signal } = cluster;
  const folder = mkdtempSync(join(tmpdir(), 'coracle-hollow-'));
  t.after(() => rmSync(folder, { recursive: true }));
  const kubeconfig = join(folder, 'config');
  writeFileSync(kubeconfig, await cluster.kubeconfig());
  const stop = new AbortController();
  const flags = { nodes: '3', prefix: 'far-', zones: 'x,y', capacity: 'pods=7', v: '6' };
  const settings = readHollowSettings({ ...flags, kubeconfig }, '');
  const clock = systemClock();
  const lines: string[] = [];
  const write = (line: string): void => void lines.push(line);
  const log = openLog({ clock, level: settings.logLevel, format: 'text', write });
  const joined = joinWithHollowNodes({ clock, random: systemRandom(), log }, settings, stop.signal);
  const spec = { containers: [{ name: 'c', image: 'web' }] };
  const metadata = { namespace: 'default', name: 'one' };
  await client.create(pods, { apiVersion: 'v1', kind: 'Pod', metadata, spec }, { signal });
  await cluster.until('the pod runs', async () => {
    const { status } = await client.get(pods, metadata, { signal });
    return status?.phase === 'Running';
  });
  const { items } = await client.list(nodes, { signal });
  const facts = items.map(({ metadata: { name, labels }, status }) =>
    [name, labels?.['topology.kubernetes.io/zone'], status?.capacity?.['pods']].join(' '),
  );
  assert.deepEqual(facts.sort(), ['far-0 x 7', 'far-1 y 7', 'far-2 x 7']);
  stop.abort(new Error('enough'));
  await joined;
  const made = 'request sent verb="POST" path="/api/v1/nodes" status=201 milliseconds=';
  assert.equal(lines.filter((line) => line.includes(made)).length, 3);
});
