/** Disruption budgets: versions that mean different things by an empty selector; validation. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { shown, updated, written } from '#test/descriptor.ts';
import type { PodDisruptionBudget } from '../types/policy-v1.ts';

function body(spec: object, apiVersion = 'policy/v1') {
  const metadata = { name: 'zk', namespace: 'default' };
  return { apiVersion, kind: 'PodDisruptionBudget', metadata, spec };
}

const create = (spec: object, apiVersion?: string) =>
  written<PodDisruptionBudget>(body(spec, apiVersion));

test('a budget starts with nothing allowed', () => {
  const { hub, errors, cells } = create({ minAvailable: '50%', selector: {} });
  assert.deepEqual(errors, []);
  assert.deepEqual(hub.status, {
    currentHealthy: 0,
    desiredHealthy: 0,
    disruptionsAllowed: 0,
    expectedPods: 0,
  });
  const { Name: _name, ...rest } = cells(0);
  assert.deepEqual(rest, {
    'Min Available': '50%',
    'Max Unavailable': 'N/A',
    'Allowed Disruptions': 0,
    Age: '<unknown>',
  });
});

test('an empty selector meant no pods once, and means all today', () => {
  const label = 'pdb.kubernetes.io/deprecated-v1beta1-empty-selector-match';
  const none = create({ maxUnavailable: 1, selector: {} }, 'policy/v1beta1').hub;
  assert.deepEqual(none.spec?.selector, { matchExpressions: [{ key: label, operator: 'Exists' }] });
  assert.deepEqual(Object(shown(none, 'policy/v1beta1')).spec.selector, {});
  const all = create({ maxUnavailable: 1, selector: {} }).hub;
  const selector = { matchExpressions: [{ key: label, operator: 'DoesNotExist' }] };
  assert.deepEqual(Object(shown(all, 'policy/v1beta1')).spec.selector, selector);
  assert.deepEqual(create({ selector }, 'policy/v1beta1').hub.spec?.selector, {});
  const some = { matchLabels: { app: 'zk' } };
  assert.deepEqual(create({ selector: some }, 'policy/v1beta1').hub.spec?.selector, some);
});

test('budgets that are refused', () => {
  const cases: readonly [object, string][] = [
    [
      { minAvailable: 1, maxUnavailable: 1 },
      'spec: Invalid value: {"minAvailable":1,"maxUnavailable":1}: minAvailable and maxUnavailable cannot be both set',
    ],
    [
      { minAvailable: -1 },
      'spec.minAvailable: Invalid value: -1: must be greater than or equal to 0',
    ],
    [
      { maxUnavailable: '101%' },
      'spec.maxUnavailable: Invalid value: "101%": must not be greater than 100%',
    ],
    [
      { unhealthyPodEvictionPolicy: 'Never' },
      'spec.unhealthyPodEvictionPolicy: Unsupported value: "Never": supported values: "AlwaysAllow", "IfHealthyBudget"',
    ],
  ];
  for (const [spec, text] of cases) assert.equal(create(spec).errors.join('|'), text);
  const { hub } = create({ minAvailable: 1 });
  const status = { ...hub.status, expectedPods: -1 };
  assert.deepEqual(updated({ ...hub, status }, hub, 'status').errors, [
    'status.expectedPods: Invalid value: -1: must be greater than or equal to 0',
  ]);
});

test('a name may be any that fits in a path; conditions of a status are looked at', () => {
  const metadata = { name: 'Under_score', namespace: 'default' };
  const spec = { minAvailable: 1, selector: {} };
  const { hub, errors } = written<PodDisruptionBudget>({ ...body(spec), metadata });
  assert.deepEqual(errors, []);
  const condition = { type: 'bad type', status: 'Maybe', reason: '' };
  const status = { ...hub.status, conditions: [{ ...condition, observedGeneration: -1 }] };
  const next = updated<PodDisruptionBudget>({ ...hub, status }, hub, 'status').errors;
  const at = 'status.conditions[0]';
  assert.match(
    next[0] ?? '',
    /^status\.conditions\[0\]\.type: Invalid value: "bad type": name part/,
  );
  assert.deepEqual(next.slice(1), [
    `${at}.status: Unsupported value: "Maybe": supported values: "False", "True", "Unknown"`,
    `${at}.observedGeneration: Invalid value: -1: must be greater than or equal to zero`,
    `${at}.lastTransitionTime: Required value`,
    `${at}.reason: Required value`,
  ]);
});
