/** The Node object of this machine. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { covers, superseded } from '#test/covers.ts';
import { defaultSettings } from '../settings.ts';
import {
  inPlaceOf,
  isSameStatus,
  type MachineFacts,
  newNode,
  nodeAllocatable,
  nodeStatus,
} from './node-status.ts';

const machine: MachineFacts = {
  cpus: 2,
  memoryBytes: 4 * 1024 ** 3,
  storageBytes: 100 * 1024 ** 2,
  hugepages: new Map([['hugepages-1Gi', 0]]),
  kernelVersion: '6.1.0',
  osImage: 'Debian',
  architecture: 'amd64',
  machineID: 'm',
  systemUUID: 's',
  bootID: 'b',
};
const options = {
  nodeName: 'n1',
  nodeIPs: ['192.0.2.1'],
  port: 10250,
  maxPods: 110,
  labels: { tier: 'test' },
  settings: defaultSettings,
};
const runtime = { name: 'containerd', version: '1.6.20', problem: '' };
const first = nodeStatus(
  { machine, runtime, images: [], pressures: [], old: undefined },
  options,
  0,
);

test('a node says what it is and has', () => {
  covers('POD-282');
  for (const row of ['POD-050', 'POD-221']) {
    superseded(row, { by: 'v1.33', now: 'the same of containerd; kubeProxyVersion is empty' });
  }
  const node = newNode(options, first);
  assert.equal(node.metadata.labels?.['kubernetes.io/hostname'], 'n1');
  assert.equal(node.metadata.labels?.['kubernetes.io/arch'], 'amd64');
  assert.equal(node.metadata.labels?.['tier'], 'test');
  assert.deepEqual(first.capacity, {
    cpu: '2',
    'ephemeral-storage': '102400Ki',
    'hugepages-1Gi': '0',
    memory: '4194304Ki',
    pods: '110',
  });
  const { kubeletVersion, ...nodeInfo } = first.nodeInfo ?? {};
  assert.match(kubeletVersion ?? '', /^v1\.36\./);
  assert.deepEqual(nodeInfo, {
    ...{ machineID: 'm', systemUUID: 's', bootID: 'b' },
    ...{ kernelVersion: '6.1.0', osImage: 'Debian', operatingSystem: 'linux' },
    ...{ architecture: 'amd64', containerRuntimeVersion: 'containerd://1.6.20' },
    kubeProxyVersion: '',
  });
  assert.deepEqual(first.addresses?.[0], { type: 'InternalIP', address: '192.0.2.1' });
  assert.equal(first.daemonEndpoints?.kubeletEndpoint?.Port, 10250);
});

test('it is ready when the runtime is, and shows the pressures that hold', () => {
  const conditions = (pressures: readonly string[], problem = '') => {
    const facts = { machine, runtime: { ...runtime, problem }, images: [], old: undefined };
    const status = nodeStatus({ ...facts, pressures }, options, 0);
    const entries = (status.conditions ?? []).map((each) => [each.type, each.status]);
    return Object.fromEntries(entries);
  };
  const healthy = { MemoryPressure: 'False', DiskPressure: 'False', PIDPressure: 'False' };
  assert.deepEqual(conditions([]), { ...healthy, Ready: 'True' });
  assert.equal(conditions([], 'no network')['Ready'], 'False');
  for (const type of ['MemoryPressure', 'DiskPressure', 'PIDPressure']) {
    assert.deepEqual(conditions([type]), { ...healthy, Ready: 'True', [type]: 'True' });
  }
});

test('pods are given what is left after reservations and eviction thresholds', () => {
  covers('POD-264');
  // The example of the documents: 32 Gi, 16 CPUs and 100 Gi of disk.
  const capacity = { cpu: '16', memory: '32Gi', 'ephemeral-storage': '100Gi', pods: '110' };
  const allocatable = nodeAllocatable(capacity, {
    ...defaultSettings,
    kubeReserved: { cpu: '1', memory: '2Gi', 'ephemeral-storage': '1Gi' },
    systemReserved: { cpu: '500m', memory: '1Gi', 'ephemeral-storage': '1Gi' },
    evictionHard: { 'memory.available': '500Mi', 'nodefs.available': '10%' },
  });
  assert.deepEqual(allocatable, {
    cpu: '14500m',
    memory: '29196Mi',
    'ephemeral-storage': '88Gi',
    pods: '110',
  });
  // Where nothing is reserved, pods have all but what they are evicted for.
  const { memory, cpu } = nodeAllocatable(capacity, {
    ...defaultSettings,
    evictionHard: { 'memory.available': '500Mi' },
  });
  assert.deepEqual([memory, cpu], [`${32 * 1024 - 500}Mi`, '16']);
  covers('POD-289');
  const all = { ...defaultSettings, systemReserved: { cpu: '20' } };
  assert.equal(nodeAllocatable(capacity, all)['cpu'], '0');
});

test('heartbeat times alone are no change; a transition keeps its time', () => {
  const later = nodeStatus(
    { machine, runtime, images: [], pressures: [], old: first },
    options,
    60_000,
  );
  assert.equal(isSameStatus(first, later), true);
  const [condition] = later.conditions ?? [];
  assert.equal(condition?.lastHeartbeatTime, '1970-01-01T00:01:00Z');
  assert.equal(condition?.lastTransitionTime, '1970-01-01T00:00:00Z');
  const down = { ...runtime, problem: 'down' };
  const lost = nodeStatus(
    { machine, runtime: down, images: [], pressures: [], old: first },
    options,
    60_000,
  );
  assert.equal(isSameStatus(first, lost), false);
});

test('a node is made with the taints that it was given', () => {
  const taints = [{ key: 'gpu', value: 'yes', effect: 'NoSchedule' }];
  assert.deepEqual(newNode({ ...options, taints }, first).spec, { taints });
  const podCIDR = '10.42.0.0/24';
  assert.deepEqual(newNode({ ...options, taints, podCIDR }, first).spec, {
    taints,
    podCIDR,
    podCIDRs: [podCIDR],
  });
  assert.deepEqual(newNode(options, first).spec, {});
});

test('two addresses of one type are put in place as a list', () => {
  const at = (...addresses: readonly string[]) => ({
    addresses: addresses.map((address) => ({ type: 'InternalIP', address })),
  });
  const [one, two] = [at('192.0.2.1'), at('192.0.2.1', 'fd00::1')];
  const replace = { $patch: 'replace' };
  assert.deepEqual(inPlaceOf(undefined, one), one);
  assert.deepEqual(inPlaceOf(one, two), { addresses: [replace, ...two.addresses] });
  assert.deepEqual(inPlaceOf(two, one), { addresses: [replace, ...one.addresses] });
});
