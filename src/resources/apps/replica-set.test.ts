/** ReplicaSets: defaults, old versions, validation, columns. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { shown, updated, written } from '#test/descriptor.ts';
import type { ReplicaSet } from '../types/apps-v1.ts';

const labels = { tier: 'frontend' };
const template = { metadata: { labels }, spec: { containers: [{ name: 'a', image: 'b:1' }] } };

function body(spec: object, apiVersion = 'apps/v1') {
  const metadata = { name: 'frontend', namespace: 'default' };
  return { apiVersion, kind: 'ReplicaSet', metadata, spec: { template, ...spec } };
}

test('one replica by default, and a selector that must fit', () => {
  const selector = { matchExpressions: [{ key: 'tier', operator: 'In', values: ['frontend'] }] };
  const { hub, errors } = written<ReplicaSet>(body({ selector }));
  assert.deepEqual(errors, []);
  assert.equal(hub.spec?.replicas, 1);
  assert.deepEqual(hub.status, { replicas: 0 });
  assert.match(
    written(body({})).errors.join('|'),
    /^spec\.selector: Required value\|spec\.template\.metadata\.labels: Invalid value: /,
  );
  assert.match(
    written(body({ selector: { matchLabels: { tier: 'x' } } })).errors[0] ?? '',
    /`selector` does not match template `labels`/,
  );
});

test('extensions/v1beta1 derives the selector', () => {
  const { hub, errors } = written<ReplicaSet>(body({}, 'extensions/v1beta1'));
  assert.deepEqual(errors, []);
  assert.deepEqual(hub.spec?.selector, { matchLabels: labels });
  assert.equal(hub.apiVersion, 'apps/v1');
  assert.equal(shown(hub, 'extensions/v1beta1').apiVersion, 'extensions/v1beta1');
});

test('the selector stays, the status is only written through status', () => {
  const { hub } = written<ReplicaSet>(body({ selector: { matchLabels: labels } }));
  const next = updated<ReplicaSet>(
    body({ selector: { matchExpressions: [{ key: 'tier', operator: 'Exists' }] } }),
    hub,
  );
  assert.match(next.errors[0] ?? '', /^spec\.selector: Invalid value: .*: field is immutable$/);
  const status = { replicas: 1, readyReplicas: 2 };
  assert.deepEqual(updated<ReplicaSet>({ ...hub, status }, hub, 'status').errors, [
    'status.readyReplicas: Invalid value: 2: cannot be greater than status.replicas',
  ]);
});

test('replica sets in a list', () => {
  const { resource, hub } = written<ReplicaSet>(body({ selector: { matchLabels: labels } }));
  const row: ReplicaSet = { ...hub, status: { replicas: 3, readyReplicas: 2 } };
  assert.deepEqual(
    resource.columns.slice(1).map(({ name, cell }) => `${name} ${cell(row, 0)}`),
    [
      'Desired 1',
      'Current 3',
      'Ready 2',
      'Age <unknown>',
      'Containers a',
      'Images b:1',
      'Selector tier=frontend',
    ],
  );
});
