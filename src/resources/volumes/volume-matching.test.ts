/** Which volume a claim gets, of many; shared by binder and scheduler. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { PersistentVolume, PersistentVolumeClaim } from '../types/core-v1.ts';
import { findVolume, isBoundTo, type MatchOptions, volumeProblem } from './volume-matching.ts';

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

const find = (volumes: readonly PersistentVolume[], options: Partial<MatchOptions> = {}) =>
  findVolume(claim, volumes, { isDelayed: false, ...options })?.metadata.name;

test('the smallest that will do, with as few access modes as may be', () => {
  const more = { accessModes: ['ReadWriteOnce', 'ReadWriteMany'] };
  assert.equal(find([volume('a', '9Gi'), volume('b', '4Gi'), volume('s', '1Gi')]), 'b');
  assert.equal(find([volume('shared', '3Gi', more), volume('own', '9Gi')]), 'own');
  assert.equal(find([volume('classy', '3Gi', { storageClassName: 'x' })]), undefined);
  const bound = { ...volume('bound', '3Gi'), status: { phase: 'Released' } };
  assert.equal(find([bound]), undefined);
});

test('a volume that names the claim is taken first, if the node can use it', () => {
  const claimRef = { namespace: 'default', name: 'c' };
  const named = volume('named', '50Gi', { claimRef, storageClassName: 'x' });
  assert.equal(find([volume('a', '3Gi'), named]), 'named');
  assert.equal(find([named], { fitsNode: () => false }), undefined);
  assert.ok(isBoundTo(named, claim));
  const other = volume('other', '3Gi', { claimRef: { ...claimRef, uid: 'older' } });
  assert.ok(!isBoundTo(other, claim));
  assert.equal(find([other]), undefined);
});

test('a class that waits is matched for a node alone', () => {
  const volumes = [volume('a', '3Gi'), volume('b', '4Gi')];
  assert.equal(find(volumes, { isDelayed: true }), undefined);
  const onB = ({ metadata }: PersistentVolume): boolean => metadata.name === 'b';
  assert.equal(find(volumes, { isDelayed: true, fitsNode: onB }), 'b');
  const excluded = new Set(['b']);
  assert.equal(find(volumes, { isDelayed: true, fitsNode: onB, excluded }), undefined);
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
