/** The user's kubeconfig gains and loses one context; everything else in it stays. */
import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { parseYaml } from '#kit/yaml.ts';
import { kubeconfigText, mergeContext, removeContext, userKubeconfigPath } from './kubeconfig.ts';

const access = {
  server: 'https://127.0.0.1:6443',
  caCert: 'authority',
  client: { cert: 'certificate', key: 'key' },
};

function inFolder(run: (folder: string) => Promise<void>): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), 'coracle-kubeconfig-'));
  return run(folder).finally(() => rmSync(folder, { recursive: true }));
}

test('a missing file is made, owner only, with the context as the current one', () =>
  inFolder(async (folder) => {
    const path = join(folder, '.kube/config');
    assert.equal(await mergeContext(path, 'coracle', access), true);
    assert.equal(statSync(path).mode & 0o777, 0o600);
    const whole = parseYaml(kubeconfigText('coracle', access));
    assert.deepEqual(parseYaml(readFileSync(path, 'utf8')), whole);
  }));

test('another context stays current, comments stay, twice is once, and removal undoes it', () =>
  inFolder(async (folder) => {
    const path = join(folder, 'config');
    const original = [
      'apiVersion: v1',
      'kind: Config',
      '# my work cluster',
      'clusters:',
      '  - name: work',
      '    cluster:',
      '      server: https://work.example:6443',
      'contexts:',
      '  - name: work',
      '    context:',
      '      cluster: work',
      '      user: me',
      'users: []',
      'current-context: work',
      '',
    ].join('\n');
    writeFileSync(path, original);
    assert.equal(await mergeContext(path, 'coracle', access), false);
    assert.equal(await mergeContext(path, 'coracle', access), false);
    const merged = readFileSync(path, 'utf8');
    assert.match(merged, /# my work cluster/);
    assert.match(merged, /current-context: work/);
    assert.equal(merged.match(/name: coracle/g)?.length, 3);
    await removeContext(path, 'coracle');
    const removed = readFileSync(path, 'utf8');
    assert.deepEqual(parseYaml(removed), parseYaml(original));
    assert.match(removed, /# my work cluster/);
  }));

test('new entries go to the first existing file of the list, else the first', () =>
  inFolder(async (folder) => {
    const there = join(folder, 'b');
    writeFileSync(there, '');
    assert.equal(userKubeconfigPath(`${join(folder, 'a')}:${there}`, '/home/x'), there);
    assert.equal(userKubeconfigPath('/none/a:/none/b', '/home/x'), '/none/a');
    assert.equal(userKubeconfigPath(undefined, '/home/x'), '/home/x/.kube/config');
  }));
