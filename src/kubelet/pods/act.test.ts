/** What is kept of containers, and for how long. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { forgetGone } from './act.ts';
import type { ContainerFact } from './pod-facts.ts';

test('a container whose hook was called is forgotten when the runtime has it no more', () => {
  const preStopped = new Set(['first', 'second', 'third']);
  const kept: string[] = [];
  const applied = {
    keep: (containers: readonly ContainerFact[]) => kept.push(...containers.map(({ id }) => id)),
  };
  // Nothing else of them is asked for.
  const containers = [{ id: 'third' }, { id: 'fourth' }] as unknown as readonly ContainerFact[];
  const state = { preStopped, applied } as unknown as Parameters<typeof forgetGone>[0];
  forgetGone(state, { sandboxes: [], containers });
  assert.deepEqual([...preStopped], ['third']);
  assert.deepEqual(kept, ['third', 'fourth']);
});
