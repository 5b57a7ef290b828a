/** Environment variables from every source. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Container, Pod, Service } from '#resources/types/core-v1.ts';
import { covers } from '#test/covers.ts';
import { podFieldValue, resourceFieldValue } from './downward-api.ts';
import { ConfigError, type EnvSources, expandVariables, makeEnvironment } from './env.ts';

const pod: Pod = {
  apiVersion: 'v1',
  kind: 'Pod',
  metadata: {
    name: 'p',
    namespace: 'default',
    uid: 'u1',
    labels: { zone: 'us-est', app: 'a"b' },
    annotations: { build: 'two' },
  },
  spec: { containers: [], nodeName: 'n1', serviceAccountName: 'sa' },
};

function service(namespace: string, name: string, clusterIP: string): Service {
  const ports = [
    { name: 'http', port: 80, protocol: 'TCP' },
    { name: 'dns-udp', port: 53, protocol: 'UDP' },
  ];
  return {
    apiVersion: 'v1',
    kind: 'Service',
    metadata: { namespace, name },
    spec: { clusterIP, ports },
  };
}

const sources: EnvSources = {
  configMap: async (name) =>
    name === 'settings'
      ? { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name }, data: { colour: 'green' } }
      : undefined,
  secret: async (name) =>
    name === 'key'
      ? { apiVersion: 'v1', kind: 'Secret', metadata: { name }, data: { word: 'cGFzcw==' } }
      : undefined,
  services: [],
  podIPs: ['10.0.0.7'],
  hostIPs: ['192.0.2.1'],
  allocatable: { cpu: '4', memory: '8Gi' },
  file: async ({ key }) => (key === 'word' ? 'written' : undefined),
};

function make(container: Partial<Container>, more: Partial<EnvSources> = {}) {
  return makeEnvironment(pod, { name: 'c', ...container }, { ...sources, ...more });
}

test('variables see those before them, and only those', async () => {
  const env = await make({
    env: [
      { name: 'A', value: 'x' },
      { name: 'B', value: '$(A)-$$(A)-$(NOPE)' },
      { name: 'C', value: '$(B)/$(D)' },
      { name: 'D', value: 'late' },
    ],
  });
  assert.deepEqual(
    [...env],
    [
      ['A', 'x'],
      ['B', 'x-$(A)-$(NOPE)'],
      ['C', 'x-$(A)-$(NOPE)/$(D)'],
      ['D', 'late'],
    ],
  );
  assert.equal(expandVariables('100$ $(', new Map()), '100$ $(');
});

test('keys of ConfigMaps and Secrets, whole or one by one', async () => {
  const env = await make({
    envFrom: [{ configMapRef: { name: 'settings' }, prefix: 'P_' }, { secretRef: { name: 'key' } }],
    env: [
      { name: 'ONE', valueFrom: { configMapKeyRef: { name: 'settings', key: 'colour' } } },
      { name: 'TWO', valueFrom: { secretKeyRef: { name: 'key', key: 'word' } } },
      { name: 'NO', valueFrom: { secretKeyRef: { name: 'none', key: 'k', optional: true } } },
    ],
  });
  assert.deepEqual(Object.fromEntries(env), {
    P_colour: 'green',
    word: 'pass',
    ONE: 'green',
    TWO: 'pass',
  });
});

test('variables out of files, and the end that a pod has as a whole', async () => {
  const fromFile = (key: string) => ({ fileKeyRef: { volumeName: 'v', path: 'p', key } });
  const amount = (resource: string) => ({ resourceFieldRef: { resource } });
  const env = [
    { name: 'FILE', valueFrom: fromFile('word') },
    { name: 'NO', valueFrom: fromFile('none') },
    { name: 'SEEN', value: '$(FILE)' },
    { name: 'CPU', valueFrom: amount('limits.cpu') },
    { name: 'MEMORY', valueFrom: amount('limits.memory') },
    { name: 'PAGES', valueFrom: amount('limits.hugepages-2Mi') },
  ];
  const limits = { cpu: '2', 'hugepages-2Mi': '4Mi' };
  const whole = { ...pod, spec: { containers: [], resources: { limits } } };
  const own = { name: 'c', env, resources: { limits: { memory: '0' } } };
  assert.deepEqual(Object.fromEntries(await makeEnvironment(whole, own, sources)), {
    ...{ FILE: 'written', SEEN: 'written', CPU: '2', MEMORY: String(8 * 2 ** 30), PAGES: '0' },
  });
});

test('what is missing is named as upstream names it', async () => {
  const failure = (container: Partial<Container>) =>
    make(container).then(
      () => assert.fail('it should not succeed'),
      (error: unknown) => (error instanceof ConfigError ? error.message : String(error)),
    );
  assert.equal(
    await failure({ envFrom: [{ configMapRef: { name: 'nope' } }] }),
    'configmap "nope" not found',
  );
  assert.equal(
    await failure({ envFrom: [{ secretRef: { name: 'nope' } }] }),
    'secret "nope" not found',
  );
  const valueFrom = { configMapKeyRef: { name: 'settings', key: 'size' } };
  assert.equal(
    await failure({ env: [{ name: 'X', valueFrom }] }),
    "couldn't find key size in ConfigMap default/settings",
  );
});

test('Services of the namespace, and the API, are variables', async () => {
  const services = [
    service('default', 'my-db', '10.43.0.5'),
    service('default', 'headless', 'None'),
    service('other', 'far', '10.43.0.6'),
    service('default', 'kubernetes', '10.43.0.1'),
  ];
  const env = await make({}, { services });
  assert.equal(env.get('MY_DB_SERVICE_HOST'), '10.43.0.5');
  assert.equal(env.get('MY_DB_SERVICE_PORT'), '80');
  assert.equal(env.get('MY_DB_SERVICE_PORT_DNS_UDP'), '53');
  assert.equal(env.get('MY_DB_PORT'), 'tcp://10.43.0.5:80');
  assert.equal(env.get('MY_DB_PORT_53_UDP_ADDR'), '10.43.0.5');
  assert.equal(env.get('KUBERNETES_SERVICE_HOST'), '10.43.0.1');
  assert.equal(env.has('FAR_SERVICE_HOST'), false);
  assert.equal(env.has('HEADLESS_SERVICE_HOST'), false);
  const silent = { ...pod, spec: { ...pod.spec, containers: [], enableServiceLinks: false } };
  const quiet = await makeEnvironment(silent, { name: 'c' }, { ...sources, services });
  assert.deepEqual([...new Set([...quiet.keys()].map((key) => key.split('_')[0]))], ['KUBERNETES']);
});

test('a pod can be told about itself', () => {
  covers('POD-184');
  const value = (path: string) =>
    podFieldValue(pod, path, { podIPs: ['10.0.0.7'], hostIPs: ['192.0.2.1'] });
  assert.deepEqual(
    ['metadata.name', 'metadata.namespace', 'metadata.uid', 'spec.nodeName'].map(value),
    ['p', 'default', 'u1', 'n1'],
  );
  assert.deepEqual(
    ['spec.serviceAccountName', 'status.podIP', 'status.hostIP', "metadata.labels['zone']"].map(
      value,
    ),
    ['sa', '10.0.0.7', '192.0.2.1', 'us-est'],
  );
  assert.equal(value('metadata.labels'), 'app="a\\"b"\nzone="us-est"');
});

test('resources are rounded up to the divisor, and default to what the node has', () => {
  covers('POD-189');
  const container: Container = {
    name: 'c',
    resources: {
      requests: { cpu: '125m', memory: '32Mi' },
      limits: { cpu: '250m', memory: '64Mi' },
    },
  };
  const value = (resource: string, divisor?: string, of: Container = container) =>
    resourceFieldValue(
      pod,
      of,
      { resource, ...(divisor === undefined ? {} : { divisor }) },
      sources.allocatable,
    );
  assert.equal(value('requests.cpu'), '1');
  assert.equal(value('limits.cpu', '1m'), '250');
  assert.equal(value('requests.memory'), '33554432');
  assert.equal(value('limits.memory', '1Mi'), '64');
  assert.equal(value('limits.cpu', '1', { name: 'bare' }), '4');
  assert.equal(value('limits.memory', '1Gi', { name: 'bare' }), '8');
});
