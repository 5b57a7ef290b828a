/** Webhook configurations and admission policies: defaults, refusals, lists. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { KubeObject } from '#api/object.ts';
import { shown, written } from '#test/descriptor.ts';
import type {
  MutatingAdmissionPolicy,
  MutatingWebhookConfiguration,
  ValidatingAdmissionPolicy,
  ValidatingAdmissionPolicyBinding,
  ValidatingWebhookConfiguration,
} from '../types/admissionregistration-v1.ts';

const group = 'admissionregistration.k8s.io';

function create<T extends KubeObject>(kind: string, fields: object, version = 'v1') {
  const metadata = { name: 'one' };
  return written<T>({ apiVersion: `${group}/${version}`, kind, metadata, ...fields });
}

const rule = { operations: ['CREATE'], apiGroups: [''], apiVersions: ['v1'], resources: ['pods'] };
const webhook = {
  name: 'a.example.com',
  clientConfig: { service: { name: 'hook', namespace: 'default' } },
  sideEffects: 'None',
  admissionReviewVersions: ['v1'],
  rules: [rule],
};

test('webhooks fail closed and wait ten seconds unless they say otherwise', () => {
  const { hub, errors, cells } = create<MutatingWebhookConfiguration>(
    'MutatingWebhookConfiguration',
    { webhooks: [webhook] },
  );
  assert.deepEqual(errors, []);
  assert.equal(cells(0)['Webhooks'], 1);
  assert.deepEqual(hub.webhooks, [
    {
      ...webhook,
      clientConfig: { service: { name: 'hook', namespace: 'default', port: 443 } },
      rules: [{ ...rule, scope: '*' }],
      failurePolicy: 'Fail',
      matchPolicy: 'Equivalent',
      namespaceSelector: {},
      objectSelector: {},
      timeoutSeconds: 10,
      reinvocationPolicy: 'Never',
    },
  ]);
  const validating = create<ValidatingWebhookConfiguration>('ValidatingWebhookConfiguration', {
    webhooks: [webhook],
  });
  assert.equal('reinvocationPolicy' in (validating.hub.webhooks?.[0] ?? {}), false);
});

test('webhooks that are refused', () => {
  const cases: readonly [object, string][] = [
    [
      { name: 'short' },
      'webhooks[0].name: Invalid value: "short": should be a domain with at least three segments separated by dots',
    ],
    [
      { sideEffects: '' },
      'webhooks[0].sideEffects: Unsupported value: "": supported values: "None", "NoneOnDryRun"',
    ],
    [
      { timeoutSeconds: 31 },
      'webhooks[0].timeoutSeconds: Invalid value: 31: the timeout value must be between 1 and 30 seconds',
    ],
    [
      { clientConfig: {} },
      'webhooks[0].clientConfig: Required value: exactly one of url or service is required',
    ],
    [
      { clientConfig: { url: 'http://x/?a' } },
      'webhooks[0].clientConfig.url: Invalid value: "http": \'https\' is the only allowed URL scheme; desired format: https://host[/path]|webhooks[0].clientConfig.url: Invalid value: "a": query parameters are not permitted in the URL',
    ],
    [
      { admissionReviewVersions: ['v2'] },
      'webhooks[0].admissionReviewVersions: Invalid value: ["v2"]: must include at least one of v1, v1beta1',
    ],
    [
      { rules: [{ ...rule, operations: ['*', 'READ'] }] },
      'webhooks[0].rules[0].operations: Invalid value: ["*","READ"]: if \'*\' is present, must not specify other operations|webhooks[0].rules[0].operations[1]: Unsupported value: "READ": supported values: "*", "CONNECT", "CREATE", "DELETE", "UPDATE"',
    ],
  ];
  for (const [fields, text] of cases) {
    const webhooks = [{ ...webhook, ...fields }];
    const { errors } = create('ValidatingWebhookConfiguration', { webhooks });
    assert.equal(errors.join('|'), text);
  }
  const { errors } = create('ValidatingWebhookConfiguration', { webhooks: [webhook, webhook] });
  assert.deepEqual(errors, ['webhooks[1].name: Duplicate value: "a.example.com"']);
});

const matchConstraints = { resourceRules: [rule] };

test('policies fail closed, and say what they are about', () => {
  const kind = 'ValidatingAdmissionPolicy';
  const spec = { matchConstraints, validations: [{ expression: 'true' }] };
  const { hub, errors, cells } = create<ValidatingAdmissionPolicy>(kind, { spec });
  assert.deepEqual(errors, []);
  assert.equal(hub.spec?.failurePolicy, 'Fail');
  assert.deepEqual(hub.spec?.matchConstraints, {
    resourceRules: [{ ...rule, scope: '*' }],
    matchPolicy: 'Equivalent',
    namespaceSelector: {},
    objectSelector: {},
  });
  assert.equal(cells(0)['Validations'], 1);
  assert.equal(cells(0)['ParamKind'], '<unset>');
  const refused = { paramKind: { kind: 'X' }, validations: [{ expression: ' ' }] };
  assert.deepEqual(create(kind, { spec: refused }).errors, [
    'spec.paramKind.apiVersion: Required value',
    'spec.matchConstraints: Required value',
    'spec.validations[0].expression: Required value: expression is not specified',
  ]);
});

test('policies that change objects say how', () => {
  const kind = 'MutatingAdmissionPolicy';
  const mutations = [{ patchType: 'JSONPatch', jsonPatch: { expression: '[]' } }];
  const spec = { matchConstraints, mutations, reinvocationPolicy: 'Never' };
  const { hub, errors } = create<MutatingAdmissionPolicy>(kind, { spec }, 'v1beta1');
  assert.deepEqual(errors, []);
  assert.equal(hub.apiVersion, `${group}/v1`);
  assert.equal(shown(hub, `${group}/v1beta1`).apiVersion, `${group}/v1beta1`);
  const broken = [{ patchType: 'Scribble' }, { patchType: 'ApplyConfiguration' }];
  assert.deepEqual(create(kind, { spec: { ...spec, mutations: broken } }).errors, [
    'spec.mutations[0].patchType: Unsupported value: "Scribble": supported values: "ApplyConfiguration", "JSONPatch"',
    'spec.mutations[1].applyConfiguration: Required value: must be specified when patchType is ApplyConfiguration',
  ]);
});

test('bindings name a policy and what a violation leads to', () => {
  const kind = 'ValidatingAdmissionPolicyBinding';
  const paramRef = { name: 'p', namespace: 'default', parameterNotFoundAction: 'Deny' };
  const spec = { policyName: 'one', validationActions: ['Deny'], paramRef };
  const { errors, cells } = create<ValidatingAdmissionPolicyBinding>(kind, { spec });
  assert.deepEqual(errors, []);
  assert.equal(cells(0)['ParamRef'], 'default/p');
  assert.deepEqual(
    create(kind, { spec: { validationActions: ['Deny', 'Warn', 'Sue'], paramRef: {} } }).errors,
    [
      'spec.policyName: Required value',
      'spec.paramRef: Required value: one of name or selector must be specified',
      'spec.paramRef.parameterNotFoundAction: Required value',
      'spec.validationActions[2]: Unsupported value: "Sue": supported values: "Audit", "Deny", "Warn"',
      'spec.validationActions: Invalid value: ["Deny","Warn","Sue"]: must not contain both Deny and Warn (repeating the same validation failure information in the API response and headers serves no purpose)',
    ],
  );
  const mutating = create('MutatingAdmissionPolicyBinding', { spec: { policyName: 'one' } });
  assert.deepEqual(mutating.errors, []);
});

test('conditions of webhooks, kinds of parameters and names of variables are judged', () => {
  const matchConditions = [
    { name: 'a', expression: 'true' },
    { name: 'a', expression: ' ' },
  ];
  const hooks = { webhooks: [{ ...webhook, matchPolicy: '', matchConditions }] };
  assert.deepEqual(create('ValidatingWebhookConfiguration', hooks).errors, [
    'webhooks[0].matchPolicy: Unsupported value: "": supported values: "Equivalent", "Exact"',
    'webhooks[0].matchConditions[1].name: Duplicate value: "a"',
    'webhooks[0].matchConditions[1].expression: Required value',
  ]);
  const spec = {
    matchConstraints: { resourceRules: [rule] },
    paramKind: { apiVersion: 'rules.example.com/', kind: 'Limit' },
    variables: [{ name: 'in', expression: '1' }, { name: ' ' }],
    auditAnnotations: [{ key: '', valueExpression: '1' }],
    validations: [{ expression: '1', reason: 'Mood' }],
  };
  const { errors } = create<ValidatingAdmissionPolicy>('ValidatingAdmissionPolicy', { spec });
  assert.deepEqual(
    errors.map((text) => text.replace(/ \(e\.g\..*/, '')),
    [
      'spec.paramKind.apiVersion: Invalid value: "rules.example.com/": version must be specified',
      'spec.variables[0].name: Invalid value: "in": must be a valid CEL identifier',
      'spec.variables[1].name: Required value: name is not specified',
      'spec.variables[1].expression: Required value: expression is not specified',
      'spec.validations[0].expression: Invalid value: "1": must evaluate to bool but got int',
      'spec.validations[0].reason: Unsupported value: "Mood": supported values: "Forbidden", "Invalid", "RequestEntityTooLarge"',
      'spec.auditAnnotations[0].key: Invalid value: "one/": name part must be non-empty',
      `spec.auditAnnotations[0].key: Invalid value: "one/": name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character`,
      'spec.auditAnnotations[0].valueExpression: Invalid value: "1": must evaluate to one of [string null_type] but got int',
    ],
  );
});
