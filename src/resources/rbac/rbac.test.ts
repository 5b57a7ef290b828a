/** Roles and bindings: what is defaulted, what is refused, what a list shows. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { shown, updated, written } from '#test/descriptor.ts';
import type { ClusterRole, ClusterRoleBinding, RoleBinding } from '../types/rbac-v1.ts';

const group = 'rbac.authorization.k8s.io';
const metadata = { name: 'system:reader', namespace: 'default' };

function role(kind: 'Role' | 'ClusterRole', fields: object) {
  return written<ClusterRole>({ apiVersion: `${group}/v1`, kind, metadata, ...fields });
}

function binding(kind: 'RoleBinding' | 'ClusterRoleBinding', fields: object, version = 'v1') {
  return written<RoleBinding>({
    apiVersion: `${group}/${version}`,
    kind,
    metadata,
    roleRef: { kind: 'ClusterRole', name: 'view' },
    ...fields,
  });
}

test('rules that are fine, and rules that are refused', () => {
  const rule = { verbs: ['get'], apiGroups: [''], resources: ['pods'] };
  assert.deepEqual(role('Role', { rules: [rule] }).errors, []);
  const cases: readonly ['Role' | 'ClusterRole', object, readonly string[]][] = [
    [
      'Role',
      {},
      [
        'rules[0].verbs: Required value: verbs must contain at least one value',
        'rules[0].apiGroups: Required value: resource rules must supply at least one api group',
        'rules[0].resources: Required value: resource rules must supply at least one resource',
      ],
    ],
    [
      'Role',
      { verbs: ['get'], nonResourceURLs: ['/metrics'] },
      [
        'rules[0].nonResourceURLs: Invalid value: ["/metrics"]: namespaced rules cannot apply to non-resource URLs',
      ],
    ],
    ['ClusterRole', { verbs: ['get'], nonResourceURLs: ['/metrics'] }, []],
    [
      'ClusterRole',
      { ...rule, nonResourceURLs: ['/metrics'] },
      [
        'rules[0].nonResourceURLs: Invalid value: ["/metrics"]: rules cannot apply to both regular resources and non-resource URLs',
      ],
    ],
  ];
  for (const [kind, one, errors] of cases) {
    assert.deepEqual(role(kind, { rules: [one] }).errors, errors);
  }
});

test('a cluster role that gathers others says which', () => {
  assert.deepEqual(role('ClusterRole', { aggregationRule: {} }).errors, [
    'aggregationRule.clusterRoleSelectors: Required value: at least one clusterRoleSelector required if aggregationRule is non-nil',
  ]);
  const selectors = [{ matchLabels: { a: 'b' } }, { matchLabels: { a: '-' } }];
  const { errors } = role('ClusterRole', { aggregationRule: { clusterRoleSelectors: selectors } });
  assert.match(errors.join(), /^aggregationRule.clusterRoleSelectors\[1\].matchLabels: Invalid/);
});

test('users and groups belong to the API group unless said otherwise', () => {
  for (const version of ['v1', 'v1beta1']) {
    const { hub, errors } = binding(
      'RoleBinding',
      {
        subjects: [
          { kind: 'User', name: 'jane' },
          { kind: 'Group', name: 'crew' },
          { kind: 'ServiceAccount', name: 'bot' },
        ],
      },
      version,
    );
    assert.deepEqual(errors, []);
    assert.equal(hub.apiVersion, `${group}/v1`);
    assert.deepEqual(hub.roleRef, { kind: 'ClusterRole', name: 'view', apiGroup: group });
    assert.deepEqual(hub.subjects, [
      { kind: 'User', name: 'jane', apiGroup: group },
      { kind: 'Group', name: 'crew', apiGroup: group },
      { kind: 'ServiceAccount', name: 'bot' },
    ]);
    assert.equal(shown(hub, `${group}/v1beta1`).apiVersion, `${group}/v1beta1`);
  }
});

test('bindings that are refused', () => {
  const cases: readonly ['RoleBinding' | 'ClusterRoleBinding', object, string][] = [
    [
      'ClusterRoleBinding',
      { roleRef: { kind: 'Role', name: 'x' } },
      'roleRef.kind: Unsupported value: "Role": supported values: "ClusterRole"',
    ],
    [
      'RoleBinding',
      { roleRef: { apiGroup: 'x', kind: 'Role', name: '' } },
      `roleRef.apiGroup: Unsupported value: "x": supported values: "${group}"|roleRef.name: Required value`,
    ],
    [
      'ClusterRoleBinding',
      { subjects: [{ kind: 'ServiceAccount', name: 'bot' }] },
      'subjects[0].namespace: Required value',
    ],
    [
      'RoleBinding',
      { subjects: [{ kind: 'Robot', name: 'x' }] },
      'subjects[0].kind: Unsupported value: "Robot": supported values: "ServiceAccount", "User", "Group"',
    ],
  ];
  for (const [kind, fields, text] of cases) {
    assert.equal(binding(kind, fields).errors.join('|'), text);
  }
});

test('a binding keeps its role', () => {
  const { hub } = binding('ClusterRoleBinding', {});
  const next = { ...hub, roleRef: { ...hub.roleRef, name: 'edit' } };
  assert.deepEqual(updated<ClusterRoleBinding>(next, hub).errors, [
    `roleRef: Invalid value: {"kind":"ClusterRole","name":"edit","apiGroup":"${group}"}: cannot change roleRef`,
  ]);
  assert.deepEqual(updated<ClusterRoleBinding>(hub, hub).errors, []);
});

test('bindings in a list', () => {
  const { cells } = binding('RoleBinding', {
    subjects: [
      { kind: 'User', name: 'jane' },
      { kind: 'User', name: 'joe' },
      { kind: 'ServiceAccount', name: 'bot', namespace: 'ci' },
    ],
  });
  const row = cells(0);
  assert.equal(row['Role'], 'ClusterRole/view');
  assert.equal(row['Users'], 'jane, joe');
  assert.equal(row['Groups'], '');
  assert.equal(row['ServiceAccounts'], 'ci/bot');
});
