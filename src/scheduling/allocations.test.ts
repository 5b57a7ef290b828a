/**
 * What upstream's v1.36 allocator gave for made-up claims, slices and devices in use, and what ours
 * gives: which devices, how much of them, set up how, reachable from where, or the same error. One
 * case in a line of `allocations.jsonl`.
 *
 * Left out by intent: counters that upstream forgets to give back where a constraint fails, and
 * `distinctAttribute`, which it compares with the last device of each request only.
 */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import type { Node } from '#resources/types/core-v1.ts';
import type {
  AllocationResult,
  DeviceClass,
  DeviceRequestAllocationResult,
  ResourceClaim,
  ResourceSlice,
} from '#resources/types/resource-v1.ts';
import { AllocationError } from './allocation-error.ts';
import { Cluster } from './cluster.ts';
import { DeviceAllocator } from './device-allocator.ts';
import { factsOf, readerOf } from './facts.ts';

interface Recorded {
  readonly node: Node;
  readonly claims: readonly ResourceClaim[];
  readonly classes: readonly DeviceClass[];
  readonly slices: readonly ResourceSlice[];
  readonly taken: readonly DeviceRequestAllocationResult[];
  readonly answer: Answer;
}

interface Answer {
  readonly error?: string;
  /** Null: the node cannot give them. */
  readonly result?: readonly AllocationResult[] | null;
}

// The file has one of these in each line.
const recorded = readFileSync(new URL('allocations.jsonl', import.meta.url), 'utf8')
  .trim()
  .split('\n')
  .map((line) => JSON.parse(line) as Recorded);

function ours({ node, claims, classes, slices, taken }: Recorded): Answer {
  const holder: ResourceClaim = {
    apiVersion: 'resource.k8s.io/v1',
    kind: 'ResourceClaim',
    metadata: { name: 'holder', namespace: 'other' },
    spec: {},
    status: { allocation: { devices: { results: taken } } },
  };
  const cluster = new Cluster(
    factsOf({
      resourceClaims: readerOf(holder),
      resourceSlices: readerOf(...slices),
      deviceClasses: readerOf(...classes),
    }),
  );
  cluster.setNode(node);
  const info = cluster.get(node.metadata.name ?? '');
  assert.ok(info !== undefined);
  try {
    const given = new DeviceAllocator(cluster, { filterTimeoutMs: 0 }).allocate(claims, info);
    if (!given.ok) {
      return given.reason === 'cannot allocate all claims'
        ? { result: null }
        : { error: given.reason };
    }
    const result = given.allocations.map(({ devices: results, config, nodeSelector }) => ({
      // The allocator takes these entries from classes and claims as they are.
      devices: { results, ...(config.length === 0 ? {} : { config: config as [] }) },
      ...(nodeSelector === undefined ? {} : { nodeSelector }),
    }));
    return { result };
  } catch (error) {
    if (!(error instanceof AllocationError)) throw error;
    return { error: error.message };
  }
}

test(`upstream's answers to ${recorded.length} searches for devices`, () => {
  assert.ok(recorded.length >= 60);
  assert.ok(recorded.filter(({ answer }) => answer.result).length > 30);
  for (const [index, wanted] of recorded.entries()) {
    assert.deepEqual(ours(wanted), wanted.answer, `line ${index + 1}`);
  }
});
