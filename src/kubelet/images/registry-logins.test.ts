/** Which login fits which image. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Secret } from '#resources/types/core-v1.ts';
import { fits, fittingLogins, loginHash, parseLoginFile, secretLogins } from './registry-logins.ts';

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

function names(repository: string, ...secrets: readonly Secret[]): readonly string[] {
  const files = secrets.map((each) => ({ file: secretLogins(each), source: {} }));
  return fittingLogins(repository, files).map(({ login }) => login.username);
}

test('the most particular entry comes first, and others do not fit', () => {
  const config = secret({
    'r.example.com': { username: 'host', password: 'p' },
    'https://r.example.com/v2/team/': { auth: encoded('team:p:w') },
    'r.example.com/other': { username: 'other', password: 'p' },
    '*.example.com': { username: 'star' },
    'r.example.com:5000': { username: 'port' },
    'https://index.docker.io/v1/': { username: 'hub' },
    broken: 'x',
    'empty.example.com': {},
  });
  assert.deepEqual(names('r.example.com/team/app', config), ['team', 'host', 'star']);
  assert.deepEqual(names('r.example.com:5000/team/app', config), ['port']);
  assert.deepEqual(names('empty.example.com/app', config), ['star']);
  assert.deepEqual(names('a.b.example.com/app', config), []);
  assert.deepEqual(names('docker.io/library/nginx', config), ['hub']);
  const hub = secret({
    'docker.io': { username: 'by name' },
    'index.docker.io': { username: 'b' },
  });
  assert.deepEqual(names('docker.io/library/nginx', hub), ['by name']);
  assert.equal(secretLogins(config).get('https://r.example.com/v2/team/')?.password, 'p:w');
});

test('several files are one, and those of one place stay in their order', () => {
  const first = secret({ 'r.example.com': { username: 'first' } });
  const second = secret({
    'r.example.com': { username: 'second' },
    'r.example.com/app': { username: 'path' },
  });
  assert.deepEqual(names('r.example.com/app', first, second), ['path', 'first', 'second']);
});

test('hosts have wild cards, one label at a time', () => {
  assert.equal(fits('*.*.registry.io', 'a.b.registry.io/x'), true);
  assert.equal(fits('*.registry.io', 'a.b.registry.io/x'), false);
  assert.equal(fits('app*.k8s.io', 'app1.k8s.io/x'), true);
  assert.equal(fits('r?.k8s.[a-i]o', 'r1.k8s.io/x'), true);
  assert.equal(fits('r.k8s.[io', 'r.k8s.io/x'), false);
  assert.equal(fits('registry.io:8080/path', 'registry.io:8080/path/x'), true);
  assert.equal(fits('registry.io:8080/path', 'registry.io/path/x'), false);
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
  assert.equal(parseLoginFile('[]', { isModern: true }).size, 0);
});

test('a hash is of the login alone', () => {
  const login = { username: 'u', password: 'p', identityToken: '' };
  assert.match(loginHash(login), /^[0-9a-f]{64}$/);
  assert.equal(loginHash(login), loginHash({ ...login }));
  assert.notEqual(loginHash(login), loginHash({ ...login, password: 'q' }));
});
