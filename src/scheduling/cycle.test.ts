/** Decisions over a small cache of nodes, and what is said when nothing fits. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { seededRandom } from '#kit/random.ts';
import type { Node, Pod, PodSpec } from '#resources/types/core-v1.ts';
import { covers, superseded } from '#test/covers.ts';
import { Cluster } from './cluster.ts';
import { type Decision, enoughNodes, SchedulingCycle } from './cycle.ts';
import { type FitFailure, fitMessage, rejectingPlugins } from './fit-failure.ts';
import { type PodFacts, podFacts } from './pod-facts.ts';
import { planPreemption } from './preemption.ts';
import { defaultProfile, preemptionDefaults } from './profile.ts';

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
  const cluster = new Cluster();
  for (const one of nodes) cluster.setNode(one);
  const cycle = new SchedulingCycle({ cluster, random: seededRandom(1) });
  const profile = defaultProfile();
  return {
    cluster,
    decide: (facts: PodFacts): Decision => cycle.decide(facts, profile),
    chosen: (facts: PodFacts): string | undefined => {
      const decision = cycle.decide(facts, profile);
      return decision.do === 'place' ? decision.node.name : undefined;
    },
    failure: (facts: PodFacts): FitFailure => {
      const decision = cycle.decide(facts, profile);
      assert.ok(decision.do === 'reject');
      return decision.failure;
    },
    /** What the pod's condition would say. */
    message: (facts: PodFacts): string => {
      const decision = cycle.decide(facts, profile);
      assert.ok(decision.do === 'reject');
      const { failure, trial } = decision;
      const random = seededRandom(1);
      const plan = planPreemption({
        ...{ cluster, pod: facts, failure, trial, random, nowMs: 0 },
        args: preemptionDefaults,
      });
      assert.ok(plan.do === 'give up');
      return fitMessage(failure, `preemption: ${plan.message}`);
    },
  };
}

test('a decision reserves its place for the next one', () => {
  const { cluster, chosen } = clusterOf(node('a'), node('b'), node('c'));
  const places = ['1', '2', '3'].map((name) => {
    const facts = podFacts(pod(name, '500m'));
    const place = chosen(facts) ?? '';
    cluster.assume(facts, place);
    return place;
  });
  assert.deepEqual([...places].sort(), ['a', 'b', 'c']);
});

test('the same chance makes the same choice among equals', () => {
  const choices = [1, 2].map(() => {
    const { chosen } = clusterOf(node('a'), node('b'), node('c'));
    return ['1', '2', '3', '4'].map((name) => chosen(podFacts(pod(name, '1'))));
  });
  assert.deepEqual(choices[0], choices[1]);
});

test('what the node keeps for itself is not given to pods', () => {
  // The kubelet subtracts it: test/component/kubelet-node.test.ts.
  covers('POD-124');
  const amounts = (cpu: string) => ({ cpu, memory: '8Gi', pods: '110' });
  const { chosen } = clusterOf({
    ...node('a'),
    status: { capacity: amounts('2'), allocatable: amounts('1800m') },
  });
  assert.equal(chosen(podFacts(pod('1', '1801m'))), undefined);
  assert.equal(chosen(podFacts(pod('2', '1800m'))), 'a');
});

test('a given-back place can be taken again, a confirmed one not', () => {
  const { cluster, chosen } = clusterOf(node('a'));
  const first = podFacts(pod('1', '2'));
  const second = podFacts(pod('2', '2'));
  cluster.assume(first, 'a');
  assert.equal(chosen(second), undefined);
  assert.deepEqual(
    cluster.forget('1').map(({ what }) => what),
    ['podGone'],
  );
  assert.equal(chosen(second), 'a');
  cluster.setPod(first, 'a');
  assert.deepEqual(cluster.forget('1'), []);
  assert.equal(chosen(second), undefined);
});

test('why no node fits, counted over all nodes', () => {
  superseded('SCH-021', {
    by: 'v1.9',
    now: 'reasons are counted: 0/3 nodes are available: 2 Insufficient cpu, 1 …',
  });
  const taints = [{ key: 'k', effect: 'NoSchedule' }];
  const { cluster, failure, message } = clusterOf(
    node('a'),
    node('b'),
    node('c', { spec: { taints } }),
  );
  for (const place of ['a', 'b']) cluster.setPod(podFacts(pod(place, '1')), place);
  const facts = podFacts(pod('new', '1500m'));
  assert.equal(
    message(facts),
    '0/3 nodes are available: 1 node(s) had untolerated taint(s), 2 Insufficient cpu. ' +
      'preemption: 0/3 nodes are available: 1 Preemption is not helpful for scheduling, ' +
      '2 No preemption victims found for incoming pod.',
  );
  const rejecting = [...rejectingPlugins(failure(facts))].sort();
  assert.deepEqual(rejecting, ['NodeResourcesFit', 'TaintToleration']);
});

test('a pod larger than every node, one that never preempts, and no node at all', () => {
  const { message } = clusterOf(node('a'), node('b'));
  const huge = '0/2 nodes are available: 2 Insufficient cpu. preemption: ';
  assert.equal(
    message(podFacts(pod('huge', '3'))),
    `${huge}0/2 nodes are available: 2 Preemption is not helpful for scheduling.`,
  );
  assert.equal(
    message(podFacts(pod('huge', '3', { preemptionPolicy: 'Never' }))),
    `${huge}not eligible due to preemptionPolicy=Never.`,
  );
  assert.equal(
    clusterOf().message(podFacts(pod('any', '1'))),
    'no nodes available to schedule pods',
  );
});

test('nodes that a pod rules out by name are counted too', () => {
  const { message } = clusterOf(node('a'), node('b'), node('c'));
  const values = ['a'];
  const nodeSelectorTerms = [{ matchFields: [{ key: 'metadata.name', operator: 'In', values }] }];
  const requiredDuringSchedulingIgnoredDuringExecution = { nodeSelectorTerms };
  const affinity = { nodeAffinity: { requiredDuringSchedulingIgnoredDuringExecution } };
  assert.equal(
    message(podFacts(pod('daemon', '3', { affinity }))),
    "0/3 nodes are available: 1 Insufficient cpu, 2 node(s) didn't satisfy plugin(s) " +
      '[NodeAffinity]. preemption: 0/3 nodes are available: 3 Preemption is not helpful for ' +
      'scheduling.',
  );
});

test('looking for nodes stops when there are enough, and goes on from there next time', () => {
  assert.deepEqual(
    [10, 99, 100, 200, 1000, 5000, 10_000].map((count) => enoughNodes(count)),
    [10, 99, 100, 100, 420, 500, 500],
  );
  const nodes = Array.from({ length: 300 }, (_, index) => node(`n${index}`));
  const { chosen } = clusterOf(...nodes);
  const parts = new Set<number>();
  for (let index = 0; index < 3; index++) {
    const name = chosen(podFacts(pod(`p${index}`, '1')));
    parts.add(Math.floor(Number(name?.slice(1)) / 114));
  }
  assert.equal(enoughNodes(300), 144);
  assert.ok(parts.size > 1);
});

test('nodes take turns by zone', () => {
  const inZone = (name: string, zone: string) =>
    node(name, { metadata: { name, labels: { 'topology.kubernetes.io/zone': zone } } });
  const { cluster } = clusterOf(inZone('a1', 'a'), inZone('a2', 'a'), inZone('b1', 'b'));
  assert.deepEqual(
    cluster.nodes.map(({ name }) => name),
    ['a1', 'b1', 'a2'],
  );
  cluster.removeNode('a1');
  assert.deepEqual(
    cluster.nodes.map(({ name }) => name),
    ['a2', 'b1'],
  );
});
