/** What becomes of an object, by the state of its owners. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { KubeObject } from '#api/object.ts';
import { pods } from '#resources/kinds.ts';
import { Dependents, identityOf } from './dependents.ts';
import { awaits, type OwnerState, planCollection } from './plan.ts';

function object(owners: readonly string[], more: object = {}): KubeObject {
  const ownerReferences = owners.map((uid) => ({ apiVersion: 'v1', kind: 'Pod', name: uid, uid }));
  const metadata = { namespace: 'default', name: 'thing', uid: 'thing', ownerReferences, ...more };
  return { apiVersion: 'v1', kind: 'ConfigMap', metadata };
}

test('by the state of the owners', () => {
  const stateOf = ({ uid }: { readonly uid: string }): OwnerState =>
    uid.split(' ')[0] as OwnerState;
  const plan = (owners: readonly string[], hasDependents = false, more: object = {}): string => {
    const facts = { object: object(owners, more), stateOf, hasDependents };
    const action = planCollection({ ...facts, hasWaitingDependents: false });
    if (action.do === 'delete') return action.propagation;
    return action.do === 'drop-references' ? `keep ${action.kept.length}` : 'nothing';
  };
  assert.equal(plan([]), 'nothing');
  assert.equal(plan(['solid']), 'nothing');
  assert.equal(plan(['absent']), 'Background');
  assert.equal(plan(['absent 1', 'absent 2']), 'Background');
  assert.equal(plan(['solid', 'absent']), 'keep 1');
  assert.equal(plan(['solid 1', 'solid 2', 'waiting']), 'keep 2');
  assert.equal(plan(['waiting']), 'Background');
  assert.equal(plan(['waiting'], true), 'Foreground', 'its own dependants go first');
  assert.equal(plan(['absent'], true), 'Background');
  assert.equal(plan(['absent', 'unknown']), 'nothing');
  assert.equal(plan(['unknown', 'solid', 'absent 2']), 'nothing');
  assert.equal(plan(['absent'], false, { finalizers: ['orphan'] }), 'Orphan');
  assert.equal(plan(['absent'], false, { finalizers: ['foregroundDeletion'] }), 'Foreground');
  assert.equal(plan(['absent'], false, { deletionTimestamp: '2026-01-01T00:00:00Z' }), 'nothing');
});

test('one whose dependants are being deleted already frees its owners first', () => {
  const stateOf = (): OwnerState => 'waiting';
  const facts = { object: object(['a']), stateOf, hasDependents: true };
  const unblocks = (hasWaitingDependents: boolean): boolean => {
    const action = planCollection({ ...facts, hasWaitingDependents });
    return action.do === 'delete' && action.unblock;
  };
  assert.equal(unblocks(false), false);
  assert.equal(unblocks(true), true);
});

test('what an object that is being deleted waits for', () => {
  const deletionTimestamp = '2026-01-01T00:00:00Z';
  assert.equal(awaits(undefined), undefined);
  assert.equal(awaits(object([], { finalizers: ['orphan'] })), undefined, 'it is not deleted');
  assert.equal(awaits(object([], { deletionTimestamp })), undefined);
  assert.equal(awaits(object([], { deletionTimestamp, finalizers: ['orphan'] })), 'orphan');
  const foreground = object([], { deletionTimestamp, finalizers: ['x', 'foregroundDeletion'] });
  assert.equal(awaits(foreground), 'foreground');
});

test('dependants follow owner references and leave nothing behind', () => {
  const dependents = new Dependents();
  const first = object(['a', 'b']);
  const identity = identityOf(pods, first);
  assert.deepEqual(dependents.replace(identity, undefined, first), []);
  assert.deepEqual(dependents.of('a'), [identity]);
  assert.deepEqual(dependents.replace(identity, first, object(['b', 'c'])), ['a']);
  assert.deepEqual(
    [dependents.has('a'), dependents.has('b'), dependents.has('c')],
    [false, true, true],
  );
  assert.deepEqual(dependents.replace(identity, object(['b', 'c']), undefined), ['b', 'c']);
  assert.deepEqual([dependents.has('b'), dependents.has('c')], [false, false]);
});
