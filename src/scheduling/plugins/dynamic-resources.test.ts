/** Devices for claims: classes, selectors, constraints, sharing, and what is taken already. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Pod } from '#resources/types/core-v1.ts';
import type {
  Device,
  DeviceClaim,
  DeviceClass,
  ResourceClaim,
  ResourceSlice,
} from '#resources/types/resource-v1.ts';
import { nodeOf, Picture, podOf } from '#test/cluster-picture.ts';
import { readerOf } from '../facts.ts';
import { podFacts } from '../pod-facts.ts';
import { dynamicResources } from './dynamic-resources.ts';

const driver = 'gpu.example.com';
const apiVersion = 'resource.k8s.io/v1';

function device(name: string, model: string, memory = '16Gi'): Device {
  return {
    name,
    attributes: { model: { string: model }, index: { int: Number(name.slice(-1)) } },
    capacity: { memory: { value: memory } },
  };
}

function slice(nodeName: string, ...devices: readonly Device[]): ResourceSlice {
  const pool = { name: nodeName, generation: 1, resourceSliceCount: 1 };
  const metadata = { name: nodeName };
  return { apiVersion, kind: 'ResourceSlice', metadata, spec: { driver, nodeName, pool, devices } };
}

function deviceClass(expression = `device.driver == "${driver}"`): DeviceClass {
  const spec = { selectors: [{ cel: { expression } }] };
  return { apiVersion, kind: 'DeviceClass', metadata: { name: 'gpu' }, spec };
}

function claim(name: string, devices: DeviceClaim, status?: ResourceClaim['status']) {
  const metadata = { name, namespace: 'default', uid: name };
  const base = { apiVersion, kind: 'ResourceClaim', metadata, spec: { devices } };
  return (status === undefined ? base : { ...base, status }) as ResourceClaim;
}

function asks(count = 1, expression?: string): DeviceClaim {
  const selectors = expression === undefined ? [] : [{ cel: { expression } }];
  return {
    requests: [{ name: 'r', exactly: { deviceClassName: 'gpu', count, selectors } }],
  };
}

function using(name: string, pod = 'web'): Pod {
  return podOf(pod, { resourceClaims: [{ name: 'c', resourceClaimName: name }] });
}

function pictureOf(claims: readonly ResourceClaim[], slices: readonly ResourceSlice[]): Picture {
  return new Picture([nodeOf('n1'), nodeOf('n2')], {
    resourceClaims: readerOf(...claims),
    resourceSlices: readerOf(...slices),
    deviceClasses: readerOf(deviceClass()),
  });
}

const slices = [
  slice('n1', device('d0', 'small'), device('d1', 'big', '80Gi')),
  slice('n2', device('d0', 'small')),
];

test('a pod goes where its devices are, and each device is given once', () => {
  const claims = [claim('a', asks(2)), claim('b', asks(1))];
  const picture = pictureOf(claims, slices);
  assert.deepEqual(picture.fits(using('a')), ['n1']);
  assert.deepEqual(picture.fits(using('b')), ['n1', 'n2']);
  const facts = podFacts(using('a'));
  const decision = picture.cycle.decide(facts, picture.profile);
  assert.ok(decision.do === 'place');
  const [step] = decision.steps;
  assert.ok(step?.do === 'allocateDevices');
  assert.deepEqual(
    step.allocation?.devices.map((one) => [one.request, one.pool, one.device]),
    [
      ['r', 'n1', 'd0'],
      ['r', 'n1', 'd1'],
    ],
  );
  const field = { key: 'metadata.name', operator: 'In', values: ['n1'] };
  assert.deepEqual(step.allocation?.nodeSelector, {
    nodeSelectorTerms: [{ matchFields: [field] }],
  });
  picture.cluster.assume(facts, 'n1', decision.steps);
  assert.deepEqual(picture.fits(using('b', 'next')), ['n2']);
  assert.equal(
    picture.why(using('a', 'third')),
    '0/2 nodes are available: resource claim default/a is in the process of being allocated.',
  );
});

test('selectors of class and claim choose by driver, attribute and capacity', () => {
  const where = (expression: string) =>
    pictureOf([claim('a', asks(1, expression))], slices).fits(using('a'));
  assert.deepEqual(where(`device.attributes["${driver}"].model == "big"`), ['n1']);
  const memory = `device.capacity["${driver}"].memory`;
  assert.deepEqual(where(`${memory}.compareTo(quantity("40Gi")) >= 0`), ['n1']);
  assert.deepEqual(where(`${memory}.isLessThan(quantity("40Gi"))`), ['n1', 'n2']);
  assert.deepEqual(where('device.driver.startsWith("fpga")'), []);
  const bad = pictureOf([claim('a', asks(1, 'device.'))], slices);
  assert.match(
    bad.why(using('a')),
    /claim default\/a: selector #0: CEL compile error: compilation failed: ERROR: <input>:1:8/,
  );
  const absent = pictureOf([claim('a', asks(1, `device.attributes["${driver}"].x == 1`))], slices);
  assert.match(
    absent.why(using('a')),
    /claim default\/a: selector #0: CEL runtime error: no such key: x/,
  );
});

test('selectors may do all that expressions can', () => {
  const where = (expression: string) =>
    pictureOf([claim('a', asks(1, expression))], slices).fits(using('a'));
  const own = `device.attributes["${driver}"]`;
  assert.deepEqual(where(`${own}.exists(name, name == "model")`), ['n1', 'n2']);
  assert.deepEqual(where(`cel.bind(own, ${own}, own.index + 1 == 2)`), ['n1']);
  assert.deepEqual(where(`["big", "huge"].exists(m, m == ${own}.model)`), ['n1']);
  assert.deepEqual(where(`${own}.?vendor.orValue("none") == "none"`), ['n1', 'n2']);
});

test('a pod is tried again for its own claims, and where others may have let devices go', () => {
  const results = [{ request: 'r', driver, pool: 'n1', device: 'd0' }];
  const busy = claim('busy', asks(), { allocation: { devices: { results } } });
  const { cluster } = pictureOf([claim('own', asks()), busy, claim('idle', asks())], slices);
  const helps = (key: string, action: 'Add' | 'Update' | 'Delete'): boolean =>
    dynamicResources().helps(
      { what: 'fact', kind: 'deviceClaim', key: `default/${key}`, action },
      podFacts(using('own')),
      cluster,
    );
  assert.ok(helps('own', 'Add') && helps('own', 'Update'));
  assert.ok(!helps('idle', 'Add') && !helps('busy', 'Update'));
  assert.ok(helps('idle', 'Update') && helps('gone', 'Delete'));
});

test('what is missing is named', () => {
  const none = pictureOf([], slices);
  assert.match(none.why(using('x')), /could not find v1.ResourceClaim "default\/x"/);
  const wrong = { requests: [{ name: 'r', exactly: { deviceClassName: 'fpga' } }] };
  const picture = pictureOf([claim('a', wrong), claim('b', asks(3))], slices);
  assert.match(picture.why(using('a')), /request r: device class fpga does not exist/);
  assert.equal(picture.why(using('b')), '0/2 nodes are available: 2 cannot allocate all claims.');
});

test('an allocated claim ties the pod to its node and uses its devices up', () => {
  const results = [{ request: 'r', driver, pool: 'n2', device: 'd0' }];
  const field = { key: 'metadata.name', operator: 'In', values: ['n2'] };
  const nodeSelector = { nodeSelectorTerms: [{ matchFields: [field] }] };
  const status = { allocation: { devices: { results }, nodeSelector } };
  const claims = [claim('a', asks(1), status), claim('b', asks(1))];
  const picture = pictureOf(claims, slices);
  assert.deepEqual(picture.fits(using('a')), ['n2']);
  assert.deepEqual(picture.fits(using('b')), ['n1']);
});

test('constraints over several devices make the search go back', () => {
  const mixed = slice('n1', device('d0', 'x'), device('d1', 'y'), device('d2', 'y'));
  const constrained = (more: NonNullable<DeviceClaim['constraints']>[number]): DeviceClaim => ({
    ...asks(2),
    constraints: [more],
  });
  const place = (claimed: DeviceClaim): readonly string[] | undefined => {
    const picture = pictureOf([claim('a', claimed)], [mixed]);
    const decision = picture.cycle.decide(podFacts(using('a')), picture.profile);
    const [step] = decision.do === 'place' ? decision.steps : [];
    if (step?.do !== 'allocateDevices') return undefined;
    return step.allocation?.devices.map((one) => one.device);
  };
  assert.deepEqual(place(constrained({ matchAttribute: `${driver}/model` })), ['d1', 'd2']);
  assert.deepEqual(place(constrained({ distinctAttribute: `${driver}/model` })), ['d0', 'd1']);
  assert.equal(place(constrained({ matchAttribute: `${driver}/index` })), undefined);
});

test('of alternatives the first that can be had is taken; All takes every device', () => {
  const alternatives: DeviceClaim = {
    requests: [
      {
        name: 'r',
        firstAvailable: [
          { name: 'many', deviceClassName: 'gpu', count: 2 },
          { name: 'one', deviceClassName: 'gpu', count: 1 },
        ],
      },
    ],
  };
  const all: DeviceClaim = {
    requests: [{ name: 'r', exactly: { deviceClassName: 'gpu', allocationMode: 'All' } }],
  };
  const picture = pictureOf([claim('a', alternatives), claim('b', all)], slices);
  const requests = (name: string, nodeName: string): readonly string[] => {
    const prepared = picture.cycle.prepare(podFacts(using(name)), picture.profile);
    const node = picture.cluster.get(nodeName);
    assert.ok(prepared.do === 'ask' && node !== undefined);
    return prepared.trial
      .steps(node)
      .flatMap((step) => (step.do === 'allocateDevices' ? (step.allocation?.devices ?? []) : []))
      .map((one) => one.request);
  };
  assert.deepEqual(requests('a', 'n1'), ['r/many', 'r/many']);
  assert.deepEqual(requests('a', 'n2'), ['r/one']);
  assert.deepEqual(requests('b', 'n1'), ['r', 'r']);
});

/** A device of 8Gi that may be shared, in steps of 1Gi from 1Gi on. */
const sharable: Device = {
  name: 'd0',
  allowMultipleAllocations: true,
  bindingConditions: ['Attached'],
  capacity: {
    memory: {
      value: '8Gi',
      requestPolicy: { default: '4Gi', validRange: { min: '1Gi', max: '6Gi', step: '1Gi' } },
    },
  },
};

function part(memory?: string, count = 1): DeviceClaim {
  const capacity = memory === undefined ? {} : { capacity: { requests: { memory } } };
  return { requests: [{ name: 'r', exactly: { deviceClassName: 'gpu', count, ...capacity } }] };
}

function partsOf(claims: readonly ResourceClaim[], name: string) {
  const picture = pictureOf(claims, [slice('n1', sharable)]);
  const decision = picture.cycle.decide(podFacts(using(name)), picture.profile);
  if (decision.do !== 'place') return undefined;
  const [step] = decision.steps;
  assert.ok(step?.do === 'allocateDevices');
  return step.allocation?.devices.map(({ consumedCapacity }) => consumedCapacity?.['memory']);
}

test('a device that may be shared is given in parts, rounded up by its policy', () => {
  assert.deepEqual(partsOf([claim('a', part('1500Mi'))], 'a'), ['2Gi']);
  assert.deepEqual(partsOf([claim('a', part('100Mi'))], 'a'), ['1Gi']);
  assert.deepEqual(partsOf([claim('a', part())], 'a'), ['4Gi']);
  // One part of each device for each request.
  assert.equal(partsOf([claim('a', part('3Gi', 2))], 'a'), undefined);
  assert.equal(partsOf([claim('a', part('7Gi'))], 'a'), undefined);
  const none = {
    requests: [
      { name: 'r', exactly: { deviceClassName: 'gpu', capacity: { requests: { cores: '1' } } } },
    ],
  };
  assert.equal(partsOf([claim('a', none)], 'a'), undefined);
});

test('of a shared device others get what is left', () => {
  const mine = {
    request: 'r',
    driver,
    pool: 'n1',
    device: 'd0',
    shareID: 's',
    consumedCapacity: { memory: '5Gi' },
  };
  const holder = claim('held', part('5Gi'), {
    allocation: { devices: { results: [mine], config: [] } },
  });
  assert.deepEqual(partsOf([holder, claim('a', part('3Gi'))], 'a'), ['3Gi']);
  assert.equal(partsOf([holder, claim('a', part('4Gi'))], 'a'), undefined);
  const picture = pictureOf(
    [claim('a', part('6Gi')), claim('b', part('3Gi'))],
    [slice('n1', sharable)],
  );
  const facts = podFacts(using('a'));
  const decision = picture.cycle.decide(facts, picture.profile);
  assert.ok(decision.do === 'place');
  const [step] = decision.steps;
  assert.ok(step?.do === 'allocateDevices');
  assert.deepEqual(step.allocation?.devices[0]?.bindingConditions, ['Attached']);
  // What was promised to the first is gone for the second.
  picture.cluster.assume(facts, 'n1', decision.steps);
  assert.deepEqual(picture.fits(using('b', 'next')), []);
});
