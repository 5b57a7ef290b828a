/** Whether a node's own kubeconfig still opens a door, whatever has become of its files. */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { silentLog } from '#kit/log.ts';
import { systemRandom } from '#kit/random.ts';
import { issueCertificate } from '#kit/x509.ts';
import { isLoginValid } from './kubeconfig-access.ts';

test('a login counts until its certificate ends, and not when its files are gone or broken', (context) => {
  const folder = mkdtempSync(join(tmpdir(), 'coracle-login-'));
  context.after(() => rmSync(folder, { recursive: true }));
  const path = join(folder, 'kubelet.conf');
  const isValid = (nowMs: number): boolean =>
    isLoginValid({ clock: { now: () => nowMs }, log: silentLog }, path);
  assert.equal(isValid(0), false, 'there is none yet');
  const validity = { notBeforeMs: 0, notAfterMs: 100_000 };
  const named = { commonName: 'system:node:n', role: 'client' } as const;
  const { cert } = issueCertificate({ random: systemRandom() }, { ...named, ...validity });
  writeFileSync(join(folder, 'pem'), cert);
  const clusters = [{ name: 'c', cluster: { server: 'https://a:6443' } }];
  const users = [{ name: 'u', user: { 'client-certificate': 'pem' } }];
  const contexts = [{ name: 'x', context: { cluster: 'c', user: 'u' } }];
  writeFileSync(path, JSON.stringify({ clusters, users, contexts, 'current-context': 'x' }));
  assert.deepEqual([isValid(99_999), isValid(100_000)], [true, false]);
  writeFileSync(join(folder, 'pem'), cert.slice(0, 100));
  assert.equal(isValid(0), false, 'half a certificate');
  rmSync(join(folder, 'pem'));
  assert.equal(isValid(0), false, 'its certificate was removed');
  writeFileSync(path, 'clusters: [');
  assert.equal(isValid(0), false, 'half a file');
});
