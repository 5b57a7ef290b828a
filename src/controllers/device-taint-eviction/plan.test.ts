/** When devices drive pods away. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Pod } from '#resources/types/core-v1.ts';
import type {
  DeviceTaint,
  DeviceToleration,
  ResourceClaim,
  ResourceSlice,
} from '#resources/types/resource-v1.ts';
import { claimLeavesMs, evictingTaints, podLeavesMs } from './plan.ts';

const startMs = Date.UTC(2026, 0, 1);
const at = (seconds: number): string => new Date(startMs + seconds * 1000).toISOString();
const apiVersion = 'resource.k8s.io/v1';
const place = { driver: 'd', pool: 'p', device: 'x' };

function slice(name: string, generation: number, taints: readonly DeviceTaint[]): ResourceSlice {
  const pool = { name: 'p', generation, resourceSliceCount: 1 };
  const spec = { driver: 'd', pool, nodeName: 'n', devices: [{ name: 'x', taints }] };
  return { apiVersion, kind: 'ResourceSlice', metadata: { name }, spec };
}

function claim(tolerations: readonly DeviceToleration[] = [], more: object = {}): ResourceClaim {
  return {
    apiVersion,
    kind: 'ResourceClaim',
    metadata: { name: 'c', namespace: 'default', ...more },
    spec: {},
    status: {
      allocation: { devices: { results: [{ ...place, request: 'r', tolerations }] } },
      reservedFor: [{ resource: 'pods', name: 'p', uid: 'u' }],
    },
  };
}

const out: DeviceTaint = { key: 'dead', effect: 'NoExecute', timeAdded: at(100) };

test('a pod leaves at once, after its time, or never; the shortest time counts', () => {
  const leaves = (...tolerations: readonly DeviceToleration[]) => {
    const leavesMs = claimLeavesMs(claim(tolerations), () => [out]);
    return leavesMs === undefined ? 'never' : (leavesMs - startMs) / 1000;
  };
  const bears = (more: object = {}): DeviceToleration => ({
    key: 'dead',
    operator: 'Exists',
    effect: 'NoExecute',
    ...more,
  });
  assert.equal(leaves(), 100);
  assert.equal(leaves(bears()), 'never');
  assert.equal(leaves(bears({ tolerationSeconds: 30 })), 130);
  assert.equal(leaves(bears({ tolerationSeconds: 30 }), bears({ tolerationSeconds: 5 })), 105);
  assert.equal(leaves(bears({ tolerationSeconds: -5 })), 100);
  assert.equal(leaves(bears({ key: 'other' })), 100);
  // It has to speak of leaving: one for every effect does not.
  assert.equal(leaves({ key: 'dead', operator: 'Exists' }), 100);
  assert.equal(leaves(bears({ operator: 'Equal', value: 'no' })), 100);
});

test('only what drives away counts, of the newest slices of the pool', () => {
  const soft: DeviceTaint = { key: 'soft', effect: 'NoSchedule' };
  assert.deepEqual(evictingTaints(place, [slice('a', 1, [soft, out])]), [out]);
  assert.deepEqual(evictingTaints(place, [slice('a', 1, [out]), slice('b', 2, [])]), []);
  assert.deepEqual(evictingTaints({ ...place, device: 'y' }, [slice('a', 1, [out])]), []);
  assert.deepEqual(evictingTaints({ ...place, pool: 'q' }, [slice('a', 1, [out])]), []);
});

test('a pod that has its place and its reservation is concerned, nobody else', () => {
  const pod = (spec: object, uid = 'u'): Pod => ({
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name: 'p', namespace: 'default', uid },
    spec: { containers: [], nodeName: 'n', ...spec },
    status: { resourceClaimStatuses: [{ name: 'made', resourceClaimName: 'c' }] },
  });
  const named = { resourceClaims: [{ name: 'one', resourceClaimName: 'c' }] };
  const made = { resourceClaims: [{ name: 'made', resourceClaimTemplateName: 't' }] };
  const leaves = (one: Pod, held: ResourceClaim = claim()) =>
    podLeavesMs(
      one,
      (name) => (name === 'c' ? held : undefined),
      () => [out],
    );
  const then = startMs + 100_000;
  assert.equal(leaves(pod(named)), then);
  assert.equal(leaves(pod({ ...named, nodeName: undefined })), undefined);
  assert.equal(leaves(pod(named, 'another')), undefined);
  assert.equal(leaves(pod({})), undefined);
  assert.equal(leaves(pod(made)), undefined, 'the claim is not its own');
  const owner = { apiVersion: 'v1', kind: 'Pod', name: 'p', uid: 'u' };
  assert.equal(leaves(pod(made), claim([], { ownerReferences: [owner] })), then);
});
