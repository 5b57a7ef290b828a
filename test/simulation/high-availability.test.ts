/**
 * What is promised of a control plane that loses its parts, each as a life of its own in the
 * simulated world: exactly that part goes, and nothing else is wrong.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { deployments } from '#resources/kinds.ts';
import type { Deployment } from '#resources/types/apps-v1.ts';
import type { Lease } from '#resources/types/coordination-v1.ts';
import type { Pod } from '#resources/types/core-v1.ts';
import { covers } from '#test/covers.ts';
import { openCheckers } from './checkers/checkers.ts';
import { leaseNamespace } from './cluster-parts.ts';
import { loadDisk } from './disk.ts';
import { noFaults } from './faults.ts';
import { planOptions, type SimulationOptions } from './options.ts';
import { isPodReady } from './states.ts';
import { Truth } from './truth.ts';
import { containersOf } from './workload/user.ts';
import { World } from './world.ts';

const minute = 60_000;
const labels = { app: 'web' };

function deployment(replicas: number): Deployment {
  const template = { metadata: { labels }, spec: { containers: containersOf('20m') } };
  return {
    apiVersion: 'apps/v1',
    kind: 'Deployment',
    metadata: { name: 'web', namespace: 'default' },
    spec: { replicas, selector: { matchLabels: labels }, template },
  };
}

class Lives {
  readonly truth = new Truth();
  readonly world: World;

  constructor(more: Partial<SimulationOptions> = {}) {
    const calm = { network: noFaults, disk: { fail: 0, delayMsMax: 5 }, failedStarts: 0 };
    const simulation = { ...planOptions(1), nodes: 3, copies: 1, actors: [], ...calm, ...more };
    const { truth } = this;
    this.world = new World({ simulation, truth, checkers: openCheckers(truth) });
  }

  get ready(): number {
    return [...this.truth.of<Pod>('Pod')].filter(isPodReady).length;
  }

  async begin(replicas: number): Promise<void> {
    await loadDisk();
    this.world.start();
    await this.until('three nodes', () => [...this.truth.of('Node')].length === 3);
    await this.world.perform(async (signal) => {
      await this.world.user.create(deployments, deployment(replicas), { signal });
    });
  }

  async scale(replicas: number): Promise<void> {
    await this.world.perform(async (signal) => {
      const at = { namespace: 'default', name: 'web' };
      const patch = { spec: { replicas } };
      await this.world.user.patch(deployments, at, patch, { type: 'merge', signal });
    });
  }

  async until(what: string, holds: () => boolean): Promise<void> {
    const came = await this.world.until(holds, 5 * minute);
    assert.ok(came, `${what}: ${this.world.violation ?? 'not within five minutes'}`);
  }

  async end(): Promise<void> {
    await this.world.close();
    assert.equal(this.world.violation, undefined);
  }
}

test('controllers and scheduler that are killed begin anew and go on where they were', async () => {
  covers('HA-017');
  const lives = new Lives();
  await lives.begin(3);
  // In the middle of the work: nothing of what they knew is left.
  lives.world.crash('controllers', 1_000);
  lives.world.crash('scheduler', 3_000);
  await lives.until('three pods are ready', () => lives.ready === 3);
  await lives.until('everything is back', () => lives.world.isHealthy);
  lives.world.crash('controllers', 10_000);
  await lives.scale(5);
  await lives.world.pass(9_000);
  assert.equal(lives.ready, 3);
  await lives.until('five pods are ready', () => lives.ready === 5);
  lives.world.crash('scheduler', 10_000);
  await lives.scale(7);
  await lives.world.pass(9_000);
  assert.equal(lives.ready, 5);
  await lives.until('seven pods are ready', () => lives.ready === 7);
  await lives.end();
});

test('when no node can be heard, nobody is evicted', async () => {
  const lives = new Lives();
  await lives.begin(4);
  await lives.until('four pods are ready', () => lives.ready === 4);
  const names = [...lives.truth.of<Pod>('Pod')].map(({ metadata }) => metadata.uid).sort();
  for (const node of lives.world.nodes) lives.world.crash(node, 10 * minute);
  await lives.world.pass(9.9 * minute);
  assert.equal(lives.ready, 0);
  const left = [...lives.truth.of<Pod>('Pod')];
  assert.deepEqual(
    left.filter(({ metadata }) => metadata.deletionTimestamp !== undefined),
    [],
  );
  await lives.until('the same pods are ready again', () => lives.ready === 4);
  assert.deepEqual(
    [...lives.truth.of<Pod>('Pod')].map(({ metadata }) => metadata.uid).sort(),
    names,
  );
  await lives.end();
});

test('of several copies the one with the Lease works, and another one takes over', async () => {
  const lives = new Lives({ copies: 2 });
  const holders = new Map<string, string>();
  const observe = (lease: Lease): void => {
    if (lease.metadata.namespace !== leaseNamespace) return;
    holders.set(lease.metadata.name ?? '', lease.spec?.holderIdentity ?? '');
  };
  await lives.begin(2);
  await lives.until('two pods are ready', () => lives.ready === 2);
  for (const { value } of lives.world.store.list({ prefix: '/registry/leases/' }).entries) {
    // The API server writes JSON of the kind that the key names.
    observe(JSON.parse(Buffer.from(value).toString('utf8')) as Lease);
  }
  const first = holders.get('controllers') ?? '';
  assert.match(first, /^controllers(-2)?$/);
  lives.world.crash(first, 20 * minute);
  await lives.scale(4);
  await lives.until('the other copy has made two more', () => lives.ready === 4);
  await lives.end();
});
