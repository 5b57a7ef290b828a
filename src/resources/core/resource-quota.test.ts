/** ResourceQuotas: names and amounts that count, scopes that suit them, what a list shows. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { updated, written } from '#test/descriptor.ts';
import type { ResourceQuota } from '../types/core-v1.ts';

function body(spec: object) {
  return { apiVersion: 'v1', kind: 'ResourceQuota', metadata: { name: 'q' }, spec };
}

test('a quota shows what is used, of what is allowed', () => {
  const hard = { pods: '10', 'limits.cpu': '4', 'requests.cpu': '2' };
  const { hub, errors, resource } = written<ResourceQuota>(body({ hard }));
  assert.deepEqual(errors, []);
  assert.deepEqual(hub.status, {});
  const row = { ...hub, status: { hard, used: { pods: '3', 'requests.cpu': '500m' } } };
  assert.deepEqual(
    resource.columns.slice(1, 3).map(({ cell }) => cell(row, 0)),
    ['pods: 3/10, requests.cpu: 500m/2', 'limits.cpu: 0/4'],
  );
});

test('quotas that are refused', () => {
  const scopes = 'spec.scopes: Invalid value:';
  const cases: readonly [object, string][] = [
    [
      { hard: { disks: '1' } },
      'spec.hard[disks]: Invalid value: "disks": must be a standard resource type or fully qualified|spec.hard[disks]: Invalid value: "disks": must be a standard resource for quota',
    ],
    [
      { hard: { pods: '-1' } },
      'spec.hard[pods]: Invalid value: "-1": must be greater than or equal to 0',
    ],
    [{ hard: { pods: '1500m' } }, 'spec.hard[pods]: Invalid value: "1500m": must be an integer'],
    [{ scopes: ['Big'] }, `${scopes} ["Big"]: unsupported scope`],
    [
      { hard: { cpu: '1' }, scopes: ['BestEffort'] },
      `${scopes} ["BestEffort"]: unsupported scope applied to resource`,
    ],
    [
      { scopes: ['BestEffort', 'NotBestEffort'] },
      `${scopes} ["BestEffort","NotBestEffort"]: conflicting scopes`,
    ],
    [
      { scopeSelector: { matchExpressions: [{ scopeName: 'PriorityClass', operator: 'In' }] } },
      "spec.scopeSelector.matchExpressions.values: Required value: must be at least one value when `operator` is 'In' or 'NotIn' for scope selector",
    ],
  ];
  for (const [spec, text] of cases) assert.equal(written(body(spec)).errors.join('|'), text);
});

test('the scopes of a quota are fixed', () => {
  const { hub } = written<ResourceQuota>(body({ scopes: ['Terminating'] }));
  assert.deepEqual(updated(body({ scopes: ['BestEffort'] }), hub).errors, [
    'spec.scopes: Invalid value: ["BestEffort"]: field is immutable',
  ]);
});
