/** What expressions of admission may name, and of which type they have to be. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseType } from '#cel';
import { compileAdmissionExpression, type Names, type Wanted } from './admission-expression.ts';

const all: Names = { params: true, authorizer: true };

function problemOf(expression: string, names: Names = all, wanted: Wanted = ['bool']): string {
  const compiled = compileAdmissionExpression(expression, names, wanted);
  return compiled.ok ? '' : compiled.problem;
}

test('object, request, namespace, parameters and who may do what', () => {
  for (const expression of [
    'object.spec.replicas > oldObject.spec.replicas',
    'request.userInfo.groups.exists(g, g == "a") && request.namespace != request.name',
    'request.kind.group == "apps" && request.options.x == 1 && request.dryRun',
    'namespaceObject.metadata.labels["a"] == "b"',
    'namespaceObject.status.conditions.all(c, c.lastTransitionTime > timestamp("2026-01-01T00:00:00Z"))',
    'params.max > 3',
    'authorizer.group("apps").resource("deployments").subresource("scale").namespace("x").check("get").allowed()',
    'authorizer.path("/healthz").check("get").reason() == ""',
    'authorizer.serviceAccount("a", "b").path("/x").check("get").errored()',
    'authorizer.requestResource.check("update").allowed()',
  ]) {
    assert.equal(problemOf(expression), '', expression);
  }
});

test('what is not there is told with its place', () => {
  const undeclared = (name: string, column: number, text: string) =>
    `compilation failed: ERROR: <input>:1:${column}: undeclared reference to '${name}' ` +
    `(in container '')\n | ${text}\n | ${'.'.repeat(column - 1)}^`;
  const none: Names = { params: false, authorizer: false };
  assert.equal(problemOf('params.a', none), undeclared('params', 1, 'params.a'));
  const text = 'true || variables.a';
  assert.equal(problemOf(text), undeclared('variables', 9, text));
  assert.match(problemOf('authorizer.path("/")', none), /undeclared reference to 'authorizer'/);
  assert.match(problemOf('request.nothing == ""'), /undefined field 'nothing'/);
});

test('variables have the types of their expressions, and places ask for types', () => {
  const variables = new Map([['name', parseType('string')]]);
  const names: Names = { ...all, variables };
  assert.equal(problemOf('variables.name == "x"', names), '');
  assert.match(problemOf('variables.name == 1', names), /found no matching overload for '_==_'/);
  assert.match(problemOf('variables.other', names), /undefined field 'other'/);
  assert.equal(problemOf('object.a'), 'must evaluate to bool but got dyn');
  assert.equal(problemOf('"a"', all, ['string', 'null']), '');
  assert.equal(problemOf('null', all, ['string', 'null']), '');
  assert.equal(
    problemOf('1', all, ['string', 'null']),
    'must evaluate to one of [string null_type] but got int',
  );
  assert.equal(problemOf('[1, 2]', all, []), '');
});
