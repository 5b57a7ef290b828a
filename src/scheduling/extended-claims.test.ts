/** Extended resources that stand for devices: which class, and what the pod's claim asks for. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Container } from '#resources/types/core-v1.ts';
import type { DeviceClass } from '#resources/types/resource-v1.ts';
import { amountsOf } from './amounts.ts';
import { backedResources, planExtendedClaim } from './extended-claims.ts';
import { readerOf } from './facts.ts';

function deviceClass(name: string, extendedResourceName?: string, made = 0): DeviceClass {
  const creationTimestamp = new Date(Date.UTC(2026, 0, 1, 0, 0, made)).toISOString();
  return {
    apiVersion: 'resource.k8s.io/v1',
    kind: 'DeviceClass',
    metadata: { name, creationTimestamp },
    spec: { extendedResourceName },
  };
}

function container(name: string, requests: Readonly<Record<string, string>>): Container {
  return { name, resources: { requests } };
}

function classesFor(requests: Readonly<Record<string, string>>, ...classes: DeviceClass[]) {
  const backed = backedResources(amountsOf(requests), readerOf(...classes));
  return Object.fromEntries([...backed].map(([name, { metadata }]) => [name, metadata.name]));
}

test('a name stands for the class that claims it, and each class has a name of its own', () => {
  const gpu = deviceClass('gpu', 'example.com/gpu');
  const implicit = 'deviceclass.resource.kubernetes.io/gpu';
  assert.deepEqual(classesFor({ 'example.com/gpu': '1', cpu: '1' }, gpu), {
    'example.com/gpu': 'gpu',
  });
  assert.deepEqual(classesFor({ [implicit]: '2' }, gpu), { [implicit]: 'gpu' });
  assert.deepEqual(classesFor({ 'example.com/gpu': '0', 'example.com/nic': '1' }, gpu), {});
  // A native resource is none, whatever a class says.
  assert.deepEqual(classesFor({ 'hugepages-2Mi': '2Mi' }, deviceClass('x', 'hugepages-2Mi')), {});
});

test('of two classes of one name the newer counts, then the one that sorts first', () => {
  const requests = { 'example.com/gpu': '1' };
  const old = deviceClass('a', 'example.com/gpu', 0);
  const young = deviceClass('b', 'example.com/gpu', 5);
  const twin = deviceClass('c', 'example.com/gpu', 5);
  assert.deepEqual(classesFor(requests, old, young), { 'example.com/gpu': 'b' });
  assert.deepEqual(classesFor(requests, twin, young), { 'example.com/gpu': 'b' });
});

test('each container has a request of its own, numbered by its place', () => {
  const backed = backedResources(
    amountsOf({ 'example.com/gpu': '3', 'example.com/nic': '1' }),
    readerOf(deviceClass('gpu', 'example.com/gpu'), deviceClass('nic', 'example.com/nic')),
  );
  const containers = [
    container('a', { cpu: '1', 'example.com/gpu': '1' }),
    container('b', { 'example.com/gpu': '2', 'example.com/nic': '1', memory: '1Gi' }),
    container('c', { cpu: '1' }),
  ];
  const { requests, mappings } = planExtendedClaim({ containers }, backed);
  assert.deepEqual(requests, [
    {
      name: 'container-0-request-1',
      exactly: { deviceClassName: 'gpu', allocationMode: 'ExactCount', count: 1 },
    },
    {
      name: 'container-1-request-0',
      exactly: { deviceClassName: 'gpu', allocationMode: 'ExactCount', count: 2 },
    },
    {
      name: 'container-1-request-1',
      exactly: { deviceClassName: 'nic', allocationMode: 'ExactCount', count: 1 },
    },
  ]);
  assert.deepEqual(
    mappings.map((one) => `${one.containerName} ${one.resourceName} ${one.requestName}`),
    [
      'a example.com/gpu container-0-request-1',
      'b example.com/gpu container-1-request-0',
      'b example.com/nic container-1-request-1',
    ],
  );
});

test('init containers borrow from those after them, and share what more they need', () => {
  const gpus = (count: number) => ({ 'example.com/gpu': String(count) });
  const backed = backedResources(
    amountsOf(gpus(5)),
    readerOf(deviceClass('gpu', 'example.com/gpu')),
  );
  const plan = (initContainers: readonly Container[], containers: readonly Container[]) => {
    const { requests, mappings } = planExtendedClaim({ initContainers, containers }, backed);
    return [
      requests.map(({ name, exactly }) => `${name} ${exactly?.count}`),
      mappings.map((one) => `${one.containerName} ${one.requestName}`),
    ];
  };
  assert.deepEqual(plan([container('i', gpus(1))], [container('c', gpus(2))]), [
    ['container-1-request-0 2'],
    ['c container-1-request-0', 'i container-1-request-0'],
  ]);
  assert.deepEqual(
    plan([container('i', gpus(3)), container('j', gpus(5))], [container('c', gpus(2))]),
    [
      ['container-1-request-0 3', 'container-2-request-0 2'],
      [
        'c container-2-request-0',
        'i container-2-request-0',
        'i container-1-request-0',
        'j container-2-request-0',
        'j container-1-request-0',
      ],
    ],
  );
  // A sidecar keeps what it has: only what started before it may borrow from it.
  const sidecar = { ...container('s', gpus(1)), restartPolicy: 'Always' };
  assert.deepEqual(plan([sidecar, container('i', gpus(1))], [container('c', {})]), [
    ['container-0-request-0 1', 'container-1-request-0 1'],
    ['s container-0-request-0', 'i container-1-request-0'],
  ]);
});
