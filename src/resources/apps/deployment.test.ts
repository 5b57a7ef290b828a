/** Deployments in all the versions that serve them: defaults, conversion, validation, columns. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { applyStrategicPatch } from '#api/patch.ts';
import { present } from '#kit/assert.ts';
import { covers, superseded } from '#test/covers.ts';
import { shown, updated, written } from '#test/descriptor.ts';
import { openCatalog } from '../resources.ts';
import type { Deployment } from '../types/apps-v1.ts';

const labels = { app: 'web' };
const template = {
  metadata: { labels },
  spec: { containers: [{ name: 'web', image: 'nginx:1' }] },
};

function body(spec: object, apiVersion = 'apps/v1') {
  return {
    apiVersion,
    kind: 'Deployment',
    metadata: { name: 'web', namespace: 'default' },
    spec: { selector: { matchLabels: labels }, template, ...spec },
  };
}

const create = (spec: object, apiVersion?: string) => written<Deployment>(body(spec, apiVersion));

test('defaults of apps/v1', () => {
  superseded('API-158', { by: 'v1.9', now: 'apps/v1: 25 % surge and unavailable, ten revisions' });
  const { hub, errors } = create({});
  assert.deepEqual(errors, []);
  assert.equal(hub.spec?.replicas, 1);
  assert.equal(hub.spec?.paused, undefined);
  assert.equal(hub.spec?.revisionHistoryLimit, 10);
  assert.equal(hub.spec?.progressDeadlineSeconds, 600);
  assert.deepEqual(hub.spec?.strategy, {
    type: 'RollingUpdate',
    rollingUpdate: { maxUnavailable: '25%', maxSurge: '25%' },
  });
  assert.equal(hub.spec?.template.spec?.restartPolicy, 'Always');
  assert.equal(hub.spec?.template.spec?.enableServiceLinks, undefined);
  assert.deepEqual(hub.status, {});
});

test('a template has no time of its own', () => {
  superseded('API-159', { by: 'v1.34', now: 'metadata without a creation time prints none' });
  const metadata = { ...template.metadata, creationTimestamp: null };
  const { hub } = create({ template: { ...template, metadata } });
  assert.deepEqual(hub.spec?.template.metadata, { labels });
  assert.deepEqual(Object(shown(hub, 'apps/v1')).spec.template.metadata, { labels });
});

test('the old versions fill in selector and labels, each with its own numbers', () => {
  covers('API-103', 'API-123', 'WRK-155');
  const { hub, errors } = create({ selector: undefined }, 'extensions/v1beta1');
  assert.deepEqual(errors, []);
  assert.equal(hub.apiVersion, 'apps/v1');
  assert.deepEqual(hub.spec?.selector, { matchLabels: labels });
  assert.deepEqual(hub.metadata.labels, labels);
  assert.deepEqual(hub.spec?.strategy?.rollingUpdate, { maxUnavailable: 1, maxSurge: 1 });
  assert.equal(hub.spec?.revisionHistoryLimit, 2_147_483_647);
  const beta = create({ selector: undefined }, 'apps/v1beta1').hub;
  assert.deepEqual(beta.spec?.selector, { matchLabels: labels });
  assert.equal(beta.spec?.revisionHistoryLimit, 2);
});

test('today, and in apps/v1beta2, a selector must be given', () => {
  covers('API-068');
  for (const apiVersion of ['apps/v1', 'apps/v1beta2']) {
    const { errors, hub } = create({ selector: undefined }, apiVersion);
    assert.match(
      errors.join('|'),
      /^spec\.selector: Required value\|spec\.template\.metadata\.labels: Invalid value: /,
    );
    assert.equal(hub.metadata.labels, undefined);
  }
  const { hub } = create({});
  const other = { selector: { matchLabels: { app: 'other' } } };
  const next = body({
    ...other,
    template: { ...template, metadata: { labels: { app: 'other' } } },
  });
  assert.deepEqual(updated<Deployment>(next, hub).errors, [
    'spec.selector: Invalid value: {"matchLabels":{"app":"other"}}: field is immutable',
  ]);
});

test('one stored object is read in every version', () => {
  covers('API-049');
  const { hub } = create({ rollbackTo: { revision: 3 } }, 'extensions/v1beta1');
  for (const apiVersion of ['apps/v1beta2', 'apps/v1beta1', 'extensions/v1beta1']) {
    const view = shown(hub, apiVersion);
    assert.equal(view.apiVersion, apiVersion);
    assert.equal(view.metadata.name, 'web');
  }
});

test('a wish to roll back survives the trip through today’s shape', () => {
  covers('API-072');
  const { hub } = create({ rollbackTo: { revision: 3 } }, 'extensions/v1beta1');
  assert.equal(hub.metadata.annotations?.['deprecated.deployment.rollback.to'], '3');
  assert.ok(!('rollbackTo' in (hub.spec ?? {})));
  const back = Object(shown(hub, 'extensions/v1beta1'));
  assert.deepEqual(back.spec.rollbackTo, { revision: 3 });
  assert.equal(back.metadata.annotations, undefined);
  assert.deepEqual(create({ rollbackTo: {} }, 'apps/v1beta2').problems, [
    'unknown field "spec.rollbackTo"',
  ]);
});

test('deployments that are refused', () => {
  const rolling = (rollingUpdate: object) => ({
    strategy: { type: 'RollingUpdate', rollingUpdate },
  });
  const cases: readonly [object, string][] = [
    [{ replicas: -1 }, 'spec.replicas: Invalid value: -1: must be greater than or equal to 0'],
    [
      { selector: { matchLabels: { app: 'other' } } },
      'spec.template.metadata.labels: Invalid value: {"app":"web"}: `selector` does not match template `labels`',
    ],
    [
      { selector: {} },
      'spec.selector: Invalid value: {}: empty selector is invalid for deployment',
    ],
    [
      { selector: { matchExpressions: [{ key: 'app', operator: 'In', values: [] }] } },
      'spec.selector.matchExpressions[0].values: Required value: must be specified when `operator` is \'In\' or \'NotIn\'|spec.selector: Invalid value: {"matchExpressions":[{"key":"app","operator":"In"}]}: invalid label selector',
    ],
    [
      { template: { ...template, spec: { ...template.spec, restartPolicy: 'Never' } } },
      'spec.template.spec.restartPolicy: Unsupported value: "Never": supported values: "Always"',
    ],
    [
      { template: { ...template, spec: { containers: [] } } },
      'spec.template.spec.containers: Required value',
    ],
    [
      rolling({ maxUnavailable: 0, maxSurge: 0 }),
      'spec.strategy.rollingUpdate.maxUnavailable: Invalid value: 0: may not be 0 when `maxSurge` is 0',
    ],
    [
      rolling({ maxUnavailable: '101%' }),
      'spec.strategy.rollingUpdate.maxUnavailable: Invalid value: "101%": must not be greater than 100%',
    ],
    [
      rolling({ maxSurge: 'many' }),
      "spec.strategy.rollingUpdate.maxSurge: Invalid value: \"many\": a valid percent string must be a numeric string followed by an ending '%' (e.g. '1%',  or '93%', regex used for validation is '[0-9]+%')",
    ],
    [
      { minReadySeconds: 600 },
      'spec.progressDeadlineSeconds: Invalid value: 600: must be greater than minReadySeconds',
    ],
  ];
  for (const [spec, text] of cases) assert.equal(create(spec).errors.join('|'), text);
});

test('a rolling update has no place in the strategy Recreate', () => {
  covers('API-161');
  const rollingUpdate = { maxSurge: 1 };
  assert.deepEqual(create({ strategy: { type: 'Recreate', rollingUpdate } }).errors, [
    "spec.strategy.rollingUpdate: Forbidden: may not be specified when strategy `type` is 'Recreate'",
  ]);
  assert.deepEqual(create({ strategy: { type: 'Recreate' } }).errors, []);
  // What the defaults have put there is in the way of a patch that does not take it out.
  const catalog = openCatalog();
  const { hub, view } = create({});
  const patched = (strategy: object) =>
    updated(applyStrategicPatch(hub, { spec: { strategy } }, view.schema, catalog), hub).errors;
  assert.match(patched({ type: 'Recreate' }).join(), /^spec\.strategy\.rollingUpdate: Forbidden/);
  assert.deepEqual(patched({ $retainKeys: ['type'], type: 'Recreate' }), []);
});

test('the generation counts spec and annotations, not labels or status', () => {
  const { hub, resource } = create({});
  const changed = (next: Deployment) => resource.specChanged?.(next, hub);
  assert.equal(changed(hub), false);
  assert.equal(changed({ ...hub, status: { replicas: 3 } }), false);
  assert.equal(changed({ ...hub, metadata: { ...hub.metadata, labels } }), false);
  assert.equal(changed({ ...hub, metadata: { ...hub.metadata, annotations: labels } }), true);
  assert.equal(changed(create({ replicas: 2 }).hub), true);
});

test('the published merge keys steer strategic patches', () => {
  covers('API-108');
  const catalog = openCatalog();
  const { hub, view } = create({});
  const patch = {
    spec: {
      strategy: { $retainKeys: ['type'], type: 'Recreate' },
      template: { spec: { containers: [{ name: 'redis', image: 'redis:1' }] } },
    },
  };
  const patched = Object(applyStrategicPatch(hub, patch, view.schema, catalog));
  assert.deepEqual(patched.spec.strategy, { type: 'Recreate' });
  assert.deepEqual(
    patched.spec.template.spec.containers.map(({ name }: { name: string }) => name),
    ['redis', 'web'],
  );
});

test('scale reads and writes the count', () => {
  const { hub, resource } = create({ replicas: 3 });
  const scale = present(resource.scale, 'deployments scale');
  assert.equal(scale.specReplicas(hub), 3);
  assert.equal(scale.statusReplicas({ ...hub, ...{ status: { replicas: 2 } } }), 2);
  assert.equal(scale.selector(hub), 'app=web');
  assert.equal(scale.specReplicas(scale.withReplicas(hub, 5)), 5);
});

test('a status write cannot touch the spec, nor contradict itself', () => {
  const { hub } = create({ replicas: 3 });
  const next = {
    ...hub,
    spec: { ...hub.spec, replicas: 9 },
    status: { replicas: 1, readyReplicas: 2 },
  };
  const written_ = updated<Deployment>(next, hub, 'status');
  assert.equal(written_.hub.spec?.replicas, 3);
  assert.deepEqual(written_.errors, [
    'status.readyReplicas: Invalid value: 2: cannot be greater than status.replicas',
  ]);
});

test('deployments in a list', () => {
  const { hub, resource } = create({ replicas: 3 });
  const status = { readyReplicas: 2, updatedReplicas: 1, availableReplicas: 2, replicas: 3 };
  const metadata = { ...hub.metadata, creationTimestamp: '2026-01-01T00:00:00Z' };
  const row = { ...hub, metadata, status };
  assert.deepEqual(
    resource.columns.map(({ name, cell }) => [name, cell(row, Date.UTC(2026, 0, 1, 1))]),
    [
      ['Name', 'web'],
      ['Ready', '2/3'],
      ['Up-to-date', 1],
      ['Available', 2],
      ['Age', '60m'],
      ['Containers', 'web'],
      ['Images', 'nginx:1'],
      ['Selector', 'app=web'],
    ],
  );
});
