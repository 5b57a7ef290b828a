/** Events: what each of the two groups takes, of new objects and of changes. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { formatFieldError } from '#api/field-error.ts';
import { eventResource } from './event.ts';

const metadata = { name: 'a', namespace: 'default' };
const event = {
  kind: 'Event',
  apiVersion: 'v1',
  metadata,
  involvedObject: { kind: 'Pod', name: 'web-0', namespace: 'default' },
  eventTime: '2024-05-01T10:00:00.000000Z',
  reportingComponent: 'example.com/c',
  reportingInstance: 'one',
  action: 'Start',
  reason: 'Started',
  type: 'Normal',
};
const old = { group: '', version: 'v1' };
const recent = { group: 'events.k8s.io', version: 'v1' };

test('a new event of the newer group says all that its recorders write, and nothing older', () => {
  const { validateNew } = eventResource();
  const judge = (more: object, asked = recent) =>
    validateNew?.({ ...event, ...more }, asked).map(formatFieldError);
  assert.deepEqual(judge({}), []);
  assert.deepEqual(judge({ type: 'Odd', count: 3, series: { count: 1 } }), [
    'series.count: Invalid value: "": should be at least 2',
    'series.lastObservedTime: Required value',
    'type: Invalid value: "": has invalid value: Odd',
    'count: Invalid value: "": needs to be unset',
  ]);
  assert.deepEqual(judge({ type: 'Odd', count: 3 }, old), []);
});

test('an event of the newer group is not rewritten; its series may grow', () => {
  const { validateUpdate } = eventResource();
  const judge = (more: object, asked = recent) =>
    validateUpdate?.({ ...event, ...more }, event, asked).map(formatFieldError);
  const series = { count: 2, lastObservedTime: '2024-05-01T10:00:01.000000Z' };
  assert.deepEqual(judge({ series }), []);
  assert.deepEqual(judge({ action: 'Stop', involvedObject: { kind: 'Pod' } }), [
    'involvedObject: Invalid value: {"kind":"Pod"}: field is immutable',
    'action: Invalid value: "Stop": field is immutable',
  ]);
  assert.deepEqual(judge({ action: 'Stop' }, old), []);
});

test('who reports has another name in each group', () => {
  const { validate } = eventResource();
  const nobody = { ...event, reportingComponent: '' };
  const judge = (asked: typeof old) => validate(nobody, asked).map(({ field }) => field);
  assert.ok(judge(old).every((field) => field === 'reportingComponent'));
  assert.ok(judge(recent).every((field) => field === 'reportingController'));
});
