/** Devices: classes, slices, claims and templates; defaults, refusals, what stays. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { KubeObject } from '#api/object.ts';
import { updated, written } from '#test/descriptor.ts';
import type {
  DeviceClass,
  ResourceClaim,
  ResourceClaimTemplate,
  ResourceSlice,
} from '../types/resource-v1.ts';

function create<T extends KubeObject>(kind: string, spec: object) {
  const metadata = { name: 'one', namespace: 'default' };
  return written<T>({ apiVersion: 'resource.k8s.io/v1', kind, metadata, spec });
}

const exactly = { deviceClassName: 'gpu' };
const devices = { requests: [{ name: 'a', exactly }] };
const full = { ...exactly, allocationMode: 'ExactCount', count: 1 };

test('a claim asks for one device unless it says otherwise, and so does a template', () => {
  const claim = create<ResourceClaim>('ResourceClaim', { devices });
  assert.deepEqual(claim.errors, []);
  assert.deepEqual(claim.hub.spec.devices?.requests, [{ name: 'a', exactly: full }]);
  assert.deepEqual(claim.hub.status, {});
  const template = create<ResourceClaimTemplate>('ResourceClaimTemplate', { spec: { devices } });
  assert.deepEqual(template.errors, []);
  assert.deepEqual(template.hub.spec.spec.devices?.requests, [{ name: 'a', exactly: full }]);
  const choices = [{ name: 'x', deviceClassName: 'gpu', tolerations: [{ key: 'a' }] }];
  const first = create<ResourceClaim>('ResourceClaim', {
    devices: {
      requests: [{ name: 'a', firstAvailable: choices }],
      constraints: [{ requests: ['a/x'], matchAttribute: 'example.com/model' }],
    },
  });
  assert.deepEqual(first.errors, []);
  assert.deepEqual(first.hub.spec.devices?.requests?.[0]?.firstAvailable, [
    { name: 'x', ...full, tolerations: [{ key: 'a', operator: 'Equal' }] },
  ]);
});

test('claims that are refused', () => {
  const at = 'spec.devices.requests[0]';
  const cases: readonly [object, string][] = [
    [
      { requests: [{ name: 'a' }] },
      `${at}: Required value: exactly one of \`exactly\` or \`firstAvailable\` is required`,
    ],
    [{ requests: [{ name: 'a', exactly: {} }] }, `${at}.exactly.deviceClassName: Required value`],
    [
      { requests: [{ name: 'a', exactly: { ...exactly, allocationMode: 'Some' } }] },
      `${at}.exactly.allocationMode: Unsupported value: "Some": supported values: "All", "ExactCount"`,
    ],
    [
      { requests: [{ name: 'a', exactly: { ...exactly, allocationMode: 'All', count: 2 } }] },
      `${at}.exactly.count: Invalid value: 2: must not be specified when allocationMode is 'All'`,
    ],
    [
      { requests: [{ name: 'a', exactly: { ...exactly, selectors: [{}] } }] },
      `${at}.exactly.selectors[0].cel: Required value`,
    ],
    [
      { ...devices, config: [{ requests: ['b'], opaque: { driver: 'd', parameters: {} } }] },
      'spec.devices.config[0].requests[0]: Invalid value: "b": must be the name of a request in the claim or the name of a request and a subrequest separated by \'/\'',
    ],
  ];
  for (const [given, text] of cases) {
    assert.equal(create('ResourceClaim', { devices: given }).errors.join('|'), text);
  }
});

test('a claim keeps its wish, and its devices once it has them', () => {
  const { hub, cells } = create<ResourceClaim>('ResourceClaim', { devices });
  assert.equal(cells(0)['State'], 'pending');
  // Only that it changed, whatever it would be.
  const other = { ...hub, spec: { devices: { requests: [{ name: 'B!', exactly }] } } };
  assert.match(updated(other, hub).errors.join(), /^spec: Invalid value: .* field is immutable$/);
  const results = [{ request: 'a', driver: 'd', pool: 'p', device: '1' }];
  const allocation = { devices: { results } };
  const user = { resource: 'pods', name: 'x', uid: '1' };
  const status = (given: object, old: ResourceClaim) =>
    updated<ResourceClaim>({ ...hub, status: given }, old, 'status');
  const given = status({ allocation, reservedFor: [user] }, hub);
  assert.deepEqual(given.errors, []);
  assert.equal(given.cells(0)['State'], 'allocated,reserved');
  const swapped = { devices: { results: [{ ...results[0], device: '2' }] } };
  assert.match(status({ allocation: swapped }, given.hub).errors.join(), /^status.allocation: /);
  assert.deepEqual(status({ reservedFor: [user] }, hub).errors, [
    'status.reservedFor: Forbidden: may not be specified when `allocated` is not set',
  ]);
});

test('slices hold the devices of one driver in one place', () => {
  const pool = { name: 'n1', generation: 1, resourceSliceCount: 1 };
  const spec = { driver: 'gpu.example.com', pool, nodeName: 'n1', devices: [{ name: 'a' }] };
  const { hub, errors, cells } = create<ResourceSlice>('ResourceSlice', spec);
  assert.deepEqual(errors, []);
  const row = cells(0);
  assert.deepEqual([row['Node'], row['Driver'], row['Pool']], ['n1', 'gpu.example.com', 'n1']);
  const next = { ...hub, spec: { ...spec, driver: 'other.example.com' } };
  assert.deepEqual(updated(next, hub).errors, [
    'spec.driver: Invalid value: "other.example.com": field is immutable',
  ]);
  const broken = { ...spec, allNodes: true, pool: { ...pool, resourceSliceCount: 0 } };
  assert.deepEqual(create('ResourceSlice', broken).errors, [
    'spec.pool.resourceSliceCount: Invalid value: 0: must be greater than zero',
    'spec: Invalid value: "{`nodeName`, `allNodes`}": exactly one of `nodeName`, `nodeSelector`, `allNodes`, `perDeviceNodeSelection` is required, but multiple fields are set',
  ]);
  const twice = { ...spec, devices: [{ name: 'a' }, { name: 'a' }] };
  assert.deepEqual(create('ResourceSlice', twice).errors, [
    'spec.devices[1]: Duplicate value: "a"',
  ]);
});

test('classes select by expressions', () => {
  const selectors = [{ cel: { expression: 'true' } }];
  assert.deepEqual(create<DeviceClass>('DeviceClass', { selectors }).errors, []);
  assert.deepEqual(create<DeviceClass>('DeviceClass', { selectors: [{}] }).errors, [
    'spec.selectors[0].cel: Required value',
  ]);
});

test('what is wrong with an expression is told where it is written', () => {
  const told = (expression: string) => {
    const selectors = [{ cel: { expression } }];
    return create<DeviceClass>('DeviceClass', { selectors }).errors;
  };
  const at = 'spec.selectors[0].cel.expression';
  const unknown = "ERROR: <input>:1:7: undefined field 'colour'\n | device.colour\n | ......^";
  assert.deepEqual(told('device.colour'), [
    `${at}: Invalid value: "device.colour": compilation failed: ${unknown}`,
  ]);
  assert.deepEqual(told('device.driver'), [
    `${at}: Invalid value: "device.driver": must evaluate to bool or the unknown type, not string`,
  ]);
  // Four loops within one another over all domains.
  const loops = ['d', 'e', 'f', 'g'].map((name) => `device.attributes.all(${name}, `);
  assert.deepEqual(told(`${loops.join('')}d == e && f == g))))`), [
    `${at}: Forbidden: too complex, exceeds cost limit`,
  ]);
  assert.deepEqual(told('x'.repeat(10 * 1024 + 1)), [
    `${at}: Too long: may not be more than 10240 bytes`,
  ]);
  const exactly = { deviceClassName: 'gpu', selectors: [{ cel: { expression: '1 +' } }] };
  const claim = create<ResourceClaim>('ResourceClaim', {
    devices: { requests: [{ name: 'a', exactly }] },
  });
  const place = 'spec.devices.requests[0].exactly.selectors[0].cel.expression';
  const [error = ''] = claim.errors;
  assert.ok(error.startsWith(`${place}: Invalid value: "1 +": compilation failed: ERROR: `), error);
  assert.match(error, /<input>:1:4: Syntax error: mismatched input '<EOF>' expecting \{'\[', /);
});

test('settings and constraints that are refused', () => {
  const refused = (given: object) =>
    create('ResourceClaim', { devices: { ...devices, ...given } }).errors.join('|');
  assert.equal(
    refused({ config: [{ opaque: { driver: '', parameters: 'text' } }] }),
    'spec.devices.config[0].opaque.driver: Required value|spec.devices.config[0].opaque.parameters: Invalid value: "<value omitted>": must be a valid JSON object',
  );
  assert.equal(refused({ config: [{}] }), 'spec.devices.config[0].opaque: Required value');
  assert.match(
    refused({ constraints: [{ matchAttribute: 'model' }, {}] }),
    /\[0\].matchAttribute: Invalid value: "model": a fully .*\|\S*\[1\]: Required value: /,
  );
});

test('a status names devices that the claim has, and forgets those that it gave back', () => {
  const { hub } = create<ResourceClaim>('ResourceClaim', { devices });
  const place = { driver: 'd', pool: 'p', device: '1' };
  const allocation = { devices: { results: [{ request: 'a', ...place }] } };
  const set = (status: object, old: ResourceClaim) =>
    updated<ResourceClaim>({ ...hub, status }, old, 'status');
  const given = set({ allocation, devices: [place] }, hub);
  assert.deepEqual(given.errors, []);
  assert.deepEqual(set({ devices: [place] }, given.hub).hub.status?.devices, undefined);
  const other = { ...place, device: '2', conditions: [{ type: 'Ready', status: 'Yes' }] };
  assert.deepEqual(set({ allocation, devices: [other] }, hub).errors, [
    'status.devices[0]: Invalid value: {"Driver":"d","Pool":"p","Device":"2","ShareID":""}: must be an allocated device in the claim',
    'status.devices[0].conditions[0].status: Unsupported value: "Yes": supported values: "False", "True", "Unknown"',
    'status.devices[0].conditions[0].lastTransitionTime: Required value',
    'status.devices[0].conditions[0].reason: Required value',
  ]);
  const labelled = { ...hub, metadata: { ...hub.metadata, labels: { a: 'b' } } };
  assert.equal(updated(labelled, hub, 'status').hub.metadata.labels, undefined);
});

test('devices that are refused', () => {
  const pool = { name: 'n1', generation: 1, resourceSliceCount: 1 };
  const base = { driver: 'gpu.example.com', pool, nodeName: 'n1' };
  const slice = (device: object) =>
    create<ResourceSlice>('ResourceSlice', { ...base, devices: [{ name: 'a', ...device }] });
  const refused = (device: object) => slice(device).errors.join('|');
  assert.equal(
    refused({ attributes: { model: {}, driver: { version: '1.x' } } }),
    'spec.devices[0].attributes[model]: Invalid value: "": exactly one value must be specified|spec.devices[0].attributes[driver].version: Invalid value: "1.x": must be a string compatible with semver.org spec 2.0.0',
  );
  assert.equal(
    refused({ taints: [{ key: 'a', effect: 'Maybe' }], allNodes: true }),
    'spec.devices[0].taints[0].effect: Unsupported value: "Maybe": supported values: "NoExecute", "NoSchedule", "None"|spec.devices[0]: Invalid value: null: `nodeName`, `nodeSelector` and `allNodes` can only be set if `perDeviceNodeSelection` is set to true in the ResourceSlice spec',
  );
  const range = { min: '1', max: '4', step: '2' };
  const policy = { default: '2', validRange: range };
  const capacity = { memory: { value: '3', requestPolicy: policy } };
  const at = 'spec.devices[0].capacity[memory].requestPolicy';
  assert.equal(refused({ capacity }), `${at}: Forbidden: allowMultipleAllocations must be true`);
  assert.deepEqual(slice({ capacity, allowMultipleAllocations: true }).errors, [
    `${at}.validRange.max: Invalid value: "4": max is larger than capacity value: 3`,
    `${at}.validRange.step: Invalid value: "2": value is not a multiple of a given step (2) from (1)`,
    `${at}.validRange.step: Invalid value: "4": value is not a multiple of a given step (2) from (1)`,
  ]);
  const { hub } = slice({ taints: [{ key: 'a', effect: 'None' }] });
  assert.notEqual(hub.spec.devices?.[0]?.taints?.[0]?.timeAdded, undefined);
});

test('a template is judged with the metadata that it gives, and stays', () => {
  const metadata = { labels: { a: 'no!' } };
  const { hub, errors } = create<ResourceClaimTemplate>('ResourceClaimTemplate', {
    metadata,
    spec: { devices },
  });
  assert.match(errors.join('|'), /^spec.metadata.labels: Invalid value: "no!": a valid label/);
  const other = { ...hub, spec: { spec: {} } };
  assert.deepEqual(updated(other, hub).errors, [
    'spec: Invalid value: {"spec":{"devices":{}}}: field is immutable',
  ]);
});
