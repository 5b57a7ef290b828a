/** Profiles named by annotations, as pods had them before there were fields. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Pod, PodSpec } from '#resources/types/core-v1.ts';
import { covers, superseded } from '#test/covers.ts';
import {
  appArmorWarnings,
  validateAppArmorAnnotations,
  validateAppArmorMatch,
  validateAppArmorUpdate,
  withAppArmorFields,
} from './app-armor-annotations.ts';
import { validatePod } from './spec-validation.ts';

const key = 'container.apparmor.security.beta.kubernetes.io/hello';
const spec: PodSpec = { containers: [{ name: 'hello', image: 'busybox' }] };
const path = `metadata.annotations[${key}]`;

test('a profile is the runtime’s, none, or one of the node; all else is invalid', () => {
  const problems = (profile: string, of: PodSpec = spec) =>
    validateAppArmorAnnotations({ [key]: profile }, of, 'metadata').map(
      ({ field, detail }) => `${field}: ${detail}`,
    );
  for (const good of ['runtime/default', 'unconfined', 'localhost/k8s-deny-write', '']) {
    assert.deepEqual(problems(good), []);
  }
  for (const bad of ['k8s-deny-write', 'docker/default', 'runtime/other']) {
    assert.deepEqual(problems(bad), [`${path}: invalid AppArmor profile name: "${bad}"`]);
  }
  const other: PodSpec = { containers: [{ name: 'other', image: 'busybox' }] };
  assert.deepEqual(problems('unconfined', other), [`${path}: container not found`]);
  assert.deepEqual(validateAppArmorAnnotations({ other: 'x' }, spec, 'metadata'), []);
  const pod = (profile: string): Pod => ({
    ...{ apiVersion: 'v1', kind: 'Pod' },
    metadata: { name: 'hello', namespace: 'default', annotations: { [key]: profile } },
    spec,
  });
  const refused = (profile: string) =>
    validatePod(pod(profile)).filter(({ field }) => field === path).length;
  assert.deepEqual([refused('docker/default'), refused('localhost/k8s-deny-write')], [1, 0]);
  covers('POD-306');
});

test('a new pod gets the field that its annotation stands for', () => {
  const profileFor = (annotation: string, of: PodSpec = spec) =>
    withAppArmorFields(of, { [key]: annotation }).containers[0]?.securityContext?.appArmorProfile;
  assert.deepEqual(profileFor('runtime/default'), { type: 'RuntimeDefault' });
  assert.deepEqual(profileFor('unconfined'), { type: 'Unconfined' });
  const denying = { type: 'Localhost', localhostProfile: 'deny' };
  assert.deepEqual(profileFor('localhost/deny'), denying);
  assert.equal(profileFor('localhost/'), undefined);
  const shared: PodSpec = {
    ...spec,
    securityContext: { appArmorProfile: { type: 'RuntimeDefault' } },
  };
  assert.equal(profileFor('runtime/default', shared), undefined, 'the pod says it');
  assert.equal(withAppArmorFields(spec, { other: 'x' }), spec);
  const both: PodSpec = { containers: [...spec.containers, { name: 'other', image: 'busybox' }] };
  const [, other] = withAppArmorFields(both, { [key]: 'unconfined' }).containers;
  assert.equal(other?.securityContext, undefined, 'it is of one container alone');
  assert.match(
    appArmorWarnings(spec, { [key]: 'unconfined' }, '').join(),
    /^metadata.annotations\[.*hello\]: deprecated since v1.30; use the "appArmorProfile" field/,
  );
  assert.deepEqual(appArmorWarnings(shared, { [key]: 'runtime/default' }, ''), []);
  // What the runtime is given of the field is in test/component/kubelet-node.test.ts.
  const now = 'the field appArmorProfile; the annotation still sets it, and is warned of';
  superseded('POD-305', { by: 'v1.30', now });
});

test('field and annotation agree, and the annotation never changes', () => {
  const problems = (annotation: string, type: string, localhostProfile?: string) => {
    const appArmorProfile = localhostProfile === undefined ? { type } : { type, localhostProfile };
    const pod: Pod = {
      ...{ apiVersion: 'v1', kind: 'Pod' },
      metadata: { name: 'hello', annotations: { [key]: annotation } },
      spec: { containers: [{ name: 'hello', securityContext: { appArmorProfile } }] },
    };
    return validateAppArmorMatch(pod).map(({ field, detail }) => `${field}: ${detail}`);
  };
  assert.deepEqual(problems('unconfined', 'Unconfined'), []);
  assert.deepEqual(problems('localhost/a', 'Localhost', 'a'), []);
  const at = 'spec.containers[0].securityContext.appArmorProfile';
  const type = `${at}.type: apparmor type in annotation and field must match`;
  assert.deepEqual(problems('unconfined', 'RuntimeDefault'), [type]);
  assert.deepEqual(problems('unconfined', 'Localhost', 'a'), [type]);
  assert.deepEqual(problems('localhost/b', 'Localhost', 'a'), [
    `${at}.localhostProfile: apparmor profile in annotation and field must match`,
  ]);
  const change = (next: object, old: object) =>
    validateAppArmorUpdate({ ...next }, { ...old }).map(({ detail }) => detail);
  const changed = 'may not remove or update AppArmor annotations';
  assert.deepEqual(change({ [key]: 'unconfined' }, { [key]: 'runtime/default' }), [changed]);
  assert.deepEqual(change({}, { [key]: 'runtime/default' }), [changed]);
  assert.deepEqual(change({ [key]: 'unconfined' }, {}), ['may not add AppArmor annotations']);
  assert.deepEqual(change({ other: 'b' }, { other: 'a' }), []);
});
