/** DaemonSets and ControllerRevisions: versions, template generation, validation, columns. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { covers, superseded } from '#test/covers.ts';
import { shown, updated, written } from '#test/descriptor.ts';
import type { ControllerRevision, DaemonSet } from '../types/apps-v1.ts';
import { templateGenerationAnnotation } from './daemon-set.ts';

const labels = { name: 'agent' };
const podSpec = {
  containers: [{ name: 'agent', image: 'agent:1' }],
  nodeSelector: { disk: 'ssd' },
};
const template = { metadata: { labels }, spec: podSpec };

function body(spec: object, apiVersion = 'apps/v1') {
  const metadata = { name: 'agent', namespace: 'default' };
  return {
    apiVersion,
    kind: 'DaemonSet',
    metadata,
    spec: { selector: { matchLabels: labels }, template, ...spec },
  };
}

const create = (spec: object, apiVersion?: string) => written<DaemonSet>(body(spec, apiVersion));

test('defaults of apps/v1', () => {
  superseded('WRK-159', { by: 'v1.9', now: 'apps/v1 rolls updates out by default' });
  const { hub, errors } = create({});
  assert.deepEqual(errors, []);
  assert.equal(hub.spec?.revisionHistoryLimit, 10);
  assert.deepEqual(hub.spec?.updateStrategy, {
    type: 'RollingUpdate',
    rollingUpdate: { maxUnavailable: 1, maxSurge: 0 },
  });
  assert.deepEqual(hub.status, {
    currentNumberScheduled: 0,
    numberMisscheduled: 0,
    desiredNumberScheduled: 0,
    numberReady: 0,
  });
});

test('extensions/v1beta1 takes labels from the template and waits for deletes', () => {
  const { hub, errors } = create({ selector: undefined }, 'extensions/v1beta1');
  assert.deepEqual(errors, []);
  assert.deepEqual(hub.spec?.selector, { matchLabels: labels });
  assert.deepEqual(hub.metadata.labels, labels);
  assert.deepEqual(hub.spec?.updateStrategy, { type: 'OnDelete' });
});

test('the selector must be given, match, and stay', () => {
  covers('API-075');
  for (const apiVersion of ['apps/v1', 'apps/v1beta2']) {
    const { errors } = create({ selector: undefined }, apiVersion);
    assert.match(
      errors.join('|'),
      /^spec\.template\.metadata\.labels: Invalid value: .*`selector` does not match template/,
    );
  }
  const { hub } = create({});
  const selector = { matchExpressions: [{ key: 'name', operator: 'Exists' }] };
  assert.match(
    updated(body({ selector }), hub).errors.join(),
    /^spec\.selector: Invalid value: .*: field is immutable$/,
  );
});

test('the generation of the template counts its changes, whatever a client says', () => {
  const generation = (set: DaemonSet) => set.metadata.annotations?.[templateGenerationAnnotation];
  const { hub } = create({});
  assert.equal(generation(hub), '1');
  const same = updated<DaemonSet>(body({ minReadySeconds: 4 }), hub).hub;
  assert.equal(generation(same), '1');
  const next = body({ template: { ...template, spec: { ...podSpec, hostNetwork: true } } });
  const changed = updated<DaemonSet>(next, same).hub;
  assert.equal(generation(changed), '2');
  const old = Object(shown(changed, 'extensions/v1beta1'));
  assert.equal(old.spec.templateGeneration, 2);
  assert.equal(old.metadata.annotations, undefined);
  assert.equal(generation(updated<DaemonSet>(old, changed).hub), '2');
  assert.deepEqual(updated(old, changed).problems, []);
});

test('ways of updating that are refused', () => {
  const rolling = (rollingUpdate: object) => ({
    updateStrategy: { type: 'RollingUpdate', rollingUpdate },
  });
  const at = 'spec.updateStrategy.rollingUpdate';
  const cases: readonly [object, string][] = [
    [
      rolling({ maxUnavailable: 1, maxSurge: 1 }),
      `${at}.maxSurge: Invalid value: 1: may not be set when maxUnavailable is non-zero`,
    ],
    [
      rolling({ maxUnavailable: 0 }),
      `${at}.maxUnavailable: Required value: cannot be 0 when maxSurge is 0`,
    ],
    [
      rolling({ maxUnavailable: '101%' }),
      `${at}.maxUnavailable: Invalid value: "101%": must not be greater than 100%`,
    ],
    [
      { updateStrategy: { type: 'Slow' } },
      'spec.updateStrategy: Unsupported value: {"Type":"Slow","RollingUpdate":null}: supported values: "RollingUpdate", "OnDelete"',
    ],
    [
      { template: { ...template, spec: { ...podSpec, restartPolicy: 'Never' } } },
      'spec.template.spec.restartPolicy: Unsupported value: "Never": supported values: "Always"',
    ],
    [{ selector: {} }, 'spec.selector: Invalid value: {}: empty selector is invalid for daemonset'],
  ];
  for (const [spec, text] of cases) assert.equal(create(spec).errors.join('|'), text);
});

test('a status counts from zero up', () => {
  const { hub } = create({});
  const status = { ...hub.status, numberReady: -1 };
  assert.deepEqual(updated({ ...hub, status }, hub, 'status').errors, [
    'status.numberReady: Invalid value: -1: must be greater than or equal to 0',
  ]);
});

test('daemon sets in a list', () => {
  const { hub, resource } = create({});
  assert.deepEqual(
    resource.columns.slice(1).map(({ name, cell }) => `${name} ${cell(hub, 0)}`),
    [
      'Desired 0',
      'Current 0',
      'Ready 0',
      'Up-to-date 0',
      'Available 0',
      'Node Selector disk=ssd',
      'Age <unknown>',
      'Containers agent',
      'Images agent:1',
      'Selector name=agent',
    ],
  );
});

function revision(fields: object, apiVersion = 'apps/v1') {
  const metadata = {
    name: 'agent-1',
    ownerReferences: [
      { apiVersion: 'apps/v1', kind: 'DaemonSet', name: 'agent', uid: 'u', controller: true },
    ],
  };
  return {
    apiVersion,
    kind: 'ControllerRevision',
    metadata,
    data: { a: 1 },
    revision: 1,
    ...fields,
  };
}

test('a controller revision keeps its data; its number may change', () => {
  const { hub, errors, cells } = written<ControllerRevision>(revision({}));
  assert.deepEqual(errors, []);
  assert.equal(hub.metadata.generation, undefined);
  const { Name: _name, ...rest } = cells(0);
  assert.deepEqual(rest, { Controller: 'daemonset.apps/agent', Revision: 1, Age: '<unknown>' });
  assert.deepEqual(updated(revision({ revision: 7 }), hub).errors, []);
  assert.deepEqual(updated(revision({ data: { a: 2 } }), hub).errors, [
    'data: Invalid value: {"a":2}: field is immutable',
  ]);
  assert.deepEqual(written(revision({ data: undefined })).errors, [
    'data: Required value: data is mandatory',
  ]);
  assert.deepEqual(written(revision({ data: 'x' })).errors, [
    'data: Required value: data must be a valid JSON object',
  ]);
  assert.equal(shown(hub, 'apps/v1beta1').apiVersion, 'apps/v1beta1');
});
