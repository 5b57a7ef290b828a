/** StatefulSets: defaults of each version, what is fixed, what is refused, columns. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { formatFieldError } from '#api/field-error.ts';
import { covers, superseded } from '#test/covers.ts';
import { shown, updated, written } from '#test/descriptor.ts';
import type { StatefulSet } from '../types/apps-v1.ts';

const labels = { app: 'web' };
const template = {
  metadata: { labels },
  spec: {
    containers: [
      { name: 'web', image: 'nginx:1', volumeMounts: [{ name: 'www', mountPath: '/data' }] },
    ],
  },
};
const claim = {
  metadata: { name: 'www' },
  spec: { accessModes: ['ReadWriteOnce'], resources: { requests: { storage: '1Gi' } } },
};

function body(spec: object, apiVersion = 'apps/v1', name = 'web') {
  return {
    apiVersion,
    kind: 'StatefulSet',
    metadata: { name, namespace: 'default' },
    spec: {
      selector: { matchLabels: labels },
      serviceName: 'nginx',
      template,
      volumeClaimTemplates: [claim],
      ...spec,
    },
  };
}

const create = (spec: object, apiVersion?: string) => written<StatefulSet>(body(spec, apiVersion));

test('defaults of apps/v1; claims count as volumes of the template', () => {
  const { hub, errors } = create({});
  assert.deepEqual(errors, []);
  assert.equal(hub.spec?.replicas, 1);
  assert.equal(hub.spec?.podManagementPolicy, 'OrderedReady');
  assert.equal(hub.spec?.revisionHistoryLimit, 10);
  assert.deepEqual(hub.spec?.updateStrategy, {
    type: 'RollingUpdate',
    rollingUpdate: { partition: 0 },
  });
  assert.deepEqual(hub.spec?.persistentVolumeClaimRetentionPolicy, {
    whenDeleted: 'Retain',
    whenScaled: 'Retain',
  });
  const [stored] = hub.spec?.volumeClaimTemplates ?? [];
  assert.equal(stored?.kind, 'PersistentVolumeClaim');
  assert.equal(stored?.spec?.volumeMode, 'Filesystem');
  assert.deepEqual(stored?.status, { phase: 'Pending' });
  assert.deepEqual(hub.status, { replicas: 0, availableReplicas: 0 });
  assert.match(
    create({ volumeClaimTemplates: [] }).errors[0] ?? '',
    /volumeMounts\[0\]\.name: Not found: "www"/,
  );
});

test('the first version derives the selector and updates on delete only', () => {
  const first = create({ selector: undefined }, 'apps/v1beta1');
  assert.deepEqual(first.errors, []);
  assert.deepEqual(first.hub.spec?.selector, { matchLabels: labels });
  assert.deepEqual(first.hub.spec?.updateStrategy, { type: 'OnDelete' });
  assert.equal(first.hub.apiVersion, 'apps/v1');
  assert.equal(shown(first.hub, 'apps/v1beta1').apiVersion, 'apps/v1beta1');
  const second = create({}, 'apps/v1beta2');
  assert.equal(second.hub.spec?.updateStrategy?.type, 'RollingUpdate');
});

test('a selector must be given and match', () => {
  covers('API-074');
  assert.match(
    create({ selector: undefined }).errors.join('|'),
    /^spec\.selector: Required value\|spec\.template\.metadata\.labels: Invalid value: /,
  );
  assert.deepEqual(create({ selector: { matchLabels: { app: 'x' } } }).errors, [
    'spec.template.metadata.labels: Invalid value: {"app":"web"}: `selector` does not match template `labels`',
  ]);
});

test('a set without a governing service is fine', () => {
  assert.deepEqual(create({ serviceName: undefined }).errors, []);
});

test('sets that are refused', () => {
  const cases: readonly [object, string][] = [
    [
      { podManagementPolicy: 'Random' },
      "spec.podManagementPolicy: Invalid value: \"Random\": must be 'OrderedReady' or 'Parallel'",
    ],
    [
      { updateStrategy: { type: 'OnDelete', rollingUpdate: { partition: 1 } } },
      'spec.updateStrategy.rollingUpdate: Invalid value: {"partition":1}: only allowed for updateStrategy \'RollingUpdate\'',
    ],
    [
      { updateStrategy: { type: 'RollingUpdate', rollingUpdate: { partition: -1 } } },
      'spec.updateStrategy.rollingUpdate.partition: Invalid value: -1: must be greater than or equal to 0',
    ],
    [
      { updateStrategy: { type: 'Never' } },
      'spec.updateStrategy: Invalid value: {"type":"Never"}: must be \'RollingUpdate\' or \'OnDelete\'',
    ],
    [
      { persistentVolumeClaimRetentionPolicy: { whenDeleted: 'Keep' } },
      'spec.persistentVolumeClaimRetentionPolicy.whenDeleted: Unsupported value: "Keep": supported values: "Retain", "Delete"',
    ],
    [{ replicas: -1 }, 'spec.replicas: Invalid value: -1: must be greater than or equal to 0'],
    [
      { ordinals: { start: -1 } },
      'spec.ordinals.start: Invalid value: -1: must be greater than or equal to 0',
    ],
    [
      { template: { ...template, spec: { ...template.spec, restartPolicy: 'Never' } } },
      'spec.template.spec.restartPolicy: Unsupported value: "Never": supported values: "Always"',
    ],
    [
      { template: { ...template, spec: { ...template.spec, activeDeadlineSeconds: 5 } } },
      'spec.template.spec.activeDeadlineSeconds: Forbidden: activeDeadlineSeconds in StatefulSet is not Supported',
    ],
  ];
  for (const [spec, text] of cases) assert.equal(create(spec).errors.join('|'), text);
});

test('most of the spec is fixed', () => {
  const { hub } = create({});
  const free = body({ replicas: 5, minReadySeconds: 3, updateStrategy: { type: 'OnDelete' } });
  assert.deepEqual(updated(free, hub).errors, []);
  assert.deepEqual(updated(body({ serviceName: 'other' }), hub).errors, [
    "spec: Forbidden: updates to statefulset spec for fields other than 'replicas', 'ordinals', 'template', 'updateStrategy', 'revisionHistoryLimit', 'persistentVolumeClaimRetentionPolicy' and 'minReadySeconds' are forbidden",
  ]);
});

test('rolling several pods at a time is kept, though the feature is off upstream', () => {
  const updateStrategy = { type: 'RollingUpdate', rollingUpdate: { maxUnavailable: 2 } };
  const { hub } = create({ updateStrategy });
  const rollingUpdate = { partition: 0, maxUnavailable: 2 };
  assert.deepEqual(hub.spec?.updateStrategy?.rollingUpdate, rollingUpdate);
});

test('a status that contradicts itself is refused; the collision count only grows', () => {
  const { hub } = create({});
  const status = { replicas: 1, readyReplicas: 2, availableReplicas: 1 };
  assert.deepEqual(updated({ ...hub, status }, hub, 'status').errors, [
    'status.readyReplicas: Invalid value: 2: cannot be greater than status.replicas',
  ]);
  const old: StatefulSet = { ...hub, status: { replicas: 0, collisionCount: 2 } };
  const next = { ...hub, status: { replicas: 0, collisionCount: 1 } };
  assert.deepEqual(updated(next, old, 'status').errors, [
    'status.collisionCount: Invalid value: 1: cannot be decremented',
  ]);
});

test('sets in a list, and their scale', () => {
  superseded('CLI-425', { by: 'v1.13', now: 'one column READY instead of DESIRED and CURRENT' });
  const { hub, resource } = create({ replicas: 3 });
  const row: StatefulSet = { ...hub, status: { replicas: 3, readyReplicas: 2 } };
  assert.deepEqual(
    resource.columns.slice(1).map(({ name, cell }) => `${name} ${cell(row, 0)}`),
    ['Ready 2/3', 'Age <unknown>', 'Containers web', 'Images nginx:1'],
  );
  assert.equal(resource.scale?.selector(hub), 'app=web');
  assert.equal(resource.scale?.specReplicas(hub), 3);
});

test('claims without names make volumes without names; labels are judged twice', () => {
  const { metadata: _metadata, ...nameless } = claim;
  const found = create({ volumeClaimTemplates: [nameless] }).errors;
  assert.ok(found.includes('spec.template.spec.volumes[0].name: Required value'), found.join());
  const labelled = { ...template, metadata: { labels: { ...labels, odd: 'Not_Valid!' } } };
  const errors = create({ template: labelled }).errors;
  const told = errors.filter((text) => text.startsWith('spec.template.labels: '));
  assert.equal(told.length, 2, errors.join());
});

test('claims are looked at once, when the set is new', () => {
  const volumeClaimTemplates = [{ ...claim, spec: { accessModes: ['ReadWriteOnce'] } }];
  const { hub, errors, resource } = create({ volumeClaimTemplates });
  assert.deepEqual(errors, []);
  const asked = { group: 'apps', version: 'v1' };
  assert.deepEqual(resource.validateNew?.(hub, asked).map(formatFieldError), [
    'spec.volumeClaimTemplates[0].spec.resources[storage]: Required value',
  ]);
});
