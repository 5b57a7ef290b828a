/** LimitRanges: what follows from what, and amounts that leave no room. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { written } from '#test/descriptor.ts';
import type { LimitRange } from '../types/core-v1.ts';

const create = (...limits: readonly object[]) =>
  written<LimitRange>({
    apiVersion: 'v1',
    kind: 'LimitRange',
    metadata: { name: 'limits' },
    spec: { limits },
  });

test('limits follow from maxima, requests from limits, then from minima', () => {
  const max = { cpu: '2' };
  const min = { cpu: '100m', memory: '1Mi' };
  const { hub, errors } = create({ type: 'Container', max, min });
  assert.deepEqual(errors, []);
  const [item] = hub.spec?.limits ?? [];
  assert.deepEqual(item?.default, { cpu: '2' });
  assert.deepEqual(item?.defaultRequest, { cpu: '2', memory: '1Mi' });
  assert.deepEqual(create({ type: 'Pod', max }).hub.spec?.limits, [{ type: 'Pod', max }]);
});

test('ranges that are refused', () => {
  const at = 'spec.limits[0]';
  const cases: readonly [object, string][] = [
    [
      { type: 'Node' },
      `${at}.type: Invalid value: "Node": must be a standard limit type or fully qualified`,
    ],
    [
      { type: 'Pod', default: { cpu: '1' } },
      `${at}.default: Forbidden: may not be specified when \`type\` is 'Pod'`,
    ],
    [
      { type: 'Pod', min: { cpu: '2' }, max: { cpu: '1' } },
      `${at}.min[cpu]: Invalid value: "2": min value 2 is greater than max value 1`,
    ],
    [
      { type: 'Container', default: { cpu: '1' }, defaultRequest: { cpu: '2' } },
      `${at}.defaultRequest[cpu]: Invalid value: "2": default request value 2 is greater than default limit value 1`,
    ],
    [
      { type: 'Container', max: { disk: '1' } },
      `${at}.max[disk]: Invalid value: "disk": must be a standard resource for containers`,
    ],
    [
      { type: 'Pod', min: { cpu: '1' }, max: { cpu: '2' }, maxLimitRequestRatio: { cpu: '3' } },
      `${at}.maxLimitRequestRatio[cpu]: Invalid value: "3": ratio 3 is greater than max/min = 2.000000`,
    ],
    [
      { type: 'PersistentVolumeClaim' },
      `${at}.limits: Required value: either minimum or maximum storage value is required, but neither was provided`,
    ],
  ];
  for (const [item, text] of cases) {
    const { errors } = create(item);
    // Default lists of a container repeat a bad name.
    assert.equal(errors[0], text);
  }
  const twice = create({ type: 'Pod' }, { type: 'Pod' });
  assert.deepEqual(twice.errors, ['spec.limits[1].type: Duplicate value: "Pod"']);
});
