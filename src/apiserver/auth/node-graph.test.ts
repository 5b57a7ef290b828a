/** Which objects the pods of a node refer to, wherever a pod can name them. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Pod } from '#resources/types/core-v1.ts';
import { NodeGraph, type ReferenceKind } from './node-graph.ts';

const pod: Pod = {
  apiVersion: 'v1',
  kind: 'Pod',
  metadata: { namespace: 'x', name: 'p' },
  spec: {
    nodeName: 'n1',
    serviceAccountName: 'robot',
    imagePullSecrets: [{ name: 'pull' }],
    initContainers: [
      { name: 'i', env: [{ name: 'A', valueFrom: { secretKeyRef: { name: 'init', key: 'a' } } }] },
    ],
    containers: [
      {
        name: 'c',
        env: [{ name: 'B', valueFrom: { configMapKeyRef: { name: 'env', key: 'b' } } }],
        envFrom: [{ secretRef: { name: 'all' } }, { configMapRef: { name: 'all' } }],
      },
    ],
    volumes: [
      { name: 'v1', secret: { secretName: 'files' } },
      { name: 'v2', configMap: { name: 'files' } },
      { name: 'v3', projected: { sources: [{ secret: { name: 'part' } }] } },
      { name: 'v4', persistentVolumeClaim: { claimName: 'disk' } },
      { name: 'v5', ephemeral: {} },
      { name: 'v6', iscsi: { targetPortal: 't', iqn: 'i', lun: 0, secretRef: { name: 'chap' } } },
    ],
    resourceClaims: [{ name: 'gpu', resourceClaimName: 'gpu-1' }],
  },
};

test('a node is referred to what its pods name, and not when it made them itself', () => {
  const graph = new NodeGraph();
  const missing = (wanted: Partial<Record<ReferenceKind, readonly string[]>>) =>
    Object.entries(wanted).flatMap(([kind, names]) =>
      names
        // The keys are those of the record.
        .filter((name) => !graph.refers('n1', kind as ReferenceKind, 'x', name))
        .map((name) => `${kind}/${name}`),
    );
  const all = {
    pods: ['p'],
    serviceaccounts: ['robot'],
    secrets: ['pull', 'init', 'all', 'files', 'part', 'chap'],
    configmaps: ['env', 'all', 'files'],
    persistentvolumeclaims: ['disk', 'p-v5'],
    resourceclaims: ['gpu-1'],
  };
  graph.add(pod);
  assert.deepEqual(missing(all), []);
  assert.deepEqual(missing({ secrets: ['env', ''], configmaps: ['pull', ''] }).length, 4);
  assert.equal(graph.refers('n2', 'secrets', 'x', 'pull'), false);
  graph.forget('x/p');
  assert.deepEqual(missing({ pods: ['p'], secrets: ['pull'] }), ['pods/p', 'secrets/pull']);
  const annotations = { 'kubernetes.io/config.mirror': 'hash' };
  graph.add({ ...pod, metadata: { ...pod.metadata, annotations } });
  assert.deepEqual(missing({ pods: ['p'], secrets: ['pull'] }), ['secrets/pull']);
});
