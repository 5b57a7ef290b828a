/** Names of images, whole and wrong. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseImageName } from './image-name.ts';

const digest = `sha256:${'ab'.repeat(32)}`;

function parts(image: string): readonly string[] {
  const name = parseImageName(image);
  assert.ok(typeof name !== 'string', `${image}: ${name}`);
  return [name.repository, name.given, name.tag, name.digest];
}

test('an image has a registry, a path, and perhaps a tag and a digest', () => {
  assert.deepEqual(parts('nginx'), ['docker.io/library/nginx', 'nginx', '', '']);
  assert.deepEqual(parts('team/app:1'), ['docker.io/team/app', 'team/app', '1', '']);
  assert.deepEqual(parts('index.docker.io/app')[0], 'docker.io/library/app');
  assert.deepEqual(parts(`localhost:5000/app:1@${digest}`), [
    ...['localhost:5000/app', 'localhost:5000/app', '1', digest],
  ]);
  assert.deepEqual(parts(`r.example.com/a/b@${digest}`), [
    ...['r.example.com/a/b', 'r.example.com/a/b', '', digest],
  ]);
  assert.equal(parts('[::1]:5000/a')[0], '[::1]:5000/a');
});

test('what is no name is told of in the words of clients', () => {
  const format = 'invalid reference format';
  for (const wrong of ['', 'a:', 'a//b', '-a', 'a b', 'a@sha256:12', 'r.example.com/']) {
    assert.equal(parseImageName(wrong), format, wrong);
  }
  assert.equal(
    parseImageName('team/App:1'),
    'invalid reference format: repository name (team/App) must be lowercase',
  );
  assert.equal(
    parseImageName('ab'.repeat(32)),
    `invalid repository name (${'ab'.repeat(32)}), cannot specify 64-byte hexadecimal strings`,
  );
  assert.equal(
    parseImageName(`x/${'a'.repeat(260)}`),
    'repository name must not be more than 255 characters',
  );
});
