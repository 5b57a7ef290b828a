/** Names of images, good and bad, as upstream's parser judges them. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { referenceProblem } from './reference.ts';

test('names of images', () => {
  const digest = `sha256:${'a'.repeat(64)}`;
  for (const good of [
    'nginx',
    'nginx:1.9.1',
    'a/b/c__d:V1.2-x',
    'localhost/web:1',
    'host:5000/a/b:tag',
    'registry.example.com/team/app',
    `nginx@${digest}`,
    `[::1]:5000/a:1@${digest}`,
  ]) {
    assert.equal(referenceProblem(good), undefined, good);
  }
  assert.equal(
    referenceProblem('Not:1'),
    'invalid reference format: repository name (library/Not) must be lowercase',
  );
  assert.equal(
    referenceProblem('host:5000/A/b'),
    'invalid reference format: repository name (A/b) must be lowercase',
  );
  for (const bad of ['', 'a b', 'a::b', 'nginx:', 'a//b', `nginx@${digest.slice(0, 20)}`, '-a']) {
    assert.equal(referenceProblem(bad), 'invalid reference format', bad);
  }
  assert.match(referenceProblem('a'.repeat(64)) ?? '', /cannot specify 64-byte hexadecimal/);
});
