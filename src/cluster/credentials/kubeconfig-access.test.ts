/** Contexts of a kubeconfig: what a connection takes from them, and what is not known. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { accessOf } from './kubeconfig-access.ts';

const base64 = (text: string): string => Buffer.from(text).toString('base64');
const path = '/etc/kube/config';

function config(user: object, cluster: object = { server: 'https://one:6443' }) {
  return {
    'current-context': 'one',
    contexts: [
      { name: 'one', context: { cluster: 'c', user: 'u' } },
      { name: 'lost', context: { cluster: 'gone', user: 'u' } },
    ],
    clusters: [{ name: 'c', cluster }],
    users: [{ name: 'u', user }],
  };
}

const access = (parsed: unknown, context?: string) => accessOf(parsed, { context, path });

test('certificates come as data, tokens as they are', () => {
  const cluster = {
    server: 'https://one:6443',
    'certificate-authority-data': base64('CA'),
    'tls-server-name': 'kubernetes',
  };
  const user = { 'client-certificate-data': base64('CERT'), 'client-key-data': base64('KEY') };
  const found = access(config(user, cluster));
  assert.deepEqual(
    [found.server, found.ca, found.cert, found.key, found.serverName, found.insecure],
    ['https://one:6443', 'CA', 'CERT', 'KEY', 'kubernetes', false],
  );
  assert.equal(access(config({ token: 't' })).token, 't');
  assert.equal(access(config({ tokenFile: 'token' })).tokenFile, '/etc/kube/token');
  const trusting = { server: 'https://one', 'insecure-skip-tls-verify': true };
  assert.equal(access(config({}, trusting)).insecure, true);
});

test('what is missing or not known is named', () => {
  assert.throws(() => access({}), /no current context; name one with --context/);
  assert.throws(() => access(config({}), 'two'), /there is no two among its contexts/);
  assert.throws(() => access(config({}), 'lost'), /there is no gone among its clusters/);
  assert.throws(() => access(config({ exec: {} })), /login by exec is not known/);
  assert.throws(() => access(config({}, {})), /context one names no server/);
});
