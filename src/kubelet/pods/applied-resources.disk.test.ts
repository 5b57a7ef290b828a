/** What containers have, as it is noted beside the pod's files. */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import type { Pod } from '#resources/types/core-v1.ts';
import { AppliedResources } from './applied-resources.ts';
import type { ContainerFact } from './pod-facts.ts';

const has = (cpu: string) => ({ requests: { cpu } });

const pod: Pod = {
  apiVersion: 'v1',
  kind: 'Pod',
  metadata: {},
  spec: { containers: [{ name: 'web', image: 'i', resources: has('2') }] },
};

function running(id: string): ContainerFact {
  return {
    ...{ id, sandboxId: 's', name: 'web', attempt: 0, state: 'running', exitCode: 0 },
    ...{ createdAtMs: 0, startedAtMs: 0, finishedAtMs: 0 },
    ...{ reason: '', message: '', image: 'i', imageRef: 'i', hash: '' },
  };
}

test('whoever looks with an old list forgets nothing of a container that was just made', (context) => {
  const root = mkdtempSync(join(tmpdir(), 'coracle-applied-'));
  context.after(() => rmSync(root, { recursive: true }));
  const file = join(root, 'resources');
  const applied = new AppliedResources(file, pod);
  applied.set('new', has('1'));
  // As who adds up what all pods of the node have, before the pod has looked again.
  assert.deepEqual([...applied.current([])], []);
  assert.deepEqual([...applied.current([running('new')])], [['web', has('1')]]);
  applied.keep([running('new')]);
  applied.set('next', has('2'));
  applied.keep([running('next')]);
  assert.equal(applied.of('new'), undefined, 'it is gone');
  const later = new AppliedResources(file, pod);
  assert.deepEqual([...later.current([running('next')])], [['web', has('2')]]);
});
