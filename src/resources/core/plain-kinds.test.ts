/** The small kinds of the core group, and Leases and EndpointSlices, which are as small. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { covers } from '#test/covers.ts';
import { shown, updated, written } from '#test/descriptor.ts';
import type { ConfigMap, Event, Namespace, Node, Secret } from '../types/core-v1.ts';
import type { EndpointSlice } from '../types/discovery-v1.ts';
import type { Event as NewEvent } from '../types/events-v1.ts';

const metadata = { name: 'one', namespace: 'default', creationTimestamp: '2026-01-01T00:00:00Z' };
const nowMs = Date.UTC(2026, 0, 1, 0, 5, 3);
const base64 = (text: string): string => Buffer.from(text).toString('base64');

test('a namespace is kept by its finalizer and named by a label', () => {
  const { hub, cells, resource } = written<Namespace>({
    apiVersion: 'v1',
    kind: 'Namespace',
    metadata: { name: 'team' },
    status: { phase: 'Terminating' },
  });
  assert.deepEqual(hub.spec, { finalizers: ['kubernetes'] });
  assert.deepEqual(hub.status, { phase: 'Active' });
  assert.deepEqual(hub.metadata.labels, { 'kubernetes.io/metadata.name': 'team' });
  assert.equal(cells(nowMs)['Status'], 'Active');
  assert.equal(resource.nameRule, 'label');
  const next = updated<Namespace>({ ...hub, spec: { finalizers: [] } }, hub);
  assert.deepEqual(next.hub.spec, hub.spec);
});

test('finalizers of a namespace must be fully qualified', () => {
  const finalized = (finalizer: string) =>
    written({
      apiVersion: 'v1',
      kind: 'Namespace',
      metadata: { name: 'team' },
      spec: { finalizers: [finalizer] },
    }).errors;
  assert.deepEqual(finalized('foo.com/bar'), []);
  assert.equal(finalized('foo').length, 1);
});

test('config maps: keys, size, and data that is fixed for ever', () => {
  const create = (fields: object) =>
    written<ConfigMap>({ apiVersion: 'v1', kind: 'ConfigMap', metadata, ...fields });
  assert.deepEqual(
    create({ data: { 'a.b': 'x', '.c': '' }, binaryData: { d: 'AAEC' } }).errors,
    [],
  );
  assert.equal(create({ data: { a: '1', b: '2' } }).cells(nowMs)['Data'], 2);
  assert.match(
    create({ data: { 'a/b': '' } }).errors[0] ?? '',
    /^data\[a\/b\]: Invalid value: "a\/b": a valid config key/,
  );
  assert.equal(create({ data: { '..': '' } }).errors.length, 1);
  assert.equal(create({ data: { a: '' }, binaryData: { a: '' } }).errors.length, 1);
  assert.equal(create({ data: { a: 'x'.repeat(1024 * 1024 + 1) } }).errors.length, 1);
  const { hub } = create({ data: { a: '1' }, immutable: true });
  assert.deepEqual(updated({ ...hub, data: { a: '2' } }, hub).errors, [
    'data: Forbidden: field is immutable when `immutable` is set',
  ]);
  assert.deepEqual(updated({ ...hub, immutable: false }, hub).errors, [
    'immutable: Forbidden: field is immutable when `immutable` is set',
  ]);
});

const createSecret = (fields: object) =>
  written<Secret>({ apiVersion: 'v1', kind: 'Secret', metadata, ...fields });

test('secrets: types, keys, size', () => {
  covers('CFG-005', 'CFG-007', 'CFG-028');
  const { resource, hub, cells } = createSecret({ data: { '.x': base64('1') } });
  assert.equal(resource.namespaced, true, 'and a pod names one without a namespace');
  assert.equal(hub.type, 'Opaque');
  assert.equal(cells(nowMs)['Type'], 'Opaque');
  assert.equal(cells(nowMs)['Data'], 1);
  assert.equal(createSecret({ data: { 'a/b': '' } }).errors.length, 1);
  const large = base64('x'.repeat(1024 * 1024 + 1));
  assert.deepEqual(createSecret({ data: { a: large } }).errors, [
    'data: Too long: may not be more than 1048576 bytes',
  ]);
  assert.deepEqual(createSecret({ type: 'kubernetes.io/tls', data: { 'tls.crt': '' } }).errors, [
    'data[tls.key]: Required value',
  ]);
});

test('the text of a secret is stored as data', () => {
  const { hub } = createSecret({ data: { a: base64('old'), b: 'Yg==' }, stringData: { a: 'new' } });
  assert.deepEqual(hub.data, { a: base64('new'), b: 'Yg==' });
  assert.ok(!('stringData' in hub));
});

test('credentials for registries must be JSON', () => {
  covers('CFG-004');
  const create = (text: string) =>
    createSecret({
      type: 'kubernetes.io/dockerconfigjson',
      data: { '.dockerconfigjson': base64(text) },
    }).errors;
  assert.deepEqual(create('{"auths": {}}'), []);
  assert.match(
    create('{')[0] ?? '',
    /^data\[\.dockerconfigjson\]: Invalid value: "<secret contents redacted>": /,
  );
});

test('the type of a secret stays', () => {
  const { hub } = createSecret({});
  assert.deepEqual(updated({ ...hub, type: 'example.com/x' }, hub).errors, [
    'type: Invalid value: "example.com/x": field is immutable',
  ]);
  const { type: _, ...untyped } = hub;
  assert.deepEqual(updated<Secret>(untyped, hub).errors, []);
});

const createNode = (fields: object, labels: object = {}, name = 'n1') =>
  written<Node>({ apiVersion: 'v1', kind: 'Node', metadata: { name, labels }, ...fields });

test('a node made by hand is unknown until a kubelet reports', () => {
  covers('API-057');
  const { hub, errors, cells, problems } = createNode(
    { spec: { externalID: 'x' } },
    { name: 'my-first-k8s-node' },
    '10.240.79.157',
  );
  assert.deepEqual(errors, []);
  assert.deepEqual(problems, []);
  assert.equal(hub.metadata.name, '10.240.79.157');
  assert.deepEqual(hub.metadata.labels, { name: 'my-first-k8s-node' });
  assert.equal(hub.spec?.externalID, 'x');
  assert.equal(cells(nowMs)['Status'], 'Unknown');
});

test('nodes in a list', () => {
  const { cells } = createNode(
    {
      spec: { unschedulable: true },
      status: {
        conditions: [{ type: 'Ready', status: 'True' }],
        addresses: [{ type: 'InternalIP', address: '10.0.0.1' }],
        nodeInfo: {
          kubeletVersion: 'v1.36.0',
          osImage: 'Debian',
          kernelVersion: '6.1',
          containerRuntimeVersion: 'containerd://1.6',
        },
      },
    },
    { 'node-role.kubernetes.io/control-plane': '', 'kubernetes.io/role': 'master' },
  );
  assert.deepEqual(Object.values(cells(nowMs)), [
    'n1',
    'Ready,SchedulingDisabled',
    'control-plane,master',
    '<unknown>',
    'v1.36.0',
    '10.0.0.1',
    '<none>',
    'Debian',
    '6.1',
    'containerd://1.6',
  ]);
});

test('taints are unique and have an effect', () => {
  const taint = { key: 'a', value: 'b', effect: 'NoSchedule' };
  assert.deepEqual(createNode({ spec: { taints: [taint] } }).errors, []);
  assert.match(
    createNode({ spec: { taints: [taint, taint] } }).errors[0] ?? '',
    /^metadata\.taints\[1\]: Duplicate value: .*: taints must be unique by key and effect pair$/,
  );
  assert.deepEqual(createNode({ spec: { taints: [{ ...taint, effect: 'Never' }] } }).errors, [
    'metadata.taints[0].effect: Unsupported value: "Never": supported values: "NoSchedule", "PreferNoSchedule", "NoExecute"',
  ]);
});

test('what a node has, pods may use, unless it says what they may', () => {
  const capacity = { cpu: '4', 'example.com/dongle': '2' };
  const { hub } = createNode({ status: { capacity } });
  assert.deepEqual(hub.status?.allocatable, capacity);
  const allocatable = { cpu: '3' };
  const said = createNode({ status: { capacity, allocatable } });
  assert.deepEqual(said.hub.status?.allocatable, allocatable);
});

test('the range of a node stays', () => {
  const { hub } = createNode({ spec: { podCIDR: '10.42.0.0/24', podCIDRs: ['10.42.0.0/24'] } });
  const next = { ...hub, spec: { podCIDR: '10.42.1.0/24', podCIDRs: ['10.42.1.0/24'] } };
  assert.deepEqual(updated(next, hub).errors, [
    'spec.podCIDRs: Forbidden: node updates may not change podCIDR except from "" to valid',
  ]);
});

const coreEvent = {
  apiVersion: 'v1',
  kind: 'Event',
  metadata,
  involvedObject: { kind: 'Pod', name: 'web', namespace: 'default', fieldPath: 'spec.x' },
  reason: 'Started',
  message: ' Started it ',
  source: { component: 'kubelet', host: 'n1' },
  firstTimestamp: '2026-01-01T00:00:00Z',
  lastTimestamp: '2026-01-01T00:05:00Z',
  count: 7,
  type: 'Normal',
};

test('events go for an hour and are read in two versions', () => {
  const { hub, errors, resource } = written<Event>(coreEvent);
  assert.deepEqual(errors, []);
  assert.equal(resource.ttlMs, 3_600_000);
  const view = shown(hub, 'events.k8s.io/v1') as NewEvent;
  assert.deepEqual(view.regarding, coreEvent.involvedObject);
  assert.equal(view.note, coreEvent.message);
  assert.equal(view.deprecatedCount, 7);
  const back = resource.views[1]?.toHub?.(view);
  assert.deepEqual(JSON.parse(JSON.stringify(back)), {
    ...coreEvent,
    eventTime: null,
    reportingComponent: '',
    reportingInstance: '',
  });
});

test('events in a list', () => {
  assert.deepEqual(Object.values(written<Event>(coreEvent).cells(nowMs)), [
    '3s',
    'Normal',
    'Started',
    'pod/web',
    'spec.x',
    'kubelet, n1',
    'Started it',
    '5m3s',
    7,
    'one',
  ]);
});

test('an event belongs to the namespace of what it is about', () => {
  const elsewhere = { ...coreEvent.involvedObject, namespace: 'other' };
  assert.deepEqual(written<Event>({ ...coreEvent, involvedObject: elsewhere }).errors, [
    'involvedObject.namespace: Invalid value: "other": does not match event.namespace',
  ]);
  const node = { kind: 'Node', name: 'n1' };
  assert.deepEqual(written<Event>({ ...coreEvent, involvedObject: node }).errors, []);
});

test('today’s recorders must say who reports what', () => {
  const event = {
    apiVersion: 'events.k8s.io/v1',
    kind: 'Event',
    metadata,
    eventTime: '2026-01-01T00:00:00.000000Z',
    regarding: { kind: 'Pod', name: 'web', namespace: 'default' },
    reportingController: 'example.com/x',
    reportingInstance: 'x-1',
    action: 'Start',
    reason: 'Started',
    type: 'Normal',
  };
  assert.deepEqual(written(event).errors, []);
  assert.deepEqual(written({ ...event, action: '' }).errors, ['action: Required value']);
  assert.equal(written({ ...event, note: 'x'.repeat(1025) }).errors.length, 1);
});

test('leases', () => {
  const lease = (spec: object) =>
    written({ apiVersion: 'coordination.k8s.io/v1', kind: 'Lease', metadata, spec });
  const held = lease({ holderIdentity: 'n1', leaseDurationSeconds: 40 });
  assert.deepEqual(held.errors, []);
  assert.equal(held.cells(nowMs)['Holder'], 'n1');
  assert.deepEqual(lease({ leaseDurationSeconds: 0 }).errors, [
    'spec.leaseDurationSeconds: Invalid value: 0: must be greater than 0',
  ]);
});

const createSlice = (fields: object) =>
  written<EndpointSlice>({
    apiVersion: 'discovery.k8s.io/v1',
    kind: 'EndpointSlice',
    metadata,
    addressType: 'IPv4',
    ...fields,
  });

test('endpoint slices', () => {
  const addresses = ['10.42.0.1', '10.42.0.2', '10.42.0.3', '10.42.0.4'];
  const { hub, errors, cells } = createSlice({
    endpoints: addresses.map((address) => ({ addresses: [address] })),
    ports: [{ port: 80 }],
  });
  assert.deepEqual(errors, []);
  assert.deepEqual(hub.ports, [{ port: 80, name: '', protocol: 'TCP' }]);
  assert.equal(cells(nowMs)['Endpoints'], '10.42.0.1,10.42.0.2,10.42.0.3 + 1 more...');
  assert.equal(cells(nowMs)['Ports'], '80');
  assert.equal(createSlice({}).cells(nowMs)['Endpoints'], '<unset>');
});

test('endpoint slices that are refused', () => {
  const endpoint = (fields: object) => createSlice({ endpoints: [fields] }).errors;
  assert.deepEqual(endpoint({ addresses: [] }), [
    'endpoints[0].addresses: Required value: must contain at least 1 address',
  ]);
  assert.deepEqual(endpoint({ addresses: ['::1'] }), [
    'endpoints[0].addresses: Invalid value: "::1": must be an IPv4 address',
  ]);
  assert.deepEqual(createSlice({ addressType: 'Carrier' }).errors, [
    'addressType: Unsupported value: "Carrier": supported values: "FQDN", "IPv4", "IPv6"',
  ]);
  const many = Array.from({ length: 1001 }, () => ({ addresses: ['10.0.0.1'] }));
  assert.deepEqual(createSlice({ endpoints: many }).errors, [
    'endpoints: Too many: 1001: must have at most 1000 items',
  ]);
  const { hub } = createSlice({});
  assert.deepEqual(updated({ ...hub, addressType: 'IPv6' }, hub).errors, [
    'addressType: Invalid value: "IPv6": field is immutable',
  ]);
});
