/** Slices from pods: conditions, ports, and how few writes a change takes. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Node, Pod, Service } from '#resources/types/core-v1.ts';
import type { EndpointSlice } from '#resources/types/discovery-v1.ts';
import { type Action, planSlices } from './plan.ts';

function service(spec: object = {}): Service {
  return {
    apiVersion: 'v1',
    kind: 'Service',
    metadata: { namespace: 'default', name: 'web', uid: 's1', labels: { tier: 'front' } },
    spec: { selector: { app: 'web' }, ports: [{ port: 80, targetPort: 8080 }], ...spec },
  };
}

function pod(index: number, more: { readonly ready?: boolean; readonly spec?: object } = {}): Pod {
  const status = more.ready === false ? 'False' : 'True';
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { namespace: 'default', name: `web-${index}`, uid: `u${index}` },
    spec: { containers: [], nodeName: 'n1', ...more.spec },
    status: {
      phase: 'Running',
      podIP: `10.42.${index >> 8}.${index & 255}`,
      conditions: [{ type: 'Ready', status }],
    },
  };
}

const pods = (from: number, to: number): Pod[] =>
  Array.from({ length: to - from }, (_, index) => pod(from + index));

const nodeOf = (name: string): Node | undefined =>
  name === 'gone' || name === ''
    ? undefined
    : {
        apiVersion: 'v1',
        kind: 'Node',
        metadata: { name, labels: { 'topology.kubernetes.io/zone': `zone-of-${name}` } },
      };

const plan = (
  list: readonly Pod[],
  slices: readonly EndpointSlice[] = [],
  of = service(),
): readonly Action[] =>
  planSlices({ service: of, pods: list, slices, nodeOf, nodes: () => [] }).actions;

/** What is stored after the plan was performed. */
function perform(actions: readonly Action[], slices: readonly EndpointSlice[]): EndpointSlice[] {
  const stored = new Map(slices.map((slice) => [slice.metadata.name ?? '', slice]));
  let next = slices.length;
  for (const action of actions) {
    const name = action.slice.metadata.name ?? `web-slice-${next++}`;
    if (action.do === 'delete') stored.delete(name);
    else stored.set(name, { ...action.slice, metadata: { ...action.slice.metadata, name } });
  }
  return [...stored.values()];
}

const counts = (slices: readonly EndpointSlice[]): readonly number[] =>
  slices.map(({ endpoints }) => endpoints?.length ?? 0);

test('a service without pods has one empty slice, which its first pods fill', () => {
  const empty = perform(plan([]), []);
  assert.deepEqual(counts(empty), [0]);
  assert.equal(empty[0]?.metadata.labels?.['kubernetes.io/service-name'], 'web');
  assert.equal(empty[0]?.metadata.labels?.['tier'], 'front');
  assert.equal(
    empty[0]?.metadata.labels?.['endpointslice.kubernetes.io/managed-by'],
    'endpointslice-controller.k8s.io',
  );
  const actions = plan(pods(0, 3), empty);
  assert.deepEqual(
    actions.map((action) => action.do),
    ['update'],
  );
  const filled = perform(actions, empty);
  assert.deepEqual(counts(filled), [3]);
  assert.deepEqual(filled[0]?.ports, [{ name: '', port: 8080, protocol: 'TCP' }]);
  assert.deepEqual(plan(pods(0, 3), filled), [], 'and then nothing is left to do');
});

test('up to a hundred endpoints per slice; one change writes one slice', () => {
  const many = pods(0, 250);
  const stored = perform(plan(many), []);
  assert.deepEqual(counts(stored), [100, 100, 50]);
  assert.deepEqual(plan(many, stored), []);
  const changed = many.map((one, index) => (index === 7 ? pod(7, { ready: false }) : one));
  assert.equal(plan(changed, stored).length, 1);
  // One goes from a full slice and one comes: it takes the free place.
  const swapped = [...many.slice(1), pod(999)];
  const actions = plan(swapped, stored);
  assert.equal(actions.length, 1);
  assert.deepEqual(counts(perform(actions, stored)), [100, 100, 50]);
});

test('the worked example: what goes leaves room in the slice that changes anyway', () => {
  const before = perform(plan(pods(0, 140)), []);
  assert.deepEqual(counts(before), [100, 40]);
  const after = perform(plan([...pods(30, 140), ...pods(200, 260)], before), before);
  assert.deepEqual(counts(after), [100, 70]);
});

test('slices that become empty are deleted, but for the last', () => {
  const before = perform(plan(pods(0, 150)), []);
  const one = perform(plan(pods(0, 10), before), before);
  assert.deepEqual(counts(one), [10]);
  assert.deepEqual(counts(perform(plan([], before), before)), [0]);
});

test('conditions of endpoints', () => {
  const ended = { ...pod(3), status: { phase: 'Succeeded', podIP: '10.0.0.3' } };
  const ending = pod(2);
  const terminating = {
    ...ending,
    metadata: { ...ending.metadata, deletionTimestamp: '2026-01-01T00:00:00Z' },
  };
  const list = [pod(0), pod(1, { ready: false }), terminating, ended];
  const conditions = (of: Service) =>
    perform(plan(list, [], of), [])[0]?.endpoints?.map((endpoint) => endpoint.conditions);
  assert.deepEqual(conditions(service()), [
    { ready: true, serving: true, terminating: false },
    { ready: false, serving: false, terminating: false },
    { ready: false, serving: true, terminating: true },
  ]);
  const all = conditions(service({ publishNotReadyAddresses: true }));
  assert.deepEqual(
    all?.map((condition) => condition?.ready),
    [true, true, true],
  );
});

test('a named port is looked up in each pod; a text is always a name', () => {
  const named = (index: number, containerPort: number): Pod =>
    pod(index, {
      spec: { containers: [{ name: 'web', ports: [{ name: 'http', containerPort }] }] },
    });
  const of = service({ ports: [{ name: 'web', port: 80, targetPort: 'http' }] });
  const slices = perform(
    plan([named(0, 8080), named(1, 9090), named(2, 8080), pod(3)], [], of),
    [],
  );
  assert.deepEqual(
    slices.map(({ ports, endpoints }) => [ports?.map(({ port }) => port), endpoints?.length]),
    [
      [[8080], 2],
      [[9090], 1],
      [[], 1],
    ],
  );
  const text = service({ ports: [{ port: 80, targetPort: '8080' }] });
  assert.deepEqual(perform(plan([named(0, 8080)], [], text), [])[0]?.ports, []);
});

test('a headless service says so, and hostnames under its subdomain are told', () => {
  const of = service({ clusterIP: 'None' });
  const spec = { hostname: 'db-0', subdomain: 'web' };
  const [slice] = perform(plan([pod(0, { spec }), pod(1)], [], of), []);
  assert.equal(slice?.metadata.labels?.['service.kubernetes.io/headless'], '');
  assert.deepEqual(
    slice?.endpoints?.map(({ hostname }) => hostname),
    ['db-0', undefined],
  );
});

test('addresses of each family have slices of their own; ExternalName has none', () => {
  const podIPs = [{ ip: '10.42.0.9' }, { ip: 'fd00::9' }];
  const dual = { ...pod(9), status: { ...pod(9).status, podIPs } };
  const of = service({ ipFamilies: ['IPv4', 'IPv6'] });
  const slices = perform(plan([dual], [], of), []);
  assert.deepEqual(
    slices.map(({ addressType, endpoints }) => [addressType, endpoints?.[0]?.addresses[0]]),
    [
      ['IPv4', '10.42.0.9'],
      ['IPv6', 'fd00::9'],
    ],
  );
  const gone = plan([dual], slices, service({ type: 'ExternalName' }));
  assert.deepEqual(
    gone.map((action) => action.do),
    ['delete', 'delete'],
  );
});
