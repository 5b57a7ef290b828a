/** Even spreading, hard and soft, with its policies and the defaults for siblings. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { ReplicaSet } from '#resources/types/apps-v1.ts';
import type { PodSpec, Service, TopologySpreadConstraint } from '#resources/types/core-v1.ts';
import { nodeIn, nodeOf, Picture, podOf } from '#test/cluster-picture.ts';
import { covers, superseded } from '#test/covers.ts';
import { readerOf } from '../facts.ts';

const zone = 'topology.kubernetes.io/zone';
const hostname = 'kubernetes.io/hostname';
const zones = [nodeIn('a', 'a1'), nodeIn('a', 'a2'), nodeIn('b', 'b1')];
const web = { labels: { app: 'web' } };

function spread(more: Partial<TopologySpreadConstraint> = {}): Partial<PodSpec> {
  const constraint = {
    topologyKey: zone,
    maxSkew: 1,
    whenUnsatisfiable: 'DoNotSchedule',
    labelSelector: { matchLabels: { app: 'web' } },
    ...more,
  };
  return { topologySpreadConstraints: [constraint] };
}

test('no value may have more than maxSkew pods beyond the fewest', () => {
  const picture = new Picture(zones);
  const next = podOf('next', spread(), web);
  assert.deepEqual(picture.fits(next), ['a1', 'a2', 'b1']);
  picture.run(podOf('1', {}, web), 'a1');
  assert.deepEqual(picture.fits(next), ['b1']);
  picture.run(podOf('2', {}, web), 'b1');
  assert.deepEqual(picture.fits(next), ['a1', 'a2', 'b1']);
  picture.run(podOf('3', {}, web), 'a2');
  assert.deepEqual(picture.fits(next), ['b1']);
  assert.deepEqual(picture.fits(podOf('next', spread({ maxSkew: 2 }), web)), ['a1', 'a2', 'b1']);
  picture.cluster.setNode(nodeOf('b1', { spec: { unschedulable: true } }));
  picture.cluster.setNode({ ...nodeIn('b', 'b1'), spec: { unschedulable: true } });
  assert.equal(
    picture.why(next),
    "0/3 nodes are available: 1 node(s) were unschedulable, 2 node(s) didn't match pod topology " +
      'spread constraints.',
  );
});

test('nodes without the key take no such pod and do not count', () => {
  const picture = new Picture([...zones, nodeOf('bare')]);
  const two = podOf(
    'n',
    {
      topologySpreadConstraints: [zone, hostname].map((topologyKey) => ({
        topologyKey,
        maxSkew: 1,
        whenUnsatisfiable: 'DoNotSchedule',
        labelSelector: { matchLabels: { app: 'web' } },
      })),
    },
    web,
  );
  picture.run(podOf('1', {}, web), 'bare');
  assert.deepEqual(picture.fits(two), ['a1', 'a2', 'b1']);
  picture.run(podOf('2', {}, web), 'a1');
  assert.deepEqual(picture.fits(two), ['b1']);
  for (const node of zones) picture.cluster.removeNode(node.metadata.name ?? '');
  assert.equal(
    picture.why(two),
    "0/1 nodes are available: 1 node(s) didn't match pod topology spread constraints (missing " +
      'required label).',
  );
});

test('while there are fewer values than minDomains the fewest count as none', () => {
  const picture = new Picture(zones);
  for (const [name, node] of [
    ['1', 'a1'],
    ['2', 'b1'],
  ] as const) {
    picture.run(podOf(name, {}, web), node);
  }
  assert.deepEqual(picture.fits(podOf('n', spread({ minDomains: 2 }), web)), ['a1', 'a2', 'b1']);
  assert.deepEqual(picture.fits(podOf('n', spread({ minDomains: 3 }), web)), []);
});

test('nodes that the pod does not choose, and tainted ones, count as the policies say', () => {
  const picture = new Picture(zones);
  picture.run(podOf('1', {}, web), 'a1');
  // Only zone a is chosen: it has one pod, and nothing to be compared with.
  const nodeSelector = { [zone]: 'a' };
  const inA = (more: Partial<TopologySpreadConstraint>) =>
    picture.fits(podOf('n', { nodeSelector, ...spread(more) }, web));
  assert.deepEqual(inA({}), ['a1', 'a2']);
  assert.deepEqual(inA({ nodeAffinityPolicy: 'Ignore' }), []);
  const taints = [{ key: 'k', effect: 'NoSchedule' }];
  picture.cluster.setNode({ ...nodeIn('b', 'b1'), spec: { taints } });
  assert.deepEqual(picture.fits(podOf('n', spread(), web)), []);
  assert.deepEqual(picture.fits(podOf('n', spread({ nodeTaintsPolicy: 'Honor' }), web)), [
    'a1',
    'a2',
  ]);
});

test('only pods of the namespace count that are not ending, and of the same revision', () => {
  const picture = new Picture(zones);
  const next = podOf('n', spread(), web);
  picture.run(podOf('other', {}, { ...web, namespace: 'other' }), 'a1');
  const deletionTimestamp = '2026-01-01T00:00:00Z';
  picture.run(podOf('ending', {}, { ...web, deletionTimestamp }), 'a1');
  assert.deepEqual(picture.fits(next), ['a1', 'a2', 'b1']);
  const of = (hash: string) => ({ labels: { app: 'web', hash } });
  picture.run(podOf('old', {}, of('1')), 'a1');
  const rolling = spread({ matchLabelKeys: ['hash'] });
  assert.deepEqual(picture.fits(podOf('n', rolling, of('1'))), ['b1']);
  assert.deepEqual(picture.fits(podOf('n', rolling, of('2'))), ['a1', 'a2', 'b1']);
});

test('soft constraints prefer the emptier value and never refuse', () => {
  const picture = new Picture(zones);
  const soft = spread({ whenUnsatisfiable: 'ScheduleAnyway' });
  for (const name of ['1', '2']) picture.run(podOf(name, {}, web), 'a1');
  assert.equal(picture.place(podOf('n', soft, web)), 'b1');
  picture.cluster.removeNode('b1');
  assert.equal(picture.place(podOf('n', soft, web)), 'a2');
});

function service(): Service {
  const metadata = { name: 'web', namespace: 'default' };
  return { apiVersion: 'v1', kind: 'Service', metadata, spec: { selector: { app: 'web' } } };
}

test('pods of one Service or controller spread over nodes and zones by themselves', () => {
  covers('SCH-056', 'SCH-023');
  superseded('SCH-007', {
    by: 'v1.20',
    now: 'PodTopologySpread does it, with constraints of the system for pods that have none',
  });
  const nodes = ['n1', 'n2', 'n3'].map((name) => nodeOf(name));
  const picture = new Picture(nodes, { services: readerOf(service()) });
  const places = ['1', '2', '3'].map((name) => {
    const pod = podOf(name, {}, web);
    const place = picture.place(pod) ?? '';
    picture.run(pod, place);
    return place;
  });
  assert.deepEqual(places.sort(), ['n1', 'n2', 'n3']);

  const replicaSet = {
    apiVersion: 'apps/v1',
    kind: 'ReplicaSet',
    metadata: { name: 'rs', namespace: 'default' },
    spec: { selector: { matchLabels: { app: 'web' } } },
  } as ReplicaSet;
  const owner = { apiVersion: 'apps/v1', kind: 'ReplicaSet', name: 'rs', uid: 'u' };
  const ownerReferences = [{ ...owner, controller: true }];
  const owned = new Picture(zones, { replicaSets: readerOf(replicaSet) });
  owned.run(podOf('1', {}, web), 'a1');
  assert.equal(owned.place(podOf('n', {}, { ...web, ownerReferences })), 'b1');
});

test('zones are filled evenly as far as siblings are concerned', () => {
  covers('SCH-008');
  const nodes = ['a', 'b', 'c'].map((name) => nodeIn(name, `${name}1`));
  const picture = new Picture(nodes, { services: readerOf(service()) });
  const places = ['1', '2', '3'].map((name) => {
    const pod = podOf(name, {}, web);
    const place = picture.place(pod) ?? '';
    picture.run(pod, place);
    return place;
  });
  assert.deepEqual(places.sort(), ['a1', 'b1', 'c1']);
});
