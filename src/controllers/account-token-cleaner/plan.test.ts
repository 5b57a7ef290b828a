/** Which old token Secrets are marked and deleted, and which stay. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Pod, Secret, ServiceAccount } from '#resources/types/core-v1.ts';
import { planCleaning, secretNamesOf } from './plan.ts';

const nowMs = Date.UTC(2028, 0, 1);
const uid = 'u';

const secret = (labels: Readonly<Record<string, string>> = {}): Secret => ({
  apiVersion: 'v1',
  kind: 'Secret',
  metadata: {
    namespace: 'default',
    name: 'robot-token',
    creationTimestamp: '2024-01-01T00:00:00Z',
    labels,
    annotations: {
      'kubernetes.io/service-account.name': 'robot',
      'kubernetes.io/service-account.uid': uid,
    },
  },
});

const account: ServiceAccount = {
  apiVersion: 'v1',
  kind: 'ServiceAccount',
  metadata: { namespace: 'default', name: 'robot', uid },
  secrets: [{ name: 'robot-token' }],
};

const invalid = (since: string) => ({ 'kubernetes.io/legacy-token-invalid-since': since });
const used = (at: string) => ({ 'kubernetes.io/legacy-token-last-used': at });

test('unused for a year: marked, and a year later deleted', () => {
  const plan = (of: Secret, more: object = {}) =>
    planCleaning({ secret: of, account, isMounted: false, since: '2026-01-01', ...more }, nowMs);
  assert.equal(plan(secret()), 'invalidate');
  assert.equal(plan(secret(used('2026-05-01'))), 'invalidate');
  assert.equal(plan(secret(used('2027-05-01'))), 'keep');
  assert.equal(plan(secret(used('soon'))), 'keep');
  assert.equal(plan(secret(invalid('2027-06-01'))), 'keep');
  assert.equal(plan(secret(invalid('2026-06-01'))), 'delete');
  assert.equal(plan(secret(), { since: '2027-06-01' }), 'keep', 'not noted for long enough');
  assert.equal(plan(secret(), { isMounted: true }), 'keep');
  assert.equal(plan(secret(), { account: { ...account, secrets: [] } }), 'keep', 'made by hand');
  assert.equal(plan(secret(), { account: undefined }), 'keep');
});

test('a pod refers to Secrets in many ways', () => {
  const env = [{ name: 'A', valueFrom: { secretKeyRef: { name: 'key', key: 'k' } } }];
  const envFrom = [{ secretRef: { name: 'all' } }];
  const pod: Pod = {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name: 'p' },
    spec: {
      imagePullSecrets: [{ name: 'pull' }],
      containers: [{ name: 'c', env }],
      initContainers: [{ name: 'i', envFrom }],
      volumes: [
        { name: 'a', secret: { secretName: 'mounted' } },
        { name: 'b', projected: { sources: [{ secret: { name: 'projected' } }] } },
        { name: 'c', csi: { driver: 'd', nodePublishSecretRef: { name: 'csi' } } },
        { name: 'd', azureFile: { shareName: 's', secretName: 'azure' } },
        { name: 'e', flexVolume: { driver: 'd', secretRef: { name: 'flex' } } },
        { name: 'f', rbd: { image: 'i', monitors: [], secretRef: { name: 'rbd' } } },
      ],
      ephemeralContainers: [{ name: 'e', envFrom: [{ secretRef: { name: 'debug' } }] }],
    },
  };
  assert.deepEqual(
    [...secretNamesOf(pod)],
    ['pull', 'key', 'all', 'debug', 'mounted', 'projected', 'csi', 'azure', 'flex', 'rbd'],
  );
});
