/** Which pods this node takes, and who makes room for the critical ones. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Node, Pod, PodSpec } from '#resources/types/core-v1.ts';
import { type AdmissionFacts, planAdmission } from './admission.ts';

const node: Node = {
  apiVersion: 'v1',
  kind: 'Node',
  metadata: { name: 'n1', labels: { disk: 'ssd' } },
  status: { allocatable: { cpu: '2', memory: '1Gi', pods: '3', 'example.com/gpu': '1' } },
};

function pod(name: string, spec: Partial<PodSpec> = {}, labels = {}): Pod {
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name, namespace: 'default', uid: name, labels },
    spec: { containers: [{ name: 'c' }], nodeName: 'n1', ...spec },
  };
}

const asking = (requests: Record<string, string>, limits?: Record<string, string>) => ({
  containers: [{ name: 'c', resources: { requests, ...(limits === undefined ? {} : { limits }) } }],
});

function refusalOf(one: Pod, facts: Partial<AdmissionFacts> = {}) {
  const plan = planAdmission(one, { node, others: [], ...facts });
  return plan.do === 'reject' ? plan.refusal : undefined;
}

const reasonOf = (spec: Partial<PodSpec>, facts: Partial<AdmissionFacts> = {}) =>
  refusalOf(pod('p', spec), facts)?.reason;

test('protection that cannot be given is refused', () => {
  assert.equal(reasonOf({}), undefined);
  assert.equal(reasonOf({ hostUsers: true }), undefined);
  const profile = (type: string) => ({ securityContext: { appArmorProfile: { type } } });
  assert.equal(reasonOf(profile('Unconfined')), undefined);
  assert.equal(reasonOf(profile('RuntimeDefault')), 'AppArmor');
  assert.equal(reasonOf({ containers: [{ name: 'c', ...profile('Localhost') }] }), 'AppArmor');
  assert.equal(reasonOf({ os: { name: 'windows' } }), 'PodOSNotSupported');
  const strict = { securityContext: { supplementalGroupsPolicy: 'Strict' as const } };
  assert.equal(reasonOf(strict), 'SupplementalGroupsPolicyNotSupported');
  const windows = pod('p', {}, { 'kubernetes.io/os': 'windows' });
  assert.equal(refusalOf(windows)?.reason, 'PodOSSelectorNodeLabelDoesNotMatch');
});

test('kernel settings that others would feel need the leave of whoever runs the node', () => {
  const sysctl = (name: string) => ({ securityContext: { sysctls: [{ name, value: '1' }] } });
  assert.equal(reasonOf(sysctl('net.ipv4.tcp_syncookies')), undefined);
  assert.equal(reasonOf(sysctl('net/ipv4/tcp_syncookies')), undefined);
  assert.deepEqual(refusalOf(pod('p', sysctl('kernel.msgmax'))), {
    reason: 'SysctlForbidden',
    message: 'forbidden sysctl: "kernel.msgmax" not allowlisted',
  });
  assert.equal(
    reasonOf(sysctl('kernel.msgmax'), { allowedUnsafeSysctls: ['kernel.msg*'] }),
    undefined,
  );
});

test('what does not fit is refused with what was asked, used and there', () => {
  const others = [pod('a', asking({ cpu: '1500m' }))];
  assert.equal(reasonOf(asking({ cpu: '500m' }), { others }), undefined);
  assert.deepEqual(refusalOf(pod('p', asking({ cpu: '600m' })), { others }), {
    reason: 'OutOfcpu',
    message: "Node didn't have enough resource: cpu, requested: 600, used: 1500, capacity: 2000",
  });
  assert.equal(reasonOf(asking({ memory: '2Gi' })), 'OutOfmemory');
  assert.equal(reasonOf(asking({ 'example.com/gpu': '2' })), 'OutOfexample.com/gpu');
  assert.equal(reasonOf(asking({ 'other.com/x': '2' })), undefined, 'not this node’s business');
  const three = [pod('a'), pod('b'), pod('c')];
  assert.equal(reasonOf({}, { others: three }), 'OutOfpods');
});

test('a place that no longer suits is refused', () => {
  assert.equal(reasonOf({ nodeSelector: { disk: 'ssd' } }), undefined);
  assert.deepEqual(refusalOf(pod('p', { nodeSelector: { disk: 'hdd' } })), {
    reason: 'NodeAffinity',
    message: "Predicate NodeAffinity failed: node(s) didn't match Pod's node affinity/selector",
  });
  assert.equal(reasonOf({ nodeName: 'n2' }), 'NodeName');
  const ports = (hostPort: number) => ({
    containers: [{ name: 'c', ports: [{ containerPort: 80, hostPort }] }],
  });
  const others = [pod('a', ports(8080))];
  assert.equal(reasonOf(ports(8080), { others }), 'NodePorts');
  assert.equal(reasonOf(ports(8081), { others }), undefined);
  const tainted = (effect: string): Node => ({ ...node, spec: { taints: [{ key: 'k', effect }] } });
  assert.equal(reasonOf({}, { node: tainted('NoExecute') }), 'TaintToleration');
  assert.equal(reasonOf({}, { node: tainted('NoSchedule') }), undefined);
});

test('under pressure only those come who were promised something, or must come', () => {
  const pressures = ['MemoryPressure'];
  assert.deepEqual(refusalOf(pod('p'), { pressures }), {
    reason: 'Evicted',
    message: 'The node had condition: [MemoryPressure]. ',
  });
  assert.equal(reasonOf(asking({ memory: '1Mi' }), { pressures }), undefined);
  const key = 'node.kubernetes.io/memory-pressure';
  assert.equal(reasonOf({ tolerations: [{ key, operator: 'Exists' }] }, { pressures }), undefined);
  assert.equal(reasonOf(asking({ memory: '1Mi' }), { pressures: ['DiskPressure'] }), 'Evicted');
  assert.equal(reasonOf({ priority: 2_000_000_000 }, { pressures: ['DiskPressure'] }), undefined);
  assert.equal(reasonOf({}, { isShuttingDown: true }), 'NodeShutdown');
});

test('for a critical pod as few as possible make room, the least protected first', () => {
  const guaranteed = asking({ cpu: '500m', memory: '1Mi' }, { cpu: '500m', memory: '1Mi' });
  const others = [
    pod('guaranteed', guaranteed),
    pod('small', asking({ cpu: '400m' })),
    pod('large', asking({ cpu: '900m' })),
  ];
  const roomy = { ...node, status: { allocatable: { cpu: '2', memory: '1Gi', pods: '10' } } };
  const victims = (cpu: string, priority = 2_000_000_000): readonly string[] | undefined => {
    const plan = planAdmission(pod('p', { priority, ...asking({ cpu }) }), { node: roomy, others });
    return plan.do === 'admit'
      ? plan.preempt.map(({ metadata }) => metadata.name ?? '')
      : undefined;
  };
  assert.deepEqual(victims('200m'), []);
  assert.deepEqual(victims('500m'), ['small']);
  assert.deepEqual(victims('1'), ['large']);
  assert.deepEqual(victims('1500m'), ['large', 'small']);
  assert.deepEqual(victims('1900m'), ['large', 'small', 'guaranteed']);
  assert.equal(victims('3'), undefined);
  assert.equal(victims('500m', 1000), undefined, 'only critical pods push others out');
});
