/** What the runtime is told of the range of the node's pods. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { InformerHandler } from '#client';
import { silentLog } from '#kit/log.ts';
import type { Node } from '#resources/types/core-v1.ts';
import { followPodRange } from './pod-range.ts';

const nodeOf = (podCIDR?: string): Node => ({
  apiVersion: 'v1',
  kind: 'Node',
  metadata: { name: 'n' },
  spec: podCIDR === undefined ? {} : { podCIDR },
});

test('a range is told once, and again when the runtime did not take it', async () => {
  const told: string[] = [];
  let isAway = true;
  const runtime = {
    setPodRange: async (range: string) => {
      told.push(range);
      if (isAway) throw new Error('connection refused');
    },
  };
  const handlers: InformerHandler<Node>[] = [];
  const node = { addHandler: (handler: InformerHandler<Node>) => void handlers.push(handler) };
  const tasks: Promise<void>[] = [];
  const { signal } = new AbortController();
  followPodRange({ runtime, log: silentLog }, node, {}, (task) => void tasks.push(task(signal)));
  const see = async (range?: string): Promise<void> => {
    for (const { onUpdate } of handlers) onUpdate?.(nodeOf(range), nodeOf(range));
    await Promise.all(tasks);
  };
  await see();
  assert.deepEqual(told, []);
  await see('10.1.0.0/24');
  isAway = false;
  await see('10.1.0.0/24');
  await see('10.1.0.0/24');
  assert.deepEqual(told, ['10.1.0.0/24', '10.1.0.0/24']);
});
