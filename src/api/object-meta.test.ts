/** Metadata that is refused, in upstream's words, and what an update may not touch. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { covers } from '#test/covers.ts';
import { formatFieldError } from './field-error.ts';
import type { ObjectMeta } from './object.ts';
import { validateObjectMeta, validateObjectMetaUpdate } from './object-meta.ts';

function errors(meta: ObjectMeta, rules: Partial<Parameters<typeof validateObjectMeta>[1]> = {}) {
  return validateObjectMeta(meta, { namespaced: true, nameRule: 'subdomain', ...rules }).map(
    formatFieldError,
  );
}

const subdomain =
  'a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, ' +
  "'-' or '.', " +
  'and must start and end with an alphanumeric character (e.g. ' +
  "'example.com', regex used for validation is " +
  "'[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')";

test('names', () => {
  assert.deepEqual(errors({ name: 'a.b-c', namespace: 'default' }), []);
  assert.deepEqual(errors({ name: 'A_b', namespace: 'default' }), [
    `metadata.name: Invalid value: "A_b": ${subdomain}`,
  ]);
  const long = 'x'.repeat(254);
  assert.deepEqual(errors({ name: long, namespace: 'default' }), [
    `metadata.name: Invalid value: "${long}": must be no more than 253 characters`,
  ]);
  assert.deepEqual(errors({ name: 'x'.repeat(253), namespace: 'default' }), []);
  assert.deepEqual(errors({ namespace: 'default' }), [
    'metadata.name: Required value: name or generateName is required',
  ]);
});

test('stricter rules for names', () => {
  const one = (name: string, nameRule: 'label' | 'label1035' | 'pathSegment') =>
    errors({ name }, { namespaced: false, nameRule }).length;
  assert.equal(one('a.b', 'label'), 1);
  assert.equal(one('1a', 'label'), 0);
  assert.equal(one('Foo_bar', 'label'), 1);
  assert.equal(one('1a', 'label1035'), 1);
  assert.equal(one('a1', 'label1035'), 0);
  assert.equal(one('system:node', 'pathSegment'), 0);
  assert.equal(one('a/b', 'pathSegment'), 1);
  assert.equal(one('..', 'pathSegment'), 1);
});

test('a prefix for generated names may end in a dash', () => {
  const meta = { name: 'web-x7k2m', namespace: 'default' };
  assert.deepEqual(errors({ ...meta, generateName: 'web-' }), []);
  assert.equal(errors({ ...meta, generateName: 'Web-' }).length, 1);
});

test('namespaces where they belong', () => {
  assert.deepEqual(errors({ name: 'a' }), ['metadata.namespace: Required value']);
  assert.deepEqual(errors({ name: 'a', namespace: 'b' }, { namespaced: false }), [
    'metadata.namespace: Forbidden: not allowed on this type',
  ]);
});

test('labels', () => {
  covers('API-033', 'API-035');
  const label = (key: string, value: string) =>
    errors({ name: 'a', namespace: 'b', labels: { [key]: value } });
  assert.deepEqual(label('example.com/a_b.c-d', 'x_y.z'), []);
  assert.deepEqual(label('a', ''), []);
  assert.deepEqual(label('a', 'x'.repeat(64)).length, 1);
  assert.match(
    label('disktype', 'ssd.')[0] ?? '',
    /^metadata\.labels: Invalid value: "ssd\.": a valid label must be an empty string or/,
  );
  assert.equal(label('x'.repeat(64), 'a').length, 1);
  // As long as they may be.
  const longest = `${'x'.repeat(253)}/${'y'.repeat(63)}`;
  assert.deepEqual(label(longest, 'z'.repeat(63)), []);
  for (const end of ['-', '_', '.']) {
    for (const text of [`a${end}`, `${end}a`]) {
      assert.equal(label(text, 'a').length, 1, `key ${text}`);
      assert.equal(label('a', text).length, 1, `value ${text}`);
    }
  }
  assert.equal(label('Bad_Prefix/a', 'b').length, 1);
  assert.equal(label('/a', 'b').length, 1);
  assert.ok(label('example.com/', 'b').length > 0);
  const [parts = ''] = label('a/b/c', 'd');
  assert.match(parts, /^metadata\.labels: Invalid value: "a\/b\/c": a valid label key must/);
  assert.match(parts, / with an optional DNS subdomain prefix and '\/' \(e\.g\. 'example\.com\//);
  assert.equal(label(`${'x'.repeat(254)}/a`, 'b').length, 1);
});

test('annotations have limits in keys and in sum', () => {
  const meta = { name: 'a', namespace: 'b' };
  assert.deepEqual(errors({ ...meta, annotations: { UPPER: '{"any": "text"}' } }), []);
  assert.equal(errors({ ...meta, annotations: { 'a b': '' } }).length, 1);
  assert.deepEqual(errors({ ...meta, annotations: { a: 'x'.repeat(256 * 1024) } }), [
    'metadata.annotations: Too long: may not be more than 262144 bytes',
  ]);
});

test('owners', () => {
  const owner = { apiVersion: 'apps/v1', kind: 'ReplicaSet', name: 'r', uid: 'u' };
  const owned = (...ownerReferences: (typeof owner & { controller?: boolean })[]) =>
    errors({ name: 'a', namespace: 'b', ownerReferences });
  assert.deepEqual(owned(owner), []);
  assert.deepEqual(owned({ ...owner, uid: '' }), [
    'metadata.ownerReferences.uid: Invalid value: "": must not be empty',
  ]);
  const [problem] = owned({ ...owner, controller: true }, { ...owner, controller: true });
  assert.match(problem ?? '', /Only one reference can have Controller set to true/);
  assert.match(
    owned({ ...owner, apiVersion: 'v1', kind: 'Event' })[0] ?? '',
    /is disallowed from being an owner/,
  );
});

test('finalizers', () => {
  const finalized = (...finalizers: string[]) => errors({ name: 'a', namespace: 'b', finalizers });
  assert.deepEqual(finalized('foregroundDeletion', 'example.com/x'), []);
  assert.deepEqual(finalized('mine'), [
    'metadata.finalizers[0]: Invalid value: "mine": name is neither a standard finalizer name nor is it fully qualified',
  ]);
  assert.equal(finalized('orphan', 'foregroundDeletion').length, 1);
});

test('an update may not change what identifies an object', () => {
  const old: ObjectMeta = { name: 'a', namespace: 'b', uid: 'u', generation: 3 };
  const change = (next: ObjectMeta) => validateObjectMetaUpdate(next, old).map(formatFieldError);
  assert.deepEqual(change({ name: 'a', namespace: 'b' }), []);
  assert.deepEqual(change({ name: 'c', namespace: 'b' }), [
    'metadata.name: Invalid value: "c": field is immutable',
  ]);
  assert.deepEqual(change({ ...old, uid: 'v' }), [
    'metadata.uid: Invalid value: "v": field is immutable',
  ]);
  assert.deepEqual(change({ ...old, generation: 2 }), [
    'metadata.generation: Invalid value: 2: must not be decremented',
  ]);
});

test('an object on its way out gets no new finalizers', () => {
  const old: ObjectMeta = {
    name: 'a',
    finalizers: ['x.io/a'],
    deletionTimestamp: '2026-01-01T00:00:00Z',
  };
  const change = (finalizers: string[]) =>
    validateObjectMetaUpdate({ ...old, finalizers }, old).map(formatFieldError);
  assert.deepEqual(change([]), []);
  assert.deepEqual(change(['x.io/a', 'x.io/b']), [
    'metadata.finalizers: Forbidden: no new finalizers can be added if the object is being ' +
      'deleted, found new finalizers []string{"x.io/b"}',
  ]);
});
