/** From registries.yaml to what the runtime is told. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseRegistries } from './registries.ts';

test('mirrors, logins and certificates are read, paths relative to the file', () => {
  const found = parseRegistries(
    `mirrors:
  docker.io:
    endpoint: ["mirror.example.com:5000", "http://10.0.0.1/v2/hub"]
  "*":
    endpoint: ["https://all.example.com"]
configs:
  mirror.example.com:5000:
    auth: { username: u, password: p }
    tls: { ca_file: ca.pem, cert_file: /c.pem, key_file: /k.pem, insecure_skip_verify: true }
  r.example.com: { auth: { identity_token: t } }
`,
    '/etc/coracle',
  );
  assert.ok(typeof found !== 'string', String(found));
  assert.deepEqual(
    [...found.mirrors],
    [
      ['docker.io', ['https://mirror.example.com:5000', 'http://10.0.0.1/v2/hub']],
      ['*', ['https://all.example.com']],
    ],
  );
  assert.deepEqual(found.access.get('mirror.example.com:5000'), {
    login: { username: 'u', password: 'p', auth: '', identityToken: '' },
    ...{ caFile: '/etc/coracle/ca.pem', certFile: '/c.pem', keyFile: '/k.pem' },
    skipsVerification: true,
  });
  assert.equal(found.access.get('r.example.com')?.login?.identityToken, 't');
});

test('an empty file says nothing; what cannot be used is refused', () => {
  const empty = parseRegistries('', '/');
  assert.ok(typeof empty !== 'string' && empty.mirrors.size === 0 && empty.access.size === 0);
  assert.match(String(parseRegistries('mirror: {}', '/')), /unknown field "mirror"/);
  assert.match(String(parseRegistries('mirrors: [a]', '/')), /mirrors/);
  const mirrors = (of: string) => String(parseRegistries(`mirrors: { r: ${of} }`, '/'));
  assert.match(mirrors('{ endpoint: ["ftp://a"] }'), /^mirrors\[r\]\.endpoint: must be addresses/);
  assert.match(mirrors('{ endpoint: [""] }'), /^mirrors\[r\]\.endpoint: must be addresses/);
  assert.match(mirrors('{ rewrite: { a: b } }'), /^mirrors\[r\]\.rewrite: the runtime cannot/);
});
