/**
 * Devices beyond single claims: extended resources that stand for them, pools that are not whole,
 * alternatives in the order of preference, taints, and searches over several claims at once.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Node, Pod } from '#resources/types/core-v1.ts';
import type {
  Device,
  DeviceClaim,
  DeviceClass,
  ResourceClaim,
  ResourceSlice,
} from '#resources/types/resource-v1.ts';
import { asking, nodeOf, Picture, podOf } from '#test/cluster-picture.ts';
import { readerOf } from '../facts.ts';
import { podFacts } from '../pod-facts.ts';
import { defaultProfile, openPlugins } from '../profile.ts';

const driver = 'gpu.example.com';
const apiVersion = 'resource.k8s.io/v1';
const gpu = 'example.com/gpu';

function slice(
  name: string,
  where: Partial<ResourceSlice['spec']>,
  ...devices: readonly (string | Device)[]
): ResourceSlice {
  const pool = { name, generation: 1, resourceSliceCount: 1 };
  const published = devices.map((one) => (typeof one === 'string' ? { name: one } : one));
  const spec = { driver, pool, devices: published, ...where };
  return { apiVersion, kind: 'ResourceSlice', metadata: { name }, spec };
}

function on(nodeName: string, ...devices: readonly (string | Device)[]): ResourceSlice {
  return slice(nodeName, { nodeName }, ...devices);
}

function deviceClass(name: string, extendedResourceName?: string): DeviceClass {
  const spec = { extendedResourceName };
  return { apiVersion, kind: 'DeviceClass', metadata: { name }, spec };
}

function claim(name: string, devices: DeviceClaim, more: Partial<ResourceClaim> = {}) {
  const metadata = { name, namespace: 'default', uid: name };
  return { apiVersion, kind: 'ResourceClaim', metadata, spec: { devices }, ...more };
}

function exactly(more: object = {}, count = 1): DeviceClaim {
  return { requests: [{ name: 'r', exactly: { deviceClassName: 'gpu', count, ...more } }] };
}

function using(...names: readonly string[]): Pod {
  return podOf('web', {
    resourceClaims: names.map((name) => ({ name, resourceClaimName: name })),
  });
}

function counting(name: string, count: string): Node {
  const status = { allocatable: { cpu: '4', memory: '8Gi', pods: '110', [gpu]: count } };
  return nodeOf(name, { status });
}

function pictureOf(
  slices: readonly ResourceSlice[],
  claims: readonly ResourceClaim[] = [],
  nodes: readonly Node[] = [nodeOf('n1'), nodeOf('n2')],
): Picture {
  return new Picture(nodes, {
    resourceClaims: readerOf(...claims),
    resourceSlices: readerOf(...slices),
    deviceClasses: readerOf(deviceClass('gpu', gpu), deviceClass('other')),
  });
}

function stepsOf(picture: Picture, pod: Pod) {
  const decision = picture.cycle.decide(podFacts(pod), picture.profile);
  assert.ok(decision.do === 'place');
  const steps = decision.steps.flatMap((step) => (step.do === 'allocateDevices' ? [step] : []));
  return { decision, steps };
}

test('what a container asks for by name is given as devices where no plugin counts it', () => {
  const nodes = [nodeOf('n1'), nodeOf('n2'), counting('n3', '4'), counting('n4', '0')];
  const slices = [on('n2', 'd0', 'd1'), on('n4', 'd0')];
  const picture = pictureOf(slices, [], nodes);
  const pod = podOf('web', asking({ [gpu]: '2' }));
  assert.deepEqual(picture.fits(pod), ['n2', 'n3']);
  const alone = pictureOf(slices, [], [nodeOf('n2')]);
  const { decision, steps } = stepsOf(alone, pod);
  const [step] = steps;
  assert.equal(step?.make?.requests[0]?.name, 'container-0-request-0');
  assert.deepEqual(
    step?.allocation?.devices.map(({ request, device }) => [request, device]),
    [
      ['container-0-request-0', 'd0'],
      ['container-0-request-0', 'd1'],
    ],
  );
  // Promised at once: the next pod does not get them.
  alone.cluster.assume(podFacts(pod), 'n2', decision.steps);
  assert.match(alone.why(podOf('next', asking({ [gpu]: '1' }))), /1 cannot allocate all claims/);
  // On a node with a plugin there is nothing to allocate.
  assert.deepEqual(stepsOf(pictureOf(slices, [], [counting('n3', '4')]), pod).steps, []);
});

test('the name of a class works too; a name that stands for nothing is missing as ever', () => {
  const picture = pictureOf([on('n1', 'd0')]);
  const implicit = 'deviceclass.resource.kubernetes.io/other';
  assert.deepEqual(picture.fits(podOf('web', asking({ [implicit]: '1' }))), ['n1']);
  assert.match(
    picture.why(podOf('web', asking({ 'example.com/nic': '1' }))),
    /2 Insufficient example.com\/nic/,
  );
});

test('a claim left over from an attempt that failed must go first', () => {
  const pod = podOf('web', asking({ [gpu]: '1' }));
  const metadata = {
    name: 'web-extended-resources-x',
    namespace: 'default',
    uid: 'old',
    annotations: { 'resource.kubernetes.io/extended-resource-claim': 'true' },
    ownerReferences: [
      { apiVersion: 'v1', kind: 'Pod', name: 'web', uid: 'uid-web', controller: true },
    ],
  };
  const picture = pictureOf([on('n1', 'd0')], [claim('x', exactly(), { metadata })]);
  assert.match(picture.why(pod), /2 cannot schedule extended resource claim/);
  assert.deepEqual(picture.fits(podOf('other', asking({ [gpu]: '1' }))), ['n1']);
});

test('a class that comes to stand for the name wakes the pod', () => {
  const picture = pictureOf([]);
  const fit = openPlugins().get('NodeResourcesFit');
  const helps = (name: string, requests: Record<string, string>): boolean | undefined =>
    fit?.helps(
      { what: 'fact', kind: 'deviceClass', key: name },
      podFacts(podOf('web', asking(requests))),
      picture.cluster,
    );
  assert.equal(helps('gpu', { [gpu]: '1' }), true);
  assert.equal(helps('other', { [gpu]: '1' }), false);
  assert.equal(helps('gone', { [gpu]: '1' }), false);
});

test('a pool of which slices are missing gives nothing, and cannot be asked for all', () => {
  const whole = slice('n1', { nodeName: 'n1' }, 'd0');
  const part = {
    ...whole,
    spec: { ...whole.spec, pool: { ...whole.spec.pool, resourceSliceCount: 2 } },
  };
  const claims = [claim('a', exactly()), claim('all', exactly({ allocationMode: 'All' }))];
  assert.deepEqual(pictureOf([whole], claims).fits(using('a')), ['n1']);
  assert.deepEqual(pictureOf([part], claims).fits(using('a')), []);
  assert.equal(
    pictureOf([part], claims).why(using('all')),
    'running "DynamicResources" filter plugin: claim default/all, request r: asks for all ' +
      'devices, but resource pool gpu.example.com/n1 is currently being updated',
  );
  const twice = slice('n1', { nodeName: 'n1' }, 'd0', 'd0');
  assert.match(
    pictureOf([twice], claims).why(using('a')),
    /1 invalid resource pools were encountered/,
  );
});

test('an older generation of a pool does not count', () => {
  const old = on('n1', 'd0', 'd1');
  const spec = { ...on('n1', 'd0').spec, pool: { ...old.spec.pool, generation: 2 } };
  const young = { ...old, metadata: { name: 'young' }, spec };
  assert.deepEqual(pictureOf([old], [claim('a', exactly({}, 2))]).fits(using('a')), ['n1']);
  assert.deepEqual(pictureOf([old, young], [claim('a', exactly({}, 2))]).fits(using('a')), []);
});

test('what one claim takes may be given up for another', () => {
  const big = { name: 'd0', attributes: { model: { string: 'big' } } };
  const small = { name: 'd1', attributes: { model: { string: 'small' } } };
  const expression = `device.attributes["${driver}"].model == "big"`;
  const claims = [
    claim('any', exactly()),
    claim('big', exactly({ selectors: [{ cel: { expression } }] })),
  ];
  const { steps } = stepsOf(pictureOf([on('n1', big, small)], claims), using('any', 'big'));
  assert.deepEqual(
    steps.map(({ claim: key, allocation }) => [key, allocation?.devices[0]?.device]),
    [
      ['default/any', 'd1'],
      ['default/big', 'd0'],
    ],
  );
});

test('nodes that give the better alternative are preferred', () => {
  const way = (name: string, count: number) => ({ name, deviceClassName: 'gpu', count });
  const requests = [{ name: 'r', firstAvailable: [way('two', 2), way('one', 1)] }];
  const claims = [claim('a', { requests })];
  const nodes = [nodeOf('n1'), nodeOf('n2'), nodeOf('n3')];
  const picture = pictureOf([on('n1', 'd0'), on('n2', 'd0', 'd1'), on('n3', 'd0')], claims, nodes);
  const pod = using('a');
  assert.deepEqual(picture.fits(pod), ['n1', 'n2', 'n3']);
  assert.equal(picture.place(pod), 'n2');
  const scorer = openPlugins()
    .get('DynamicResources')
    ?.score?.(podFacts(pod), picture.cluster, picture.cluster.nodes);
  const scores = Float64Array.from(picture.cluster.nodes, (node) => scorer?.score(node) ?? -1);
  assert.deepEqual([...scores], [7, 8, 7]);
  scorer?.normalize?.(scores, picture.cluster.nodes);
  assert.deepEqual([...scores], [87, 100, 87]);
});

test('tainted devices go to those who tolerate it, and to nobody who wants all', () => {
  const taints = [{ key: 'dead', value: 'yes', effect: 'NoSchedule' }];
  const sick = { name: 'd0', taints };
  const tolerations = [{ key: 'dead', operator: 'Exists' }];
  const claims = [
    claim('plain', exactly()),
    claim('brave', exactly({ tolerations })),
    claim('all', exactly({ allocationMode: 'All' })),
    claim('any', exactly({ tolerations: [{ operator: 'Equal', value: 'yes' }] })),
  ];
  const picture = pictureOf([on('n1', sick), on('n2', sick, 'd1')], claims);
  assert.deepEqual(picture.fits(using('plain')), ['n2']);
  assert.deepEqual(picture.fits(using('brave')), ['n1', 'n2']);
  assert.deepEqual(picture.fits(using('any')), ['n1', 'n2']);
  assert.deepEqual(picture.fits(using('all')), []);
  const told = { name: 'd0', taints: [{ key: 'dead', effect: 'None' }] };
  assert.deepEqual(pictureOf([on('n1', told)], claims).fits(using('plain')), ['n1']);
});

test('who looks after a device has it besides others, but once', () => {
  const held = claim('held', exactly(), {
    status: {
      allocation: { devices: { results: [{ request: 'r', driver, pool: 'n1', device: 'd0' }] } },
    },
  });
  const adminAccess = true;
  const one = { deviceClassName: 'gpu', adminAccess };
  const claims = [
    held,
    claim('admin', exactly({ adminAccess })),
    claim('twice', {
      requests: [
        { name: 'r', exactly: one },
        { name: 's', exactly: one },
      ],
    }),
    claim('plain', exactly()),
  ];
  const picture = pictureOf([on('n1', 'd0')], claims);
  assert.deepEqual(picture.fits(using('admin')), ['n1']);
  assert.deepEqual(picture.fits(using('twice')), []);
  assert.deepEqual(picture.fits(using('plain')), []);
});

test('an allocation says from which nodes its devices can be reached', () => {
  const term = (key: string) => ({
    nodeSelectorTerms: [{ matchExpressions: [{ key, operator: 'Exists' }] }],
  });
  const labelled = nodeOf('n1', { metadata: { labels: { rack: '1', row: '2' } } });
  const slices = [
    slice('a', { nodeSelector: term('rack') }, 'd0'),
    slice('b', { nodeSelector: term('row') }, 'd0'),
    slice('c', { allNodes: true }, 'd0'),
  ];
  const reach = (count: number, more: readonly ResourceSlice[] = []) => {
    const picture = pictureOf([...slices, ...more], [claim('a', exactly({}, count))], [labelled]);
    return stepsOf(picture, using('a')).steps[0]?.allocation?.nodeSelector;
  };
  assert.deepEqual(reach(3), {
    nodeSelectorTerms: [
      {
        matchExpressions: [
          { key: 'rack', operator: 'Exists' },
          { key: 'row', operator: 'Exists' },
        ],
      },
    ],
  });
  const bound = slice('d', { allNodes: true }, { name: 'd0', bindsToNode: true });
  const field = { key: 'metadata.name', operator: 'In', values: ['n1'] };
  assert.deepEqual(reach(4, [bound]), { nodeSelectorTerms: [{ matchFields: [field] }] });
  const anywhere = pictureOf([slices[2] ?? on('n1')], [claim('a', exactly())], [labelled]);
  assert.equal(stepsOf(anywhere, using('a')).steps[0]?.allocation?.nodeSelector, undefined);
});

test('a part of a device is not given when the counters of the whole are used up', () => {
  const counters = (name: string, value: string): Device => ({
    name,
    consumesCounters: [{ counterSet: 'whole', counters: { memory: { value } } }],
  });
  const sharedCounters = [{ name: 'whole', counters: { memory: { value: '16Gi' } } }];
  const pool = { name: 'n1', generation: 1, resourceSliceCount: 2 };
  const parts = ['half-0', 'half-1'].map((name) => counters(name, '8Gi'));
  const devices = slice('n1', { nodeName: 'n1', pool }, counters('full', '16Gi'), ...parts);
  const sums = slice('sums', { nodeName: 'n1', pool, sharedCounters, devices: [] });
  const where = (count: number) =>
    pictureOf([devices, sums], [claim('a', exactly({}, count))]).fits(using('a'));
  assert.deepEqual(where(2), ['n1']);
  assert.deepEqual(where(3), []);
});

test('a search that takes too long ends the attempt, within the time that the profile sets', () => {
  const many = Array.from({ length: 20 }, (_, index) => ({
    name: `d${index}`,
    attributes: { model: { int: index } },
  }));
  const constraints = [{ distinctAttribute: `${driver}/model` }];
  const devices = { ...exactly({}, 19), constraints };
  const second = exactly({}, 2);
  const claims = [claim('a', devices), claim('b', second)];
  const plugins = [...openPlugins({ dynamicResources: { filterTimeoutMs: 50 } }).values()];
  const profile = { ...defaultProfile(), filters: plugins.filter(({ filter }) => filter) };
  const facts = {
    resourceClaims: readerOf<ResourceClaim>(...claims),
    resourceSlices: readerOf(on('n1', ...many)),
    deviceClasses: readerOf(deviceClass('gpu')),
  };
  const hurried = new Picture([nodeOf('n1')], facts, profile);
  assert.equal(
    hurried.why(using('a', 'b')),
    'running "DynamicResources" filter plugin: node n1: timed out trying to allocate devices',
  );
});

test('scores that count a resource count the devices that it stands for', () => {
  const resources = [{ name: gpu, weight: 1 }];
  const scoringStrategy = { type: 'MostAllocated', resources, shape: [] } as const;
  const args = { ignoredResources: [], ignoredResourceGroups: [], scoringStrategy };
  const fit = openPlugins({ resourcesFit: args }).get('NodeResourcesFit');
  const result = { request: 'r', driver, pool: 'n1', device: 'd0' };
  const allocation = { devices: { results: [result] } };
  const held = claim('held', exactly(), { status: { allocation } });
  const slices = [on('n1', 'd0', 'd1', 'd2', 'd3'), on('n2', 'd0', 'd1', 'd2', 'd3')];
  const nodes = [nodeOf('n1'), nodeOf('n2'), nodeOf('n3'), counting('n4', '10')];
  const picture = pictureOf(slices, [held], nodes);
  const pod = podFacts(podOf('web', asking({ [gpu]: '1' })));
  const scorer = fit?.score?.(pod, picture.cluster, picture.cluster.nodes);
  assert.deepEqual(
    picture.cluster.nodes.map((node) => [node.name, scorer?.score(node)]),
    [
      ['n1', 50],
      ['n2', 25],
      ['n3', 0],
      ['n4', 10],
    ],
  );
  const balanced = openPlugins({
    balancedAllocation: { resources: [...resources, { name: 'cpu', weight: 1 }] },
  }).get('NodeResourcesBalancedAllocation');
  const cpu = podFacts(podOf('web', asking({ [gpu]: '1', cpu: '2' })));
  const scores = balanced?.score?.(cpu, picture.cluster, picture.cluster.nodes);
  // Half of the cores: even with half of the devices of n1, not with a quarter of those of n2.
  const [first, second] = picture.cluster.nodes.map((node) => scores?.score(node) ?? 0);
  assert.ok((first ?? 0) > (second ?? 0), `${first} ${second}`);
});
