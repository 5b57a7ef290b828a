/** ReplicationControllers, PodTemplates and PriorityClasses. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { shown, updated, written } from '#test/descriptor.ts';
import type { PodTemplate, ReplicationController } from '../types/core-v1.ts';
import type { PriorityClass } from '../types/scheduling-v1.ts';

const labels = { app: 'guestbook' };
const template = { metadata: { labels }, spec: { containers: [{ name: 'a', image: 'b:1' }] } };

const controller = (spec: object) =>
  written<ReplicationController>({
    apiVersion: 'v1',
    kind: 'ReplicationController',
    metadata: { name: 'guestbook' },
    spec,
  });

test('a controller takes selector and labels from its template', () => {
  const { hub, errors, cells, resource } = controller({ template });
  assert.deepEqual(errors, []);
  assert.equal(hub.spec?.replicas, 1);
  assert.deepEqual(hub.spec?.selector, labels);
  assert.deepEqual(hub.metadata.labels, labels);
  const { Desired, Containers, Images, Selector } = cells(0);
  assert.deepEqual([Desired, Containers, Images, Selector], [1, 'a', 'b:1', 'app=guestbook']);
  assert.equal(resource.scale?.selector(hub), 'app=guestbook');
  assert.equal(resource.defaultPropagation, 'orphan');
});

test('controllers that are refused', () => {
  const cases: readonly [object, string][] = [
    [{}, 'spec.selector: Required value|spec.template: Required value'],
    [
      { template, selector: { app: 'x' } },
      'spec.template.metadata.labels: Invalid value: {"app":"guestbook"}: `selector` does not match template `labels`',
    ],
    [
      { template, replicas: -1 },
      'spec.replicas: Invalid value: -1: must be greater than or equal to 0',
    ],
    [
      { template: { ...template, spec: { ...template.spec, restartPolicy: 'Never' } } },
      'spec.template.spec.restartPolicy: Unsupported value: "Never": supported values: "Always"',
    ],
  ];
  for (const [spec, text] of cases) assert.equal(controller(spec).errors.join('|'), text);
  const { hub } = controller({ template });
  const status = { replicas: 1, readyReplicas: 2 };
  assert.deepEqual(updated({ ...hub, status }, hub, 'status').errors, [
    'status.readyReplicas: Invalid value: 2: cannot be greater than status.replicas',
  ]);
});

test('a pod template on its own gets defaults and counts its changes', () => {
  const metadata = { name: 't' };
  const body = { apiVersion: 'v1', kind: 'PodTemplate', metadata, template };
  const { hub, errors, cells, resource } = written<PodTemplate>(body);
  assert.deepEqual(errors, []);
  assert.equal(hub.template?.spec?.restartPolicy, 'Always');
  assert.equal(hub.metadata.generation, 1);
  assert.equal(cells(0)['Pod Labels'], 'app=guestbook');
  assert.equal(resource.specChanged?.({ ...hub, metadata }, hub), false);
});

const priorityClass = (name: string, fields: object, version = 'v1') => ({
  apiVersion: `scheduling.k8s.io/${version}`,
  kind: 'PriorityClass',
  metadata: { name },
  ...fields,
});

test('a priority class keeps its number; names of the system are taken', () => {
  const { hub, errors, cells } = written<PriorityClass>(priorityClass('high', { value: 1000 }));
  assert.deepEqual(errors, []);
  assert.equal(hub.preemptionPolicy, 'PreemptLowerPriority');
  assert.equal(hub.metadata.generation, 1);
  assert.deepEqual([cells(0)['Value'], cells(0)['Global-Default']], [1000, false]);
  assert.deepEqual(updated(priorityClass('high', { value: 2 }), hub).errors, [
    'value: Forbidden: may not be changed in an update.',
  ]);
  const never = priorityClass('high', { value: 1000, preemptionPolicy: 'Never' });
  assert.deepEqual(updated(never, hub).errors, [
    'preemptionPolicy: Invalid value: "Never": field is immutable',
  ]);
  assert.deepEqual(written(priorityClass('huge', { value: 1_000_000_001 })).errors, [
    'value: Forbidden: maximum allowed value of a user defined priority is 1000000000',
  ]);
  assert.match(
    written(priorityClass('system-mine', { value: 1 })).errors.join(),
    /error: system-mine is not a known system priority class$/,
  );
  const old = written<PriorityClass>(priorityClass('old', { value: 5 }, 'v1beta1')).hub;
  assert.equal(old.apiVersion, 'scheduling.k8s.io/v1');
  assert.equal(shown(old, 'scheduling.k8s.io/v1beta1').apiVersion, 'scheduling.k8s.io/v1beta1');
});
