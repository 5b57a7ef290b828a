/** What is null is as if it were not there, at any depth; the rest is left alone. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { withoutNulls } from './without-nulls.ts';

test('fields that are null go, whatever is around them', () => {
  const pod = { spec: { volumes: null, containers: [{ name: 'a', ports: null, args: ['x'] }] } };
  assert.deepEqual(withoutNulls(pod), { spec: { containers: [{ name: 'a', args: ['x'] }] } });
});

test('what has none is not copied', () => {
  const pod = { spec: { containers: [{ name: 'a' }] } };
  assert.equal(withoutNulls(pod), pod);
});
