/** Changes of the cluster by the names that upstream's metrics have for them. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Node } from '#resources/types/core-v1.ts';
import { podFacts } from '#scheduling';
import { nodeOf, podOf } from '#test/cluster-picture.ts';
import { eventLabel } from './event-labels.ts';

const waiting = podFacts(podOf('waits'));

test('of a node the first thing that changed is told', () => {
  const old = nodeOf('n');
  const label = (more: Partial<Node>) =>
    eventLabel({ what: 'nodeChanged', node: { ...old, ...more }, old }, waiting);
  const more = { allocatable: { cpu: '8' } };
  assert.equal(label({ status: more }), 'NodeUpdateNodeAllocatable');
  const metadata = { ...old.metadata, labels: { a: 'b' } };
  assert.equal(label({ metadata }), 'NodeUpdateNodeLabel');
  assert.equal(label({ metadata, status: more }), 'NodeUpdateNodeAllocatable');
  const taints = [{ key: 'k', effect: 'NoSchedule' }];
  assert.equal(label({ spec: { taints } }), 'NodeUpdateNodeTaint');
  const conditions = [{ type: 'Ready', status: 'True' }];
  assert.equal(label({ status: { ...old.status, conditions } }), 'NodeUpdateNodeCondition');
  assert.equal(label({}), 'NodeUpdate');
});

test('pods are assigned or not, and other kinds go by their group', () => {
  const labelled = podFacts(podOf('waits', {}, { labels: { a: 'b' } }));
  const gated = podFacts(podOf('waits', { schedulingGates: [{ name: 'g' }] }));
  assert.equal(eventLabel({ what: 'podPlaced', pod: waiting }, waiting), 'AssignedPodAdd');
  assert.equal(eventLabel({ what: 'podGone', pod: waiting }, waiting), 'AssignedPodDelete');
  assert.equal(
    eventLabel({ what: 'placedPodChanged', pod: labelled, old: waiting }, waiting),
    'AssignedPodUpdatePodLabel',
  );
  assert.equal(
    eventLabel({ what: 'podChanged', old: labelled }, waiting),
    'UnschedulablePodUpdatePodLabel',
  );
  assert.equal(
    eventLabel({ what: 'podChanged', old: gated }, waiting),
    'UnschedulablePodUpdatePodSchedulingGatesEliminated',
  );
  const claim = { what: 'fact', kind: 'claim', key: 'a/b', action: 'Add' } as const;
  assert.equal(eventLabel(claim, waiting), 'PersistentVolumeClaimAdd');
  const slice = { what: 'fact', kind: 'deviceSlice', key: 's', action: 'Update' } as const;
  assert.equal(eventLabel(slice, waiting), 'resource.k8s.io/ResourceSliceUpdate');
});
