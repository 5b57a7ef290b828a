/** What pods that are gone had goes: folders, and what still runs. What is of no pod stays. */
import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { GrpcError } from '#cri';
import { silentLog } from '#kit/log.ts';
import { removeFolder } from '#kit/mounts.ts';
import { removeLeftovers, removeOrphans } from './leftovers.ts';
import { kubeletPaths } from './pods/pod-paths.ts';

const { signal } = new AbortController();

test('folders of pods that are gone go, in a folder with other things too', async (context) => {
  const folder = mkdtempSync(join(tmpdir(), 'coracle-leftovers-'));
  context.after(() => rmSync(folder, { recursive: true }));
  const paths = kubeletPaths(folder, { podLogsDir: join(folder, 'log/pods') });
  const pods = ['here', 'held', 'gone'];
  for (const uid of pods) {
    const places = [join(paths.pods, uid), join(paths.memory, uid), `${paths.podLogs}/n_p_${uid}`];
    for (const place of places) mkdirSync(join(place, 'main'), { recursive: true });
  }
  for (const name of ['journal', 'a_b', 'n_p_q_gone']) mkdirSync(join(paths.podLogs, name));
  const parts = {
    ...{ paths, log: silentLog, node: { cgroupRoot: '/coracle' } },
    runtime: {
      listPodSandboxes: async () => [{ labels: { 'io.kubernetes.pod.uid': 'held' } }],
      listContainers: async () => [],
    },
    machine: { unmountBelow: async () => {}, removeFolder, cgroups: { children: () => [] } },
  };
  // Nothing else of them is asked for.
  await removeLeftovers(parts as unknown as Parameters<typeof removeLeftovers>[0], {
    ...{ known: new Set(['here']), signal },
  });
  for (const place of [paths.pods, paths.memory]) {
    assert.deepEqual(readdirSync(place).toSorted(), ['held', 'here']);
  }
  const left = ['a_b', 'journal', 'n_p_held', 'n_p_here', 'n_p_q_gone'];
  assert.deepEqual(readdirSync(paths.podLogs).toSorted(), left);
});

test('what runs for pods that nobody knows is ended all at once, and none holds up another', async (context) => {
  const folder = mkdtempSync(join(tmpdir(), 'coracle-orphans-'));
  context.after(() => rmSync(folder, { recursive: true }));
  const calls: string[] = [];
  const last = Promise.withResolvers<void>();
  const parts = {
    ...{ paths: kubeletPaths(folder), log: silentLog, node: { cgroupRoot: '/coracle' } },
    runtime: {
      listPodSandboxes: async () => [],
      listContainers: async () =>
        ['a', 'b', 'c', 'known'].map((name) => ({ id: `in-${name}`, podSandboxId: name })),
      stopContainer: async (id: string, { graceSeconds }: { readonly graceSeconds: number }) => {
        calls.push(`stop ${id} ${graceSeconds}s`);
        if (id === 'in-b') throw new Error('the runtime cannot');
        // The first ends only once the last one was told to.
        if (id === 'in-c') last.resolve();
        await last.promise;
      },
      stopPodSandbox: async (id: string) => {
        calls.push(`stop ${id}`);
        if (id === 'c') throw new Error('the runtime cannot');
        // Gone by itself.
        if (id === 'a') throw new GrpcError('/stop', 'NOT_FOUND', 'a');
      },
      removePodSandbox: async (id: string) => void calls.push(`remove ${id}`),
    },
    machine: { unmountBelow: async () => {}, removeFolder, cgroups: { children: () => [] } },
  };
  const ids = ['a', 'b', 'c'];
  // Nothing else of them is asked for.
  await removeOrphans(parts as unknown as Parameters<typeof removeOrphans>[0], ids, {
    ...{ known: new Map(), signal },
  });
  assert.deepEqual(
    calls.slice(0, 3),
    ids.map((id) => `stop in-${id} 2s`),
  );
  const rest = ['remove a', 'remove b', 'stop a', 'stop b', 'stop c'];
  assert.deepEqual(calls.slice(3).toSorted(), rest);
});
