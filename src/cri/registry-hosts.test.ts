/** What containerd is told of registries. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { loginLines, planHostFiles, quote, type RegistryAccess } from './registry-hosts.ts';

function access(more: Partial<RegistryAccess>): RegistryAccess {
  const files = { caFile: undefined, certFile: undefined, keyFile: undefined };
  return { login: undefined, ...files, skipsVerification: false, ...more };
}

test('mirrors come before the registry itself, each with its certificates', () => {
  const files = planHostFiles({
    mirrors: new Map([
      ['docker.io', ['https://m.example.com:5000', 'http://10.0.0.1/v2/hub']],
      ['*', ['https://all.example.com']],
    ]),
    access: new Map([
      ['m.example.com:5000', access({ caFile: '/ca.pem', certFile: '/c.pem', keyFile: '/k.pem' })],
      ['127.0.0.1:5000', access({ skipsVerification: true })],
      ['only.example.com', access({ login: undefined })],
    ]),
  });
  const body = (name: string): readonly string[] =>
    (files.get(name) ?? '').split('\n').slice(1).filter(Boolean);
  assert.deepEqual(body('docker.io'), [
    'server = "https://registry-1.docker.io"',
    'capabilities = ["pull", "resolve"]',
    '[host."https://m.example.com:5000"]',
    'capabilities = ["pull", "resolve"]',
    'ca = "/ca.pem"',
    'client = [["/c.pem", "/k.pem"]]',
    '[host."http://10.0.0.1/v2/hub"]',
    'override_path = true',
    'capabilities = ["pull", "resolve"]',
  ]);
  assert.deepEqual(body('_default'), [
    '[host."https://all.example.com"]',
    'capabilities = ["pull", "resolve"]',
  ]);
  assert.deepEqual(body('127.0.0.1:5000'), [
    'server = "https://127.0.0.1:5000"',
    'capabilities = ["pull", "resolve"]',
    'skip_verify = true',
    '[host."https://127.0.0.1:5000"]',
    'capabilities = ["pull", "resolve"]',
    'skip_verify = true',
  ]);
  assert.equal(files.has('only.example.com'), false, 'nothing but a login');
});

test('logins are lines of the configuration, quoted', () => {
  const login = { username: 'u', password: 'p"\\\n', auth: '', identityToken: '' };
  const registries = { mirrors: new Map(), access: new Map([['r:5000', access({ login })]]) };
  assert.deepEqual(loginLines('t.registry', registries), [
    '[t.registry.configs."r:5000".auth]',
    '  username = "u"',
    '  password = "p\\"\\\\\\n"',
  ]);
  assert.equal(quote('\u007f'), '"\\u007f"');
});
