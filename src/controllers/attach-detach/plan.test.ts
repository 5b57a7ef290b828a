/** When volumes are attached, refused and detached. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Node, PersistentVolume, Pod } from '#resources/types/core-v1.ts';
import type { VolumeAttachment } from '#resources/types/storage-v1.ts';
import { limits, planAttached, planAttachments, uniqueName } from './plan.ts';

const volume = (accessModes: readonly string[] = ['ReadWriteOnce']): PersistentVolume => ({
  apiVersion: 'v1',
  kind: 'PersistentVolume',
  metadata: { name: 'disk' },
  spec: { accessModes, csi: { driver: 'd', volumeHandle: 'h' } },
});

const attachment = (nodeName: string): VolumeAttachment => ({
  apiVersion: 'storage.k8s.io/v1',
  kind: 'VolumeAttachment',
  metadata: { name: `on ${nodeName}` },
  spec: { attacher: 'd', nodeName, source: { persistentVolumeName: 'disk' } },
});

const node = (
  name: string,
  more: { inUse?: boolean; ready?: boolean; taint?: string } = {},
): Node => ({
  apiVersion: 'v1',
  kind: 'Node',
  metadata: {
    name,
    annotations: { 'volumes.kubernetes.io/controller-managed-attach-detach': 'true' },
  },
  spec: { taints: more.taint === undefined ? [] : [{ key: more.taint, effect: 'NoExecute' }] },
  status: {
    conditions: [{ type: 'Ready', status: more.ready === false ? 'Unknown' : 'True' }],
    volumesInUse: more.inUse === true ? [uniqueName(volume())] : [],
  },
});

interface Given {
  readonly uses?: readonly string[];
  readonly attached?: readonly string[];
  readonly nodes?: readonly Node[];
  readonly accessModes?: readonly string[];
  readonly nowMs?: number;
}

function plan({ uses = [], attached = [], nodes = [], accessModes, nowMs = 0 }: Given) {
  const of = volume(accessModes);
  const { actions, againMs } = planAttachments(
    {
      volume: of,
      uses: uses.map((nodeName) => {
        const pod: Pod = { apiVersion: 'v1', kind: 'Pod', metadata: { name: `on-${nodeName}` } };
        return { pod, volume: of, nodeName };
      }),
      attachments: attached.map(attachment),
      nodeOf: (name) => nodes.find(({ metadata }) => metadata.name === name),
      unwantedMs: () => 0,
    },
    nowMs,
  );
  const told = actions.map((action) =>
    action.do === 'refuse' ? action.message : `${action.do} ${action.attachment.spec.nodeName}`,
  );
  return { told, againMs };
}

test('attached where it is used and the kubelet leaves it to us', () => {
  assert.deepEqual(plan({ uses: ['a'], nodes: [node('a')] }).told, ['attach a']);
  assert.deepEqual(plan({ uses: ['a'], attached: ['a'], nodes: [node('a')] }).told, []);
  const own = { ...node('a'), metadata: { name: 'a' } };
  assert.deepEqual(plan({ uses: ['a'], nodes: [own] }).told, []);
});

test('a volume for one node is refused to a second; a shared one is not', () => {
  const nodes = [node('a'), node('b')];
  const two = { uses: ['a', 'b'], attached: ['a'], nodes };
  assert.deepEqual(plan(two).told, [
    'Multi-Attach error for volume "disk" Volume is already used by pod(s) on-a',
  ]);
  assert.deepEqual(plan({ ...two, accessModes: ['ReadWriteMany'] }).told, ['attach b']);
  const held = { uses: ['b'], attached: ['a'], nodes: [node('a', { inUse: true }), node('b')] };
  assert.match(plan(held).told[0] ?? '', /already exclusively attached to one node/);
});

test('detached when it is not in use, or by force after six minutes on a sick node', () => {
  const idle = { attached: ['a'], nodes: [node('a')] };
  assert.deepEqual(plan(idle).told, ['detach a']);
  const busy = { attached: ['a'], nodes: [node('a', { inUse: true, ready: false })] };
  assert.deepEqual(plan(busy), { told: [], againMs: limits.forcedDetachMs });
  assert.deepEqual(plan({ ...busy, nowMs: limits.forcedDetachMs }).told, ['detach a']);
  const well = { attached: ['a'], nodes: [node('a', { inUse: true })], nowMs: 10 ** 9 };
  assert.deepEqual(plan(well).told, []);
  const taint = 'node.kubernetes.io/out-of-service';
  const out = { attached: ['a'], nodes: [node('a', { inUse: true, taint })] };
  assert.deepEqual(plan(out).told, ['detach a']);
  assert.deepEqual(plan({ attached: ['gone'] }).told, ['detach gone']);
});

test('what a node says is attached follows', () => {
  const name = 'kubernetes.io/csi/d^h';
  const next = planAttached(node('a'), volume(), { isAttached: true });
  assert.deepEqual(next, [{ name, devicePath: '' }]);
  const has = { ...node('a'), status: { volumesAttached: next } };
  assert.equal(planAttached(has, volume(), { isAttached: true }), undefined);
  assert.deepEqual(planAttached(has, volume(), { isAttached: false }), []);
});
