/** Decisions over a small cache of nodes, and what is said when nothing fits. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { seededRandom } from '#kit/random.ts';
import type { Node, Pod, PodSpec } from '#resources/types/core-v1.ts';
import { podFacts } from '#scheduling';
import { superseded } from '#test/covers.ts';
import { SchedulerCache } from './cache.ts';
import { enoughNodes, SchedulingCycle } from './cycle.ts';
import { fitMessage, rejectingPlugins } from './fit-error.ts';

function node(name: string, more: Partial<Node> = {}): Node {
  return {
    apiVersion: 'v1',
    kind: 'Node',
    metadata: { name, ...more.metadata },
    spec: more.spec ?? {},
    status: { allocatable: { cpu: '2', memory: '8Gi', pods: '110' } },
  };
}

function pod(name: string, cpu: string, spec: Partial<PodSpec> = {}): Pod {
  const containers = [{ name: 'c', resources: { requests: { cpu } } }];
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name, namespace: 'default', uid: name },
    spec: { containers, ...spec },
  };
}

function clusterOf(...nodes: readonly Node[]) {
  const cache = new SchedulerCache();
  for (const one of nodes) cache.setNode(one);
  return { cache, cycle: new SchedulingCycle({ cache, random: seededRandom(1) }) };
}

test('a decision reserves its place for the next one', () => {
  const { cache, cycle } = clusterOf(node('a'), node('b'), node('c'));
  const places = ['1', '2', '3'].map((name) => {
    const facts = podFacts(pod(name, '500m'));
    const { chosen } = cycle.decide(facts);
    assert.ok(chosen);
    cache.assume(facts, chosen.name);
    return chosen.name;
  });
  assert.deepEqual([...places].sort(), ['a', 'b', 'c']);
});

test('the same chance makes the same choice among equals', () => {
  const choices = [1, 2].map(() => {
    const { cycle } = clusterOf(node('a'), node('b'), node('c'));
    return ['1', '2', '3', '4'].map((name) => cycle.decide(podFacts(pod(name, '1'))).chosen?.name);
  });
  assert.deepEqual(choices[0], choices[1]);
});

test('a given-back place can be taken again, a confirmed one not', () => {
  const { cache, cycle } = clusterOf(node('a'));
  const first = podFacts(pod('1', '2'));
  const second = podFacts(pod('2', '2'));
  cache.assume(first, 'a');
  assert.equal(cycle.decide(second).chosen, undefined);
  assert.equal(cache.forget('1'), true);
  assert.equal(cycle.decide(second).chosen?.name, 'a');
  cache.setPod(first, 'a');
  assert.equal(cache.forget('1'), false);
  assert.equal(cycle.decide(second).chosen, undefined);
});

test('why no node fits, counted over all nodes', () => {
  superseded('SCH-021', {
    by: 'v1.9',
    now: 'reasons are counted: 0/3 nodes are available: 2 Insufficient cpu, 1 …',
  });
  const taints = [{ key: 'k', effect: 'NoSchedule' }];
  const { cache, cycle } = clusterOf(node('a'), node('b'), node('c', { spec: { taints } }));
  for (const place of ['a', 'b']) cache.setPod(podFacts(pod(place, '1')), place);
  const decision = cycle.decide(podFacts(pod('new', '1500m')));
  assert.ok(decision.chosen === undefined);
  assert.equal(
    fitMessage(decision.failure),
    '0/3 nodes are available: 1 node(s) had untolerated taint(s), 2 Insufficient cpu. ' +
      'preemption: 0/3 nodes are available: 1 Preemption is not helpful for scheduling, ' +
      '2 No preemption victims found for incoming pod.',
  );
  const rejecting = [...rejectingPlugins(decision.failure)].sort();
  assert.deepEqual(rejecting, ['NodeResourcesFit', 'TaintToleration']);
});

test('a pod larger than every node, one that never preempts, and no node at all', () => {
  const { cycle } = clusterOf(node('a'), node('b'));
  const message = (of: Pod, on = cycle): string => {
    const decision = on.decide(podFacts(of));
    assert.ok(decision.chosen === undefined);
    return fitMessage(decision.failure);
  };
  const huge = '0/2 nodes are available: 2 Insufficient cpu. preemption: ';
  assert.equal(
    message(pod('huge', '3')),
    `${huge}0/2 nodes are available: 2 Preemption is not helpful for scheduling.`,
  );
  assert.equal(
    message(pod('huge', '3', { preemptionPolicy: 'Never' })),
    `${huge}not eligible due to preemptionPolicy=Never.`,
  );
  assert.equal(message(pod('any', '1'), clusterOf().cycle), 'no nodes available to schedule pods');
});

test('nodes that a pod rules out by name are counted too', () => {
  const { cycle } = clusterOf(node('a'), node('b'), node('c'));
  const values = ['a'];
  const nodeSelectorTerms = [{ matchFields: [{ key: 'metadata.name', operator: 'In', values }] }];
  const requiredDuringSchedulingIgnoredDuringExecution = { nodeSelectorTerms };
  const affinity = { nodeAffinity: { requiredDuringSchedulingIgnoredDuringExecution } };
  const decision = cycle.decide(podFacts(pod('daemon', '3', { affinity })));
  assert.ok(decision.chosen === undefined);
  assert.equal(
    fitMessage(decision.failure),
    "0/3 nodes are available: 1 Insufficient cpu, 2 node(s) didn't satisfy plugin(s) " +
      '[NodeAffinity]. preemption: 0/3 nodes are available: 3 Preemption is not helpful for ' +
      'scheduling.',
  );
});

test('looking for nodes stops when there are enough, and goes on from there next time', () => {
  assert.deepEqual(
    [10, 99, 100, 200, 1000, 5000, 10_000].map(enoughNodes),
    [10, 99, 100, 100, 420, 500, 500],
  );
  const nodes = Array.from({ length: 300 }, (_, index) => node(`n${index}`));
  const { cycle } = clusterOf(...nodes);
  const chosen = new Set<number>();
  for (let index = 0; index < 3; index++) {
    const { chosen: one } = cycle.decide(podFacts(pod(`p${index}`, '1')));
    chosen.add(Math.floor(Number(one?.name.slice(1)) / 114));
  }
  assert.equal(enoughNodes(300), 144);
  assert.ok(chosen.size > 1);
});

test('nodes take turns by zone', () => {
  const inZone = (name: string, zone: string) =>
    node(name, { metadata: { name, labels: { 'topology.kubernetes.io/zone': zone } } });
  const { cache } = clusterOf(inZone('a1', 'a'), inZone('a2', 'a'), inZone('b1', 'b'));
  assert.deepEqual(
    cache.nodes.map(({ name }) => name),
    ['a1', 'b1', 'a2'],
  );
  cache.removeNode('a1');
  assert.deepEqual(
    cache.nodes.map(({ name }) => name),
    ['a2', 'b1'],
  );
});
