/** Which volume a claim gets, of many, and what binder and scheduler ask of each. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { PersistentVolume, PersistentVolumeClaim } from '../types/core-v1.ts';
import { findVolume, isBoundTo, isOnOffer, volumeProblem } from './volume-matching.ts';

const claim: PersistentVolumeClaim = {
  apiVersion: 'v1',
  kind: 'PersistentVolumeClaim',
  metadata: { namespace: 'default', name: 'c', uid: 'u' },
  spec: { accessModes: ['ReadWriteOnce'], resources: { requests: { storage: '3Gi' } } },
};

const volume = (name: string, storage: string, spec: object = {}): PersistentVolume => ({
  apiVersion: 'v1',
  kind: 'PersistentVolume',
  metadata: { name },
  spec: { capacity: { storage }, accessModes: ['ReadWriteOnce'], ...spec },
  status: { phase: 'Available' },
});

const find = (volumes: readonly PersistentVolume[], { isDelayed = false } = {}) =>
  findVolume(claim, volumes, { isDelayed })?.metadata.name;

test('the smallest that will do, with as few access modes as may be', () => {
  const more = { accessModes: ['ReadWriteOnce', 'ReadWriteMany'] };
  assert.equal(find([volume('a', '9Gi'), volume('b', '4Gi'), volume('s', '1Gi')]), 'b');
  assert.equal(find([volume('shared', '3Gi', more), volume('own', '9Gi')]), 'own');
  assert.equal(find([volume('classy', '3Gi', { storageClassName: 'x' })]), undefined);
  const bound = { ...volume('bound', '3Gi'), status: { phase: 'Released' } };
  assert.equal(find([bound]), undefined);
});

test('a volume that names the claim is taken first', () => {
  const claimRef = { namespace: 'default', name: 'c' };
  const named = volume('named', '50Gi', { claimRef, storageClassName: 'x' });
  assert.equal(find([volume('a', '3Gi'), named]), 'named');
  assert.ok(isBoundTo(named, claim));
  const other = volume('other', '3Gi', { claimRef: { ...claimRef, uid: 'older' } });
  assert.ok(!isBoundTo(other, claim));
  assert.equal(find([other]), undefined);
});

test('a class that waits for a pod is left to the scheduler', () => {
  const volumes = [volume('a', '3Gi'), volume('b', '4Gi')];
  assert.equal(find(volumes, { isDelayed: true }), undefined);
  const claimRef = { namespace: 'default', name: 'c' };
  assert.equal(find([volume('named', '3Gi', { claimRef })], { isDelayed: true }), 'named');
});

test('on offer is what is free, of the class, with the labels and modes that are asked for', () => {
  const free = volume('a', '1Gi');
  const labelled = { ...free, metadata: { name: 'a', labels: { tier: 'fast' } } };
  const wish = (spec: object) => ({ ...claim, spec: { ...claim.spec, ...spec } });
  const fast = wish({ selector: { matchLabels: { tier: 'fast' } } });
  assert.equal(isOnOffer(free, claim), true, 'its size is looked at elsewhere');
  assert.equal(isOnOffer({ ...free, status: { phase: 'Bound' } }, claim), false);
  assert.equal(isOnOffer(free, wish({ storageClassName: 'x' })), false);
  assert.deepEqual([isOnOffer(free, fast), isOnOffer(labelled, fast)], [false, true]);
  assert.equal(isOnOffer(free, wish({ accessModes: ['ReadWriteMany'] })), false);
});

test('why a volume will not do', () => {
  assert.equal(volumeProblem(volume('a', '3Gi'), claim), undefined);
  assert.equal(volumeProblem(volume('a', '1Gi'), claim), 'requested PV is too small');
  const problem = (spec: object) => volumeProblem(volume('a', '3Gi', spec), claim);
  assert.equal(problem({ storageClassName: 'x' }), 'storageClassName does not match');
  assert.equal(problem({ volumeMode: 'Block' }), 'incompatible volumeMode');
  assert.equal(problem({ accessModes: ['ReadOnlyMany'] }), 'incompatible accessMode');
  const attributes = { volumeAttributesClassName: 'x' };
  assert.equal(problem(attributes), 'volumeAttributesClassName does not match');
});
