/** The warnings that upstream's v1.36 wrote for the same policies, but for its random numbers. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { openCatalog } from '../resources.ts';
import type {
  RuleWithOperations,
  ValidatingAdmissionPolicy,
} from '../types/admissionregistration-v1.ts';
import { openTypeCheck } from './policy-types.ts';

const catalog = openCatalog();
type Spec = NonNullable<ValidatingAdmissionPolicy['spec']>;

function rule(apiGroups: string, ...resources: readonly string[]): RuleWithOperations {
  return {
    apiGroups: [apiGroups],
    apiVersions: ['v1'],
    operations: ['CREATE'],
    resources: [...resources],
  };
}

function open(rules: readonly RuleWithOperations[], spec: Spec = {}) {
  const policy: ValidatingAdmissionPolicy = {
    apiVersion: 'admissionregistration.k8s.io/v1',
    kind: 'ValidatingAdmissionPolicy',
    metadata: { name: 'p' },
    spec: { matchConstraints: { resourceRules: [...rules] }, ...spec },
  };
  return openTypeCheck(policy, catalog);
}

/** Each problem without its mark: `apps/v1, Kind=Deployment: ERROR: <input>:1:12: undefined …`. */
function problems(expression: string, rules: readonly RuleWithOperations[], spec?: Spec) {
  return [...open(rules, spec).check(expression)].flatMap((one) =>
    one === undefined ? [] : (one.split('\n')[0] ?? ''),
  );
}

const deployments = [rule('apps', 'deployments')];
const pods = [rule('', 'pods')];

test('a field that is not there is told with its place, for each kind in its order', () => {
  const text = 'object.spec.nope == 1';
  const [first] = open([rule('batch', 'jobs', 'cronjobs')]).check(text);
  const mark = `${'.'.repeat(11)}^`;
  const where = 'batch/v1, Kind=CronJob: ERROR: <input>:1:12';
  assert.equal(first, `${where}: undefined field 'nope'\n | ${text}\n | ${mark}\n`);
  const rules = [rule('', 'services', 'events', 'pods/status'), rule('apps', 'statefulset')];
  assert.deepEqual(problems('object.data.x == 1', rules), [
    "/v1, Kind=Event: ERROR: <input>:1:7: undefined field 'data'",
    "/v1, Kind=Service: ERROR: <input>:1:7: undefined field 'data'",
    "apps/v1, Kind=StatefulSet: ERROR: <input>:1:7: undefined field 'data'",
    "events.k8s.io/v1, Kind=Event: ERROR: <input>:1:7: undefined field 'data'",
  ]);
});

test('fields have the types of the kind', () => {
  const overload = (at: number, types: string) =>
    `ERROR: <input>:1:${at}: found no matching overload for '_==_' applied to '(${types})'`;
  const about = (rules: readonly RuleWithOperations[], expression: string, problem: string) => {
    const [only = ''] = problems(expression, rules);
    assert.equal(only.slice(only.indexOf('ERROR')), problem, expression);
  };
  about(deployments, "object.spec.replicas == 'x'", overload(22, 'int, string'));
  about(pods, 'object.metadata.namespace == 1', overload(27, 'string, int'));
  about(pods, 'object.metadata.__namespace__ == 1', overload(31, 'string, int'));
  about(pods, 'object.metadata.labels == 1', overload(24, 'map(string, string), int'));
  about(pods, 'object.spec.containers == 1', overload(24, 'list(Pod.spec.containers.@idx), int'));
  about(pods, 'object.metadata.creationTimestamp == 1', overload(35, 'timestamp, int'));
  about([rule('', 'secrets')], 'object.data.x == 1', overload(15, 'bytes, int'));
  const leases = [rule('coordination.k8s.io', 'leases')];
  about(leases, 'object.spec.renewTime == 1', overload(23, 'timestamp, int'));
  const free = 'object.metadata.managedFields[0].fieldsV1.x == 3';
  about(pods, free, "ERROR: <input>:1:42: undefined field 'x'");
  const limits = "object.spec.containers[0].resources.limits['cpu'] == '1'";
  about(pods, limits, "ERROR: <input>:1:36: undefined field 'limits'");
  const percent = "object.spec.strategy.rollingUpdate.maxSurge == '25%'";
  assert.deepEqual(problems(percent, deployments), []);
  assert.deepEqual(problems('dyn(object).foo == 1', pods), []);
});

test('parameters and variables are typed, unless nobody knows how', () => {
  const paramKind = { apiVersion: 'v1', kind: 'ConfigMap' };
  const variables = [
    { name: 'wrong', expression: 'object.metadata.nm' },
    { name: 'count', expression: 'object.spec.replicas' },
  ];
  const spec = { paramKind, variables };
  assert.deepEqual(problems('variables.wrong == params.dat.x', deployments, spec), [
    "apps/v1, Kind=Deployment: ERROR: <input>:1:26: undefined field 'dat'",
  ]);
  assert.equal(problems("variables.count == 'x'", deployments, spec).length, 1);
  assert.deepEqual(problems('variables.wrong == params.data.x', deployments, spec), []);
  const unknown = { paramKind: { apiVersion: 'x.example.com/v1', kind: 'Nothing' } };
  assert.deepEqual(problems('params.foo == 1', deployments, unknown), []);
});

test('rules with stars name no kind; messages are places too', () => {
  const validations = [{ expression: 'object.nope == 1', messageExpression: 'string(object.a)' }];
  for (const one of [rule('*', 'deployments'), rule('apps', '*'), rule('apps', 'nothings')]) {
    assert.deepEqual(open([one], { validations }).places, []);
  }
  assert.deepEqual(
    open(deployments, { validations }).places.map(({ fieldRef }) => fieldRef),
    ['spec.validations[0].expression', 'spec.validations[0].messageExpression'],
  );
});
