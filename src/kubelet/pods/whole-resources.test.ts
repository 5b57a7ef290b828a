/** What a pod asks for and has as a whole, as its status tells it. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Pod, PodSpec } from '#resources/types/core-v1.ts';
import type { PodFacts } from './pod-facts.ts';
import { withPodLimits } from './qos.ts';
import { wholeAmount, wholeResources } from './whole-resources.ts';

const asking = (name: string, cpu: string, more = {}) => ({
  ...{ name, image: 'i', resources: { requests: { cpu } }, ...more },
});

function podOf(spec: Partial<PodSpec>): Pod {
  const containers = [asking('a', '1'), asking('b', '500m')];
  return { apiVersion: 'v1', kind: 'Pod', metadata: {}, spec: { containers, ...spec } };
}

function factsOf(spec: Partial<PodSpec>, more: Partial<PodFacts> = {}): PodFacts {
  return {
    pod: podOf(spec),
    runtime: { sandboxes: [], containers: [] },
    ...{ verdicts: new Map(), backoffs: new Map(), failures: new Map(), applied: new Map() },
    ...more,
  };
}

test('the pod’s own word comes first, then what its containers add up to', () => {
  const cpuOf = (spec: Partial<PodSpec>) => wholeAmount(podOf(spec), 'requests', 'cpu');
  assert.equal(cpuOf({}), '1500m');
  assert.equal(cpuOf({ initContainers: [asking('first', '2')] }), '2');
  const sidecar = { restartPolicy: 'Always' };
  assert.equal(cpuOf({ initContainers: [asking('side', '2', sidecar)] }), '3500m');
  assert.equal(cpuOf({ resources: { requests: { cpu: '4' } } }), '4');
  const overhead = { cpu: '250m', memory: '1Mi' };
  assert.equal(cpuOf({ resources: { requests: { cpu: '4' } }, overhead }), '4250m');
  assert.equal(wholeAmount(podOf({ overhead }), 'requests', 'memory'), '1Mi');
  assert.equal(wholeAmount(podOf({ overhead }), 'limits', 'memory'), undefined);
});

test('every pod is told of, by its containers if by nothing else; who waits has what it had', () => {
  assert.deepEqual(wholeResources(factsOf({})), {
    resources: { requests: { cpu: '1500m' } },
    allocatedResources: { cpu: '1500m' },
  });
  assert.deepEqual(wholeResources(factsOf({ containers: [] })), { resources: {} });
  const resources = { requests: { cpu: '4' }, limits: { memory: '1Gi' } };
  assert.deepEqual(wholeResources(factsOf({ resources })), {
    resources,
    allocatedResources: { cpu: '4' },
  });
  const has = { requests: { cpu: '2' }, limits: { memory: '1Gi' } };
  const applied = new Map([['', has]]);
  assert.deepEqual(wholeResources(factsOf({ resources }, { applied })), {
    resources: has,
    allocatedResources: { cpu: '4' },
  });
  const resizeFailure = { reason: 'Deferred', message: 'no', untilMs: 0 } as const;
  assert.deepEqual(wholeResources(factsOf({ resources }, { applied, resizeFailure })), {
    resources: has,
    allocatedResources: { cpu: '2' },
  });
});

test('a container without a limit of its own has that of its pod', () => {
  const whole = { requests: { cpu: '3' }, limits: { cpu: '4', memory: '1Gi' } };
  const own = { requests: { cpu: '1' }, limits: { cpu: '2' } };
  assert.deepEqual(withPodLimits(own, whole), { ...own, limits: { cpu: '2', memory: '1Gi' } });
  assert.deepEqual(withPodLimits(undefined, whole), { limits: whole.limits });
  assert.deepEqual(withPodLimits(own, undefined), own);
});
