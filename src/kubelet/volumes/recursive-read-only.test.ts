/** Read-only with all that is below: who may have it, and what is said of it. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  asksRecursiveReadOnly,
  isRecursiveReadOnly,
  mountStatuses,
} from './recursive-read-only.ts';

const mount = { name: 'v', mountPath: '/v', readOnly: true };

test('it is had where it is wanted and the runtime can do it', () => {
  const enabled = { ...mount, recursiveReadOnly: 'Enabled' };
  assert.equal(isRecursiveReadOnly(enabled, true), true);
  const maybe = { ...mount, recursiveReadOnly: 'IfPossible' };
  assert.equal(isRecursiveReadOnly(maybe, true), true);
  assert.equal(isRecursiveReadOnly(maybe, false), false);
  assert.equal(isRecursiveReadOnly(mount, true), false);
  assert.equal(isRecursiveReadOnly({ ...mount, recursiveReadOnly: 'Disabled' }, true), false);
  assert.equal(asksRecursiveReadOnly({ name: 'c', volumeMounts: [mount, maybe] }), true);
  assert.equal(asksRecursiveReadOnly({ name: 'c', volumeMounts: [mount] }), false);
});

test('what cannot be had is refused in upstream’s words', () => {
  const wanted = { ...mount, recursiveReadOnly: 'Enabled' };
  const refused = (change: object, isSupported = true) => {
    try {
      isRecursiveReadOnly({ ...wanted, ...change }, isSupported);
      return 'taken';
    } catch (error) {
      return error instanceof Error ? error.message : '';
    }
  };
  const begin = 'volume "v" requested recursive read-only mode, but it is not';
  assert.equal(refused({ readOnly: false }), `${begin} read-only`);
  const both = refused({ mountPropagation: 'HostToContainer' });
  assert.equal(both, `${begin} compatible with propagation "HostToContainer"`);
  assert.equal(refused({ mountPropagation: 'None' }), 'taken');
  assert.equal(refused({}, false), `${begin} supported by the runtime`);
});

test('a status says of each mount what it is', () => {
  const other = { name: 'w', mountPath: '/w' };
  const plain = { name: 'x', mountPath: '/x', readOnly: true };
  assert.deepEqual(mountStatuses({ name: 'c', volumeMounts: [mount, other, plain] }, ['/v']), [
    { name: 'v', mountPath: '/v', readOnly: true, recursiveReadOnly: 'Enabled' },
    { name: 'w', mountPath: '/w' },
    { name: 'x', mountPath: '/x', readOnly: true, recursiveReadOnly: 'Disabled' },
  ]);
});
