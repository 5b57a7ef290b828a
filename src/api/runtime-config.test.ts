/** `--runtime-config`: what is on and off, who wins, and upstream's words for what cannot be. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { isEnabled, readRuntimeConfig, versionsAskedFor } from './runtime-config.ts';

function serves(text: string, path: string): boolean {
  const read = readRuntimeConfig(text);
  assert.ok(read.ok, `${text} is read`);
  const [group = '', version = '', plural = ''] = path.split('/');
  return isEnabled(read.config, { group, version }, { plural, isLegacy: group === 'extensions' });
}

test('the narrower setting wins, whatever the order', () => {
  const cases: readonly (readonly [string, string, boolean])[] = [
    ['', 'batch/v1/jobs', true],
    ['batch/v1=false', 'batch/v1/jobs', false],
    ['batch/v1=false', 'batch/v1beta1/cronjobs', true],
    ['batch/v1/jobs=false', 'batch/v1/jobs', false],
    ['batch/v1/jobs=false', 'batch/v1/cronjobs', true],
    ['batch/v1/jobs=true,batch/v1=false', 'batch/v1/jobs', true],
    ['batch/v1/jobs=true,batch/v1=false', 'batch/v1/cronjobs', false],
    ['api/all=false,api/v1=true', '/v1/pods', true],
    ['api/all=false,v1', '/v1/pods', true],
    ['api/all=false,/v1=1', '/v1/pods', true],
    ['api/all=false,api/v1=true', 'apps/v1/deployments', false],
    ['api/ga=true,api/all=false', 'apps/v1/deployments', true],
    ['api/ga=true,api/all=false', 'apps/v1beta1/deployments', false],
    ['api/beta=false', 'apps/v1beta1/deployments', false],
    ['api/beta=false', 'batch/v2alpha1/cronjobs', true],
    ['api/alpha=false', 'batch/v2alpha1/cronjobs', false],
    ['api/legacy=false', 'extensions/v1beta1/ingresses', false],
    ['api/all=false,api/legacy=true', 'extensions/v1beta1/ingresses', true],
    ['api/legacy=false,extensions/v1beta1=t', 'extensions/v1beta1/ingresses', true],
    ['v1/pods=false', '/v1/secrets', false],
  ];
  for (const [text, path, expected] of cases) {
    assert.equal(serves(text, path), expected, `${text}: ${path}`);
  }
});

test('what cannot be meant is refused as upstream does', () => {
  const cases: readonly (readonly [string, string])[] = [
    ['api/all=false', 'invalid runtime-config with only api/all=false'],
    ['a/b/c/d=true', 'runtime-config invalid key a/b/c/d'],
    ['pods=false', 'runtime-config invalid key pods'],
    ['foo/v1=true,bar/v1=no', 'unknown api groups bar/v1,foo/v1'],
    ['apps/v9=true', 'group version apps/v9 that has not been registered'],
    [
      'apps/v1=maybe',
      'invalid value of apps/v1: maybe, err: strconv.ParseBool: parsing "maybe": invalid syntax',
    ],
    [
      'apps/v1/Deployments=false',
      'invalid key apps/v1/Deployments: group/version/resource and resource is always lowercase ' +
        'plural, not "Deployments"',
    ],
    ['api/beta=maybe', 'invalid value api/beta=maybe'],
  ];
  for (const [text, problem] of cases) {
    assert.deepEqual(readRuntimeConfig(text), { ok: false, problem });
  }
});

test('what was asked for by name can be checked against what there is', () => {
  const read = readRuntimeConfig('api/all=true,resource.k8s.io/v1beta1,batch/v1=false,apps/v1/x=1');
  assert.ok(read.ok);
  assert.deepEqual(versionsAskedFor(read.config), ['resource.k8s.io/v1beta1', 'apps/v1']);
});
