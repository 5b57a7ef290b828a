/** A component says which Kubernetes it speaks, as upstream's do. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { componentVersion } from './component-version.ts';

test('components of upstream tell the version of Kubernetes, the program its own', () => {
  const words = /^Kubernetes v1\.36\.\d+\+coracle$/;
  for (const command of ['kubelet', 'kube-scheduler', 'kube-controller-manager']) {
    for (const flag of ['--version', '--version=true']) {
      assert.match(componentVersion([command, flag]) ?? '', words, `${command} ${flag}`);
    }
    assert.match(componentVersion([command, '--version=raw']) ?? '', /"gitVersion": "v1\.36/);
    assert.equal(componentVersion([command, '--version=false']), undefined);
    assert.equal(componentVersion([command, '--v', '2']), undefined);
  }
  assert.equal(componentVersion(['--version']), undefined);
  assert.equal(componentVersion(['up', '--version']), undefined);
});
