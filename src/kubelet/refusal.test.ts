/** What this node does not begin. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Pod, PodSpec } from '#resources/types/core-v1.ts';
import { refusalOf } from './refusal.ts';

function reasonOf(spec: Partial<PodSpec>): string | undefined {
  const pod: Pod = {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name: 'p' },
    spec: { containers: [{ name: 'c' }], ...spec },
  };
  return refusalOf(pod)?.reason;
}

test('protection that cannot be given is refused', () => {
  assert.equal(reasonOf({}), undefined);
  assert.equal(reasonOf({ hostUsers: true }), undefined);
  assert.equal(reasonOf({ hostUsers: false }), 'UserNamespaces');
  const profile = (type: string) => ({ securityContext: { appArmorProfile: { type } } });
  assert.equal(reasonOf(profile('Unconfined')), undefined);
  assert.equal(reasonOf(profile('RuntimeDefault')), 'AppArmor');
  assert.equal(reasonOf({ containers: [{ name: 'c', ...profile('Localhost') }] }), 'AppArmor');
});
