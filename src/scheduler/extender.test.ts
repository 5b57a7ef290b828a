/** What extenders are sent, and what is made of their answers. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Victims } from '#scheduling';
import { asking, nodeOf, Picture, podOf } from '#test/cluster-picture.ts';
import { readSchedulerConfiguration } from './configuration/configuration.ts';
import { concerns, preemptWithExtenders } from './consultation.ts';
import { Extender, type Post } from './extender.ts';

const { signal } = new AbortController();

function extenderOf(fields: string, post: Post): Extender {
  const { extenders } = readSchedulerConfiguration(`
apiVersion: kubescheduler.config.k8s.io/v1
kind: KubeSchedulerConfiguration
extenders:
- {urlPrefix: "http://localhost/x", ${fields}}
`);
  const [options] = extenders;
  assert.ok(options !== undefined);
  return new Extender(options, post);
}

test('an extender that keeps no nodes is sent whole ones, and may answer in small letters', async () => {
  const picture = new Picture([nodeOf('n1'), nodeOf('n2')]);
  const sent: unknown[] = [];
  const post: Post = async (_options, verb, body) => {
    sent.push([verb, body]);
    const items = [{ metadata: { name: 'n2' } }];
    return { nodes: { items }, failedAndUnresolvableNodes: { n1: 'never' } };
  };
  const extender = extenderOf('filterVerb: filter', post);
  const pod = podOf('web');
  const sifted = await extender.filter(pod, picture.cluster.nodes, { signal });
  assert.deepEqual(
    sifted.nodes.map(({ name }) => name),
    ['n2'],
  );
  assert.deepEqual([...sifted.unresolvable], [['n1', 'never']]);
  const [[verb, body]] = sent as [[string, { readonly Nodes: { readonly items: object[] } }]];
  assert.equal(verb, 'filter');
  assert.equal(body.Nodes.items.length, 2);
  const fails = extenderOf('filterVerb: filter', async () => ({ Error: 'out of order' }));
  await assert.rejects(fails.filter(pod, picture.cluster.nodes, { signal }), /out of order/);
});

test('only pods that ask for its resources concern it', () => {
  const extender = extenderOf(
    'filterVerb: filter, managedResources: [{name: example.com/foo}]',
    async () => ({}),
  );
  assert.equal(extender.isInterested(podOf('plain')), false);
  const spec = asking({ 'example.com/foo': '1' });
  assert.equal(extender.isInterested(podOf('foo', spec)), true);
  const binds = extenderOf('bindVerb: bind', async () => ({}));
  const picture = new Picture([nodeOf('n1')]);
  // One that only binds has no say in where the pod goes.
  assert.equal(concerns([binds], picture.run(podOf('p'), 'n1')), false);
});

test('points are weighed and stretched to the measure of the rules', async () => {
  const post: Post = async () => [
    { Host: 'n1', Score: 3 },
    { host: 'n2', score: 10 },
    { nonsense: true },
  ];
  const extender = extenderOf('prioritizeVerb: prioritize, weight: 2', post);
  const points = await extender.prioritize(podOf('web'), [], { signal });
  assert.deepEqual(
    [...points],
    [
      ['n1', 60],
      ['n2', 200],
    ],
  );
});

async function preempt(extender: Extender): Promise<Victims | string> {
  const picture = new Picture([nodeOf('n1'), nodeOf('n2')]);
  picture.run(podOf('a', { priority: 1, ...asking({ cpu: '4' }) }), 'n1');
  picture.run(podOf('b', { priority: 2, ...asking({ cpu: '4' }) }), 'n2');
  const { cluster, cycle, profile } = picture;
  const pod = picture.run(podOf('high', { priority: 9, ...asking({ cpu: '4' }) }), 'none');
  const decision = cycle.decide(pod, profile);
  assert.ok(decision.do === 'reject' && profile.preemption !== undefined);
  const { failure, trial } = decision;
  const random = { integer: () => 0 } as never;
  const facts = { cluster, pod, failure, trial, args: profile.preemption, random, nowMs: 0 };
  const extenders = [extender];
  const plan = await preemptWithExtenders({ cluster, cycle, extenders }, facts, { signal });
  return plan.do === 'preempt' ? plan.victims : plan.message;
}

test('an extender may choose among the victims, or leave none', async () => {
  const sent: unknown[] = [];
  const keeps = extenderOf('preemptVerb: preempt, nodeCacheCapable: true', async (_o, _v, body) => {
    sent.push(body);
    return { NodeNameToMetaVictims: { n2: { Pods: [{ UID: 'uid-b' }], NumPDBViolations: 0 } } };
  });
  // By itself the lower pod on n1 would go.
  const victims = await preempt(keeps);
  assert.ok(typeof victims !== 'string');
  assert.equal(victims.node.name, 'n2');
  const [{ NodeNameToMetaVictims: offered }] = sent as [{ NodeNameToMetaVictims: object }];
  assert.deepEqual(offered, {
    n1: { Pods: [{ UID: 'uid-a' }], NumPDBViolations: 0 },
    n2: { Pods: [{ UID: 'uid-b' }], NumPDBViolations: 0 },
  });
  const refuses = extenderOf('preemptVerb: preempt', async () => ({ NodeNameToMetaVictims: {} }));
  assert.equal(await preempt(refuses), 'no candidate node for preemption');
  const broken: Post = () => Promise.reject(new Error('gone'));
  assert.equal(await preempt(extenderOf('preemptVerb: preempt', broken)), 'gone');
  const ignored = await preempt(extenderOf('preemptVerb: preempt, ignorable: true', broken));
  assert.ok(typeof ignored !== 'string' && ignored.node.name === 'n1');
});
