/** What pods, Services and claims count for, by example. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { KubeObject } from '#api/object.ts';
import type { Pod, ResourceQuota } from '../types/core-v1.ts';
import type { ResourceClaim } from '../types/resource-v1.ts';
import { exceededNames, formatAmounts, subtractAmountsToZero } from './amounts.ts';
import {
  constraintProblem,
  counts,
  type DeviceFacts,
  matchesQuota,
  resourcesOfKind,
  totalUsage,
  usageOf,
} from './quota.ts';

const pods = { group: '', plural: 'pods' };
const claims = { group: '', plural: 'persistentvolumeclaims' };
const services = { group: '', plural: 'services' };
const nowMs = Date.parse('2026-01-01T00:00:00Z');

function object(fields: object): KubeObject {
  return { kind: 'X', apiVersion: 'v1', metadata: { name: 'x' }, ...fields } as KubeObject;
}

function pod(spec: object, status: object = {}, metadata: object = {}): KubeObject {
  const main = { name: 'main', image: 'x' };
  return object({
    metadata: { name: 'p', ...metadata },
    spec: { containers: [main], ...spec },
    status,
  });
}

function container(name: string, requests: object, limits: object = {}, more: object = {}): object {
  return { name, image: 'x', resources: { requests, limits }, ...more };
}

function quota(spec: object): ResourceQuota {
  const hard = { pods: '5' };
  return object({ spec: { hard, ...spec }, status: { hard } }) as ResourceQuota;
}

test('a pod counts its containers, or its largest init container, with sidecars and overhead', () => {
  const spec = {
    containers: [container('a', { cpu: '100m', memory: '1Gi' }, { cpu: '1' })],
    initContainers: [
      container('side', { cpu: '50m' }, {}, { restartPolicy: 'Always' }),
      container('init', { cpu: '300m', 'example.com/gpu': '1' }),
    ],
    overhead: { cpu: '10m', memory: '1Mi' },
  };
  assert.deepEqual(usageOf(pods, pod(spec), nowMs), {
    'count/pods': '1',
    pods: '1',
    cpu: '360m',
    'requests.cpu': '360m',
    'limits.cpu': '1010m',
    memory: '1025Mi',
    'requests.memory': '1025Mi',
    'requests.example.com/gpu': '1',
  });
});

test('what a node has given counts where it is more than what is asked for now', () => {
  const containers = [container('a', { cpu: '100m' })];
  const containerStatuses = [
    { name: 'a', allocatedResources: { cpu: '200m' }, resources: { requests: { cpu: '150m' } } },
  ];
  const usage = usageOf(pods, pod({ containers }, { containerStatuses }), nowMs);
  assert.equal(usage['requests.cpu'], '200m');
});

test('a pod that has ended, or whose grace is over, is only an object', () => {
  const only = { 'count/pods': '1' };
  assert.deepEqual(usageOf(pods, pod({}, { phase: 'Succeeded' }), nowMs), only);
  const metadata = { deletionTimestamp: '2025-12-31T23:59:00Z', deletionGracePeriodSeconds: 30 };
  assert.deepEqual(usageOf(pods, pod({}, {}, metadata), nowMs), only);
  const later = { ...metadata, deletionGracePeriodSeconds: 60 };
  assert.equal(usageOf(pods, pod({}, {}, later), nowMs)['pods'], '1');
});

test('a bound on cpu makes every container say how much it needs', () => {
  const spec = {
    containers: [container('b', { cpu: '1' }), container('a', {})],
    initContainers: [container('init', {}, { cpu: '1' })],
  };
  const names = ['pods', 'requests.cpu', 'limits.cpu', 'requests.ephemeral-storage'];
  assert.equal(
    constraintProblem(pods, names, pod(spec)),
    'must specify limits.cpu for: a,b; requests.cpu for: a,init',
  );
  const whole = { ...spec, resources: { requests: { cpu: '2' } } };
  assert.equal(constraintProblem(pods, names, pod(whole)), undefined);
});

test('scopes choose pods by deadline, quality, priority and affinity', () => {
  const plain = pod({});
  const bounded = pod({ activeDeadlineSeconds: 5 });
  const matches = (spec: object, one: KubeObject): boolean => matchesQuota(pods, quota(spec), one);
  assert.deepEqual(
    ['Terminating', 'NotTerminating', 'BestEffort', 'NotBestEffort'].map((scope) => [
      matches({ scopes: [scope] }, plain),
      matches({ scopes: [scope] }, bounded),
    ]),
    [
      [false, true],
      [true, false],
      [true, true],
      [false, false],
    ],
  );
  const byClass = (operator: string, values?: string[]): object => ({
    scopeSelector: { matchExpressions: [{ scopeName: 'PriorityClass', operator, values }] },
  });
  const high = pod({ priorityClassName: 'high' });
  assert.equal(matches(byClass('In', ['high']), high), true);
  assert.equal(matches(byClass('In', ['high']), plain), false);
  assert.equal(matches(byClass('NotIn', ['high']), plain), true);
  assert.equal(matches(byClass('DoesNotExist'), high), false);
  assert.equal(matches({ scopes: ['PriorityClass'] }, plain), false);
  const term = { topologyKey: 'zone', namespaceSelector: {} };
  const podAffinity = { requiredDuringSchedulingIgnoredDuringExecution: [term] };
  const reaching = pod({ affinity: { podAffinity } });
  assert.equal(matches({ scopes: ['CrossNamespacePodAffinity'] }, reaching), true);
  assert.equal(matches({ scopes: ['CrossNamespacePodAffinity'] }, plain), false);
  assert.equal(matchesQuota(services, quota({ scopes: ['BestEffort'] }), plain), false);
});

test('Services count node ports by intent', () => {
  const ports = [{ port: 1 }, { port: 2, nodePort: 30_000 }];
  const usage = (spec: object): string =>
    formatAmounts(usageOf(services, object({ spec: { ports, ...spec } }), nowMs));
  const text = (balancers: number, nodePorts: number): string =>
    `count/services=1,services=1,services.loadbalancers=${balancers},services.nodeports=${nodePorts}`;
  assert.equal(usage({ type: 'ClusterIP' }), text(0, 0));
  assert.equal(usage({ type: 'NodePort' }), text(0, 2));
  assert.equal(usage({ type: 'LoadBalancer' }), text(1, 2));
  assert.equal(usage({ type: 'LoadBalancer', allocateLoadBalancerNodePorts: false }), text(1, 1));
});

test('claims count storage in whole bytes, also by class', () => {
  const spec = { storageClassName: 'gold', resources: { requests: { storage: '1500m' } } };
  assert.deepEqual(usageOf(claims, object({ spec }), nowMs), {
    'count/persistentvolumeclaims': '1',
    persistentvolumeclaims: '1',
    'requests.storage': '2',
    'gold.storageclass.storage.k8s.io/persistentvolumeclaims': '1',
    'gold.storageclass.storage.k8s.io/requests.storage': '2',
  });
  const status = { allocatedResources: { storage: '3Gi' } };
  assert.equal(usageOf(claims, object({ spec, status }), nowMs)['requests.storage'], '3Gi');
});

test('claims of devices count the worst case of each class', () => {
  const kind = { group: 'resource.k8s.io', plural: 'resourceclaims' };
  const requests = [
    { name: 'a', exactly: { deviceClassName: 'gpu', allocationMode: 'ExactCount', count: 2 } },
    {
      name: 'b',
      firstAvailable: [
        { name: 'x', deviceClassName: 'gpu', allocationMode: 'ExactCount', count: 1 },
        { name: 'y', deviceClassName: 'gpu', allocationMode: 'All' },
      ],
    },
  ];
  assert.deepEqual(usageOf(kind, object({ spec: { devices: { requests } } }), nowMs), {
    'count/resourceclaims.resource.k8s.io': '1',
    'gpu.deviceclass.resource.k8s.io/devices': '34',
  });
});

test('devices count under the resources that stand for their class, beyond what the pod paid', () => {
  const extended = 'resource.kubernetes.io/extended-resource-claim';
  const deviceClass = (name: string, extendedResourceName?: string) => ({
    apiVersion: 'resource.k8s.io/v1',
    kind: 'DeviceClass',
    metadata: { name },
    spec: { extendedResourceName },
  });
  const requests = [{ name: 'a', exactly: { deviceClassName: 'gpu', count: 3 } }];
  const owner = { apiVersion: 'v1', kind: 'Pod', name: 'p', uid: 'u', controller: true };
  const metadata = { name: 'c', uid: 'c', annotations: { [extended]: 'true' } };
  const made = { ...metadata, ownerReferences: [owner] };
  const resources = { requests: { 'example.com/gpu': '2' } };
  const gpus = { containers: [{ name: 'c', resources }] };
  const usage = (of: object, status: object = {}, siblings: readonly object[] = []) => {
    const devices: DeviceFacts = {
      classes: [deviceClass('gpu', 'example.com/gpu'), deviceClass('nic')],
      podOf: () => pod(gpus, status, { uid: 'u' }) as Pod,
      siblingsOf: () => siblings as readonly ResourceClaim[],
    };
    const kind = { group: 'resource.k8s.io', plural: 'resourceclaims', devices };
    const one = object({ metadata: of, spec: { devices: { requests } } });
    const counted = usageOf(kind, one, nowMs);
    const implicit = 'requests.deviceclass.resource.kubernetes.io/gpu';
    assert.equal(counted[implicit], '3');
    assert.equal(counted['gpu.deviceclass.resource.k8s.io/devices'], '3');
    const names = ['requests.example.com/gpu', 'requests.example.com/fpga', implicit, 'pods'];
    assert.deepEqual(resourcesOfKind(kind, names), ['requests.example.com/gpu', implicit]);
    return counted['requests.example.com/gpu'];
  };
  assert.equal(usage({ name: 'c' }), '3', 'a claim of a user counts in full');
  assert.equal(usage(made), '1', 'the pod has been charged for two');
  assert.equal(usage({ ...made, ownerReferences: [{ ...owner, uid: 'v' }] }), '3');
  const says = (resourceClaimName: string) => ({
    extendedResourceClaimStatus: { resourceClaimName, requestMappings: [] },
  });
  assert.equal(usage(made, says('c')), '1');
  assert.equal(usage(made, says('another')), '3');
  const creationTimestamp = '2026-01-01T00:00:00Z';
  const first = { metadata: { ...made, name: 'b', uid: 'b', creationTimestamp } };
  assert.equal(usage({ ...made, creationTimestamp }, {}, [first]), '3', 'one was there before');
  assert.equal(usage({ ...made, name: 'a', creationTimestamp }, {}, [first]), '1');
});

test('every other kind counts itself; four of the core have an older name too', () => {
  const deployments = { group: 'apps', plural: 'deployments' };
  const secrets = { group: '', plural: 'secrets' };
  assert.deepEqual(usageOf(deployments, object({}), nowMs), { 'count/deployments.apps': '1' });
  assert.deepEqual(usageOf(secrets, object({}), nowMs), { 'count/secrets': '1', secrets: '1' });
  const names = [
    'secrets',
    'count/secrets',
    'pods',
    'requests.example.com/gpu',
    'requests.storage',
  ];
  assert.deepEqual(resourcesOfKind(secrets, names), ['secrets', 'count/secrets']);
  assert.deepEqual(resourcesOfKind(pods, names), ['pods', 'requests.example.com/gpu']);
  assert.deepEqual(resourcesOfKind(claims, names), ['requests.storage']);
});

test('only writes that change what is used are looked at', () => {
  const [next, old] = [pod({ activeDeadlineSeconds: 1 }), pod({})];
  assert.equal(counts({ kind: pods, subresource: '', next, old: undefined }), true);
  assert.equal(counts({ kind: pods, subresource: '', next, old: next }), false);
  assert.equal(counts({ kind: pods, subresource: '', next, old }), true);
  assert.equal(counts({ kind: pods, subresource: 'resize', next, old: next }), true);
  assert.equal(counts({ kind: pods, subresource: 'status', next, old }), false);
  assert.equal(counts({ kind: services, subresource: '', next, old }), true);
  const secrets = { group: '', plural: 'secrets' };
  assert.equal(counts({ kind: secrets, subresource: '', next, old }), false);
});

test('the total of a namespace has every name that some kind has a part in', () => {
  const hard = { pods: '5', 'requests.cpu': '1', secrets: '2', 'count/deployments.apps': '1' };
  const one = object({ spec: { hard } }) as ResourceQuota;
  const containers = [container('a', { cpu: '250m' })];
  const used = totalUsage(
    one,
    [
      { kind: pods, objects: [pod({ containers }), pod({ containers })] },
      { kind: { group: '', plural: 'secrets' }, objects: [] },
    ],
    nowMs,
  );
  assert.deepEqual(used, { pods: '2', 'requests.cpu': '500m', secrets: '0' });
});

test('differences stop at nothing; what exceeds is named in order', () => {
  const rest = subtractAmountsToZero({ cpu: '1', pods: '1' }, { cpu: '1500m', services: '1' });
  assert.deepEqual(rest, { cpu: '0', pods: '1', services: '0' });
  const bounds = { pods: '1', cpu: '1', memory: '1' };
  assert.deepEqual(exceededNames({ pods: '2', cpu: '1001m' }, bounds), ['cpu', 'pods']);
});
