/** Upstream's files of certificates, written and read again. */
import assert from 'node:assert/strict';
import { mkdtempSync, readdirSync, readlinkSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { CertificateStore } from './certificate-store.ts';

const folder = mkdtempSync(join(tmpdir(), 'coracle-test-'));
after(() => rmSync(folder, { recursive: true }));

const block = (kind: string, text: string): string =>
  `-----BEGIN ${kind}-----\n${text}\n-----END ${kind}-----\n`;
const pair = (name: string) => ({
  cert: block('CERTIFICATE', `${name}+1`) + block('CERTIFICATE', `${name}+2`),
  key: block('EC PRIVATE KEY', `${name}+key`),
});

test('the newest is current, the others stay', () => {
  const store = new CertificateStore(join(folder, 'pki'), 'kubelet-client');
  assert.equal(store.read(), undefined);
  store.write(pair('a'), Date.UTC(2026, 10, 21, 12, 45, 29));
  assert.deepEqual(store.read(), pair('a'));
  store.write(pair('b'), Date.UTC(2026, 10, 21, 12, 45, 30));
  assert.deepEqual(store.read(), pair('b'));
  const names = readdirSync(join(folder, 'pki')).sort();
  const dated = [
    'kubelet-client-2026-11-21-12-45-29.pem',
    'kubelet-client-2026-11-21-12-45-30.pem',
  ];
  assert.deepEqual(names, [...dated, 'kubelet-client-current.pem']);
  assert.ok(readlinkSync(store.currentPath).endsWith(dated[1] ?? ''));
  assert.equal(statSync(store.currentPath).mode & 0o777, 0o600);
});
