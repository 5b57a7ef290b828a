/** Why a pod waits, and what would help, in the words that people get. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { asking, nodeOf, Picture, podOf } from '#test/cluster-picture.ts';
import { explain } from './explanation.ts';
import { podFacts } from './pod-facts.ts';

test('every rule of every node, and the node with the least to mend', () => {
  const taints = [{ key: 'gpu', value: 'yes', effect: 'NoSchedule' }];
  const picture = new Picture([
    nodeOf('n1', { spec: { taints } }),
    nodeOf('n2'),
    nodeOf('n3', { spec: { unschedulable: true } }),
  ]);
  picture.run(podOf('a', asking({ cpu: '3300m' })), 'n1');
  picture.run(podOf('b', asking({ cpu: '3300m' })), 'n2');
  picture.run(podOf('c', asking({ cpu: '3' })), 'n3');
  const pod = podFacts(podOf('web', { ...asking({ cpu: '1' }), nodeSelector: { disk: 'ssd' } }));
  const explanation = explain(pod, picture.profile, picture.cluster);
  assert.equal(explanation.state, 'Unschedulable');
  assert.equal(
    explanation.message,
    "0/3 nodes are available: 1 node(s) didn't match Pod's node affinity/selector, 1 node(s) " +
      'had untolerated taint(s), 1 node(s) were unschedulable.',
  );
  assert.deepEqual(explanation.smallestChange, {
    node: 'n2',
    changes: ['label the node disk=ssd', '300m less cpu (asks 1, 700m are free)'],
  });
  const [n1, , n3] = explanation.nodes;
  assert.deepEqual(
    n1?.objections.map(({ plugin, remedies }) => [plugin, ...remedies]),
    [
      ['TaintToleration', 'tolerate the taint gpu=yes:NoSchedule'],
      ['NodeAffinity', 'label the node disk=ssd'],
      ['NodeResourcesFit', '300m less cpu (asks 1, 700m are free)'],
    ],
  );
  assert.deepEqual(
    n3?.objections.map(({ plugin }) => plugin),
    ['NodeUnschedulable', 'NodeAffinity'],
  );
});

test('pods that are placed, held back, not ours, or about to be placed', () => {
  const picture = new Picture([nodeOf('n1')]);
  const say = (pod: ReturnType<typeof podOf>, known = true) => {
    const profile = known ? picture.profile : undefined;
    const { state, message } = explain(podFacts(pod), profile, picture.cluster);
    return [state, message];
  };
  assert.deepEqual(say(podOf('p', { nodeName: 'n1' })), ['Scheduled', 'the pod runs on n1']);
  assert.deepEqual(say(podOf('p', { schedulingGates: [{ name: 'a' }, { name: 'b' }] })), [
    'Held',
    'waiting for scheduling gates: [a b]',
  ]);
  assert.deepEqual(say(podOf('p', { schedulerName: 'x' }), false), [
    'Unknown',
    'the pod waits for scheduler x, which is not this one',
  ]);
  assert.deepEqual(say(podOf('p')), ['Fits', '1 node(s) would take the pod now']);
  const volumes = [{ name: 'd', persistentVolumeClaim: { claimName: 'data' } }];
  assert.deepEqual(say(podOf('p', { volumes })), [
    'Unschedulable',
    '0/1 nodes are available: persistentvolumeclaim "data" not found.',
  ]);
});

test('what is missing of affinity, ports and spread is said in their terms', () => {
  const picture = new Picture([nodeOf('n1')]);
  const ports = [{ containerPort: 80, hostPort: 8080 }];
  const listening = { containers: [{ name: 'c', ports }] };
  picture.run(podOf('first', listening), 'n1');
  const remedies = (pod: ReturnType<typeof podOf>) =>
    explain(podFacts(pod), picture.profile, picture.cluster).smallestChange?.changes;
  assert.deepEqual(remedies(podOf('second', listening)), [
    'free host port 8080/TCP, which default/first holds',
  ]);
  const topologyKey = 'kubernetes.io/hostname';
  const term = { labelSelector: { matchLabels: { app: 'db' } }, topologyKey };
  const requiredDuringSchedulingIgnoredDuringExecution = [term];
  const near = { podAffinity: { requiredDuringSchedulingIgnoredDuringExecution } };
  assert.deepEqual(remedies(podOf('near', { affinity: near })), [
    'run a pod that its pod affinity asks for where kubernetes.io/hostname is n1',
  ]);
  const constraint = {
    topologyKey: 'zone',
    maxSkew: 1,
    whenUnsatisfiable: 'DoNotSchedule',
    labelSelector: { matchLabels: { app: 'web' } },
  };
  assert.deepEqual(remedies(podOf('spread', { topologySpreadConstraints: [constraint] })), [
    'give the node the label zone',
  ]);
});
