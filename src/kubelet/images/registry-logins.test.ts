/** Which login fits which image. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Secret } from '#resources/types/core-v1.ts';
import { imagePlace, loginsFor } from './registry-logins.ts';

function encoded(text: string): string {
  return Buffer.from(text).toString('base64');
}

function secret(auths: object): Secret {
  return {
    ...{ apiVersion: 'v1', kind: 'Secret', metadata: { name: 's' } },
    type: 'kubernetes.io/dockerconfigjson',
    data: { '.dockerconfigjson': encoded(JSON.stringify({ auths })) },
  };
}

function names(image: string, ...secrets: readonly Secret[]): readonly string[] {
  return loginsFor(image, secrets).map(({ username }) => username);
}

test('an image has a registry, a path, and perhaps a tag that does not count', () => {
  assert.equal(imagePlace('nginx'), 'docker.io/library/nginx');
  assert.equal(imagePlace('team/app:1'), 'docker.io/team/app');
  assert.equal(imagePlace('localhost:5000/app:1@sha256:abc'), 'localhost:5000/app');
  assert.equal(imagePlace('r.example.com/a/b'), 'r.example.com/a/b');
});

test('the most particular entry comes first, and others do not fit', () => {
  const config = secret({
    'r.example.com': { username: 'host', password: 'p' },
    'https://r.example.com/team/': { auth: encoded('team:p:w') },
    'r.example.com/te': { username: 'not a part of the path' },
    '*.example.com': { username: 'star' },
    'https://index.docker.io/v1/': { username: 'hub' },
    broken: 'x',
    'empty.example.com': {},
  });
  assert.deepEqual(names('r.example.com/team/app:1', config), ['team', 'host', 'star']);
  assert.deepEqual(names('empty.example.com/app', config), ['star']);
  assert.deepEqual(names('a.b.example.com/app', config), []);
  assert.deepEqual(names('nginx', config), ['hub']);
  assert.equal(loginsFor('r.example.com/team/app', [config])[0]?.password, 'p:w');
});

test('the old form is read, and what is no file of logins is no error', () => {
  const old: Secret = {
    ...{ apiVersion: 'v1', kind: 'Secret', metadata: { name: 's' } },
    type: 'kubernetes.io/dockercfg',
    data: { '.dockercfg': encoded(`{"r.example.com":{"auth":"${encoded('old:p')}"}}`) },
  };
  assert.deepEqual(names('r.example.com/app', old), ['old']);
  const broken = { ...old, data: { '.dockercfg': encoded('{') } };
  assert.deepEqual(names('r.example.com/app', broken, { ...old, data: {} }), []);
});
