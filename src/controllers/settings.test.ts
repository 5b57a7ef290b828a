/** Which controllers run, and under which names. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { controllerNames } from './controllers.ts';
import { isEnabled, offByDefault } from './settings.ts';

test('a controller is chosen by name, by a minus before it, or by a star', () => {
  const chosen = (controllers: readonly string[], onByDefault = true): boolean =>
    isEnabled('job-controller', controllers, { onByDefault });
  assert.equal(chosen(['*']), true);
  assert.equal(chosen(['*'], false), false);
  assert.equal(chosen(['*', 'job-controller'], false), true);
  assert.equal(chosen(['*', '-job-controller']), false);
  assert.equal(chosen(['job-controller']), true);
  assert.equal(chosen(['cronjob-controller']), false);
  assert.equal(chosen([]), false);
});

test('those that a star does not mean are there', () => {
  for (const name of offByDefault) assert.ok(controllerNames.includes(name), name);
});
