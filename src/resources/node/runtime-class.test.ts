/** Runtime classes: the first shape and today's, refusals, what stays. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { shown, updated, written } from '#test/descriptor.ts';
import type { RuntimeClass } from '../types/node-v1.ts';

const metadata = { name: 'sandboxed' };

function create(fields: object, version = 'v1') {
  const apiVersion = `node.k8s.io/${version}`;
  return written<RuntimeClass>({ apiVersion, kind: 'RuntimeClass', metadata, ...fields });
}

test('a class of the first days has its handler in a spec', () => {
  const overhead = { podFixed: { cpu: '100m' } };
  const first = create({ spec: { runtimeHandler: 'runsc', overhead } }, 'v1alpha1');
  for (const { hub, errors, cells } of [
    first,
    create({ handler: 'runsc', overhead }),
    create({ handler: 'runsc', overhead }, 'v1beta1'),
  ]) {
    assert.deepEqual(errors, []);
    assert.deepEqual(hub, {
      apiVersion: 'node.k8s.io/v1',
      kind: 'RuntimeClass',
      metadata,
      handler: 'runsc',
      overhead,
    });
    assert.equal(cells(0)['Handler'], 'runsc');
  }
  const alpha = JSON.parse(JSON.stringify(shown(first.hub, 'node.k8s.io/v1alpha1')));
  assert.deepEqual(alpha.spec, { runtimeHandler: 'runsc', overhead });
  assert.equal('handler' in alpha, false);
});

test('classes that are refused, and what stays', () => {
  assert.match(create({ handler: '' }).errors.join(), /^handler: Required value$/);
  const toleration = { key: 'a', operator: 'Exists' };
  assert.deepEqual(
    create({
      handler: 'x',
      overhead: { podFixed: { cpu: '-1' } },
      scheduling: { tolerations: [toleration, toleration] },
    }).errors,
    [
      'overhead.limits[cpu]: Invalid value: "-1": must be greater than or equal to 0',
      'scheduling.tolerations[1]: Duplicate value: {"key":"a","operator":"Exists"}',
    ],
  );
  const { hub } = create({ handler: 'x' });
  assert.deepEqual(updated({ ...hub, handler: 'y' }, hub).errors, [
    'handler: Invalid value: "y": field is immutable',
  ]);
});
