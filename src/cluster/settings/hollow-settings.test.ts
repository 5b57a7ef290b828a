/** Flags of `coracle hollow`: what they mean, and what is refused in words. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type HollowFlags, readHollowSettings } from './hollow-settings.ts';

const read = (flags: HollowFlags) => readHollowSettings(flags, '/home/me/.kube/config');

test('without flags: one node that never fails', () => {
  const settings = read({});
  assert.equal(settings.kubeconfig, '/home/me/.kube/config');
  assert.deepEqual([settings.count, settings.prefix, settings.firstIndex], [1, 'hollow-', 0]);
  assert.deepEqual(settings.delays, { startMs: 200, readyMs: 0, stopMs: 200 });
  const none = { starts: 0, pulls: 0, missingImages: [], crashesPerHour: 0, flapsPerHour: 0 };
  assert.deepEqual(settings.failures, none);
  assert.equal(settings.jobSeconds, undefined);
});

test('lists, durations and shares are read', () => {
  const settings = read({
    nodes: '1000',
    capacity: 'cpu=4,pods=50',
    labels: 'disk=ssd',
    taints: 'a=b:NoSchedule,c:NoExecute',
    zones: 'x,y',
    startDelay: '1.5s',
    jobDuration: '5s',
    failStarts: '0.1',
    missingImages: 'nginx:1.91,typo',
  });
  assert.deepEqual(settings.capacity, { cpu: '4', pods: '50' });
  assert.deepEqual(settings.labels, { disk: 'ssd' });
  assert.deepEqual(settings.taints, [
    { key: 'a', value: 'b', effect: 'NoSchedule' },
    { key: 'c', effect: 'NoExecute' },
  ]);
  assert.deepEqual(settings.zones, ['x', 'y']);
  assert.equal(settings.delays.startMs, 1500);
  assert.equal(settings.jobSeconds, 5);
  assert.equal(settings.failures.starts, 0.1);
  assert.deepEqual(settings.failures.missingImages, ['nginx:1.91', 'typo']);
});

test('what cannot be used is refused, with the name of the flag', () => {
  const refused: readonly (readonly [HollowFlags, RegExp])[] = [
    [{ nodes: '0' }, /^ConfigError: --nodes 0: at least one$/],
    [{ nodes: '10001' }, /--nodes 10001: not a whole number up to 10000/],
    [{ first: '32767', nodes: '2' }, /--first 32767: there are numbers up to 32767/],
    [{ capacity: 'cpu' }, /--capacity cpu: not key=value/],
    [{ taints: 'a=b' }, /--taints a=b: not key=value:EFFECT/],
    [{ failStarts: '2' }, /--fail-starts 2: not a number from 0 to 1/],
    [{ startDelay: 'soon' }, /--start-delay soon: not a duration like 5s/],
  ];
  for (const [flags, message] of refused) assert.throws(() => read(flags), message);
});
