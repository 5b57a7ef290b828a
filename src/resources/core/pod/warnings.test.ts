/** What is told to the client about pods, Services and volumes that are allowed all the same. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { PersistentVolume, Pod, Service } from '#resources/types/core-v1.ts';
import { serviceWarnings } from '../service/warnings.ts';
import { volumeWarnings } from '../volume-warnings.ts';
import { podWarnings, templateWarnings } from './warnings.ts';

function pod(spec: object, annotations: Record<string, string> = {}): Pod {
  const containers = [{ name: 'main', image: 'x' }];
  return {
    kind: 'Pod',
    apiVersion: 'v1',
    metadata: { name: 'p', annotations },
    spec: { containers, ...spec },
  };
}

function ports(first: object, second: object): readonly string[] {
  const container = { name: 'main', image: 'x', ports: [first, second] };
  return podWarnings(pod({ containers: [container] }), undefined);
}

test('old labels, annotations and volumes', () => {
  const nodeSelector = { 'beta.kubernetes.io/os': 'linux', disk: 'ssd' };
  const volumes = [{ name: 'v', gitRepo: { repository: 'x' } }];
  const annotations = { 'scheduler.alpha.kubernetes.io/critical-pod': '' };
  assert.deepEqual(podWarnings(pod({ nodeSelector, volumes }, annotations), undefined), [
    'spec.nodeSelector[beta.kubernetes.io/os]: deprecated since v1.14; use "kubernetes.io/os" instead',
    'metadata.annotations[scheduler.alpha.kubernetes.io/critical-pod]: non-functional in v1.16+; use the "priorityClassName" field instead',
    'spec.volumes[0].gitRepo: deprecated in v1.11, and disabled by default in v1.33+',
  ]);
  assert.deepEqual(templateWarnings({ spec: pod({ nodeSelector }).spec }, 'spec.template'), [
    'spec.template.spec.nodeSelector[beta.kubernetes.io/os]: deprecated since v1.14; use "kubernetes.io/os" instead',
  ]);
});

test('duplicates and fractions', () => {
  const env = [
    { name: 'A', value: '1' },
    { name: 'A', value: '2' },
    { name: 'P', value: '/bin' },
    { name: 'P', value: '/opt:$(P)' },
  ];
  const resources = { limits: { memory: '100m' } };
  const spec = {
    containers: [{ name: 'main', image: 'x', env, resources }],
    imagePullSecrets: [{ name: 'a' }, { name: 'a' }],
  };
  assert.deepEqual(podWarnings(pod(spec), undefined), [
    'spec.imagePullSecrets[1].name: duplicate name "a"',
    'spec.containers[0].resources.limits[memory]: fractional byte value "100m" is invalid, must be an integer',
    'spec.containers[0].env[1]: hides previous definition of "A", which may be dropped when using apply',
  ]);
});

test('paths of a volume that lie in each other’s way, and no more of them than one reads', () => {
  const told = (paths: readonly string[]): readonly string[] => {
    const items = paths.map((path) => ({ key: 'k', path }));
    return podWarnings(
      pod({ volumes: [{ name: 'v', secret: { secretName: 's', items } }] }),
      undefined,
    );
  };
  const lead = 'volume "v" (Secret "s"): overlapping paths:';
  assert.deepEqual(told(['a/b/c', 'a-b', 'a', 'x', 'a/b', 'a/', 'ab']), [
    `${lead} "a" with "a/b/c"`,
    `${lead} "a/b" with "a/b/c"`,
    `${lead} "a/b" with "a"`,
    `${lead} "a" with "a/b/c"`,
    `${lead} "a" with "a"`,
    `${lead} "a" with "a/b"`,
  ]);
  assert.equal(told(Array.from({ length: 50_000 }, () => 'a')).length, 100);
  assert.deepEqual(told(Array.from({ length: 50_000 }, (_, index) => `a${index}`)), []);
});

test('ports that repeat or contradict one another', () => {
  const web = { containerPort: 80, protocol: 'TCP' };
  const of = 'port definition with spec.containers[0].ports[0]';
  assert.deepEqual(ports(web, web), [`spec.containers[0].ports[1]: duplicate ${of}`]);
  assert.deepEqual(ports(web, { ...web, hostPort: 8080 }), [
    `spec.containers[0].ports[1]: overlapping ${of}`,
  ]);
  const bound = { ...web, hostPort: 8080 };
  assert.deepEqual(ports(bound, { ...bound, hostIP: '10.0.0.1' }), [
    `spec.containers[0].ports[1]: dangerously ambiguous ${of}`,
  ]);
  assert.deepEqual(ports(web, { ...web, protocol: 'UDP' }), []);
});

test('what a Service says in vain, and a volume in an old way', () => {
  const service = (spec: object): Service => ({
    kind: 'Service',
    apiVersion: 'v1',
    metadata: {},
    spec: { type: 'ClusterIP', sessionAffinity: 'None', ...spec },
  });
  assert.deepEqual(serviceWarnings(service({ clusterIP: 'None', sessionAffinity: 'ClientIP' })), [
    'spec.SessionAffinity is ignored for headless services',
  ]);
  assert.deepEqual(serviceWarnings(service({ externalIPs: ['1.2.3.4'] })), [
    'spec.externalIPs is deprecated and may no longer be implemented in some clusters',
  ]);
  const volume: PersistentVolume = {
    kind: 'PersistentVolume',
    apiVersion: 'v1',
    metadata: {},
    spec: { persistentVolumeReclaimPolicy: 'Recycle' },
  };
  assert.match(volumeWarnings(volume)[0] ?? '', /The Recycle reclaim policy is deprecated/);
});
