/** Settings of pulls: defaults that depend on each other, and what is refused. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type PullFields, pullSettings } from './pull-settings.ts';

test('one image at a time, unless more are wished for', () => {
  const serial = (fields: PullFields) => pullSettings(fields).serializeImagePulls;
  assert.equal(serial({}), true);
  assert.equal(serial({ maxParallelImagePulls: 1 }), true);
  assert.equal(serial({ maxParallelImagePulls: 3 }), false);
  assert.equal(serial({ serializeImagePulls: false }), false);
});

test('what cannot be is refused in upstream’s words', () => {
  const refused = (fields: PullFields, pattern: RegExp): void => {
    assert.throws(() => pullSettings(fields), pattern);
  };
  refused({ registryPullQPS: -1 }, /registryPullQPS \(--registry-qps\) -1 must not be a negative/);
  refused({ registryBurst: -1 }, /registryBurst \(--registry-burst\) -1 must not be a negative/);
  refused({ maxParallelImagePulls: 0 }, /maxParallelImagePulls 0 must be a positive number/);
  refused(
    { maxParallelImagePulls: 2, serializeImagePulls: true },
    /cannot be larger than 1 unless/,
  );
  const policy = 'imagePullCredentialsVerificationPolicy';
  refused({ [policy]: 'Never' }, /option "Never" specified for .* or "AlwaysVerify"$/);
  const list = 'preloadedImagesVerificationAllowlist';
  refused({ [list]: ['a/*'] }, /^ConfigError: invalid configuration: can't set `preloadedImages/);
  for (const wrong of ['a/*/b', '/*', 'a:1', ' a', '*']) {
    const fields = { [policy]: 'NeverVerifyAllowlistedImages', [list]: [wrong] };
    refused(fields, /invalid image pattern in `preloadedImagesVerificationAllowlist`: /);
  }
});
