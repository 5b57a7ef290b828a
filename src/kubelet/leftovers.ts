/**
 * Removes what pods left behind that are gone: folders, memory volumes, logs and cgroups.
 *
 * A worker cleans up after its pod; this is for those that ended while nobody looked, or whose
 * clean-up failed half way. Everything carries the pod's uid in its name, so that nothing of a
 * living pod is touched.
 */
import { readdirSync, rmSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { removeDeadLinks } from './logs/log-files.ts';
import type { KubeletParts } from './parts.ts';
import { podLabels, unlessGone } from './pods/pod-facts.ts';

/** Between TERM and KILL, of containers whose pod nobody knows any more. */
const orphanGraceSeconds = 2;

type Parts = Pick<KubeletParts, 'paths' | 'machine' | 'runtime' | 'log' | 'node'>;

export async function removeLeftovers(
  parts: Parts,
  options: {
    /** By uid. */
    readonly known: { has(uid: string): boolean };
    readonly signal: AbortSignal;
  },
): Promise<void> {
  const { paths, machine, runtime, log } = parts;
  const { known, signal } = options;
  const sandboxes = await runtime.listPodSandboxes({}, { signal });
  const held = new Set(sandboxes.map(({ labels }) => labels[podLabels.podUid] ?? ''));
  const isOver = (uid: string): boolean => !known.has(uid) && !held.has(uid);
  for (const uid of namesIn(paths.pods).filter(isOver)) {
    log.info('removing the folder of a pod that is gone', { uid });
    await machine.unmountBelow(join(paths.pods, uid), { signal });
    machine.removeFolder(join(paths.pods, uid));
  }
  for (const uid of namesIn(paths.memory).filter(isOver)) {
    machine.removeFolder(join(paths.memory, uid));
  }
  for (const name of namesIn(paths.podLogs)) {
    // The folder may be one that others use as well: what is not named so is not ours.
    const uid = /^[^_]+_[^_]+_([^_]+)$/.exec(name)?.[1];
    if (uid !== undefined && isOver(uid)) {
      rmSync(join(paths.podLogs, name), { recursive: true, force: true });
    }
  }
  await removeDeadLinks(paths, runtime, { signal });
  await removeCgroups(parts, isOver);
}

async function removeCgroups(
  { machine, node }: Parts,
  isOver: (uid: string) => boolean,
): Promise<void> {
  for (const middle of ['', '/burstable', '/besteffort']) {
    const parent = `${node.cgroupRoot}/kubepods${middle}`;
    for (const name of machine.cgroups.children(parent)) {
      const uid = /^pod(.+)$/.exec(name)?.[1];
      if (uid !== undefined && isOver(uid)) await machine.cgroups.remove(`${parent}/${name}`);
    }
  }
}

function namesIn(folder: string): readonly string[] {
  return statSync(folder, { throwIfNoEntry: false }) === undefined ? [] : readdirSync(folder);
}

/** Pods that were deleted while nobody looked: containers get a short time, then all goes. */
export async function removeOrphans(
  parts: KubeletParts,
  sandboxIds: readonly string[],
  options: { readonly known: ReadonlyMap<string, unknown>; readonly signal: AbortSignal },
): Promise<void> {
  const { runtime } = parts;
  const { signal } = options;
  const state = { state: 'CONTAINER_RUNNING' } as const;
  const running = await runtime.listContainers({ state }, { signal });
  const own = running.filter(({ podSandboxId }) => sandboxIds.includes(podSandboxId));
  await Promise.all(
    sandboxIds.map(async (id) => {
      const inside = own.filter(({ podSandboxId }) => podSandboxId === id);
      await removeOrphan(parts, id, { inside: inside.map((one) => one.id), signal });
    }),
  );
  await removeLeftovers(parts, options);
}

/** One that the runtime never ends holds up no other. */
async function removeOrphan(
  parts: Parts,
  id: string,
  { inside, signal }: { readonly inside: readonly string[]; readonly signal: AbortSignal },
): Promise<void> {
  const { runtime, log } = parts;
  log.info('removing a sandbox that belongs to no pod', { sandbox: id });
  try {
    // With its sandbox the runtime would end each at once.
    await Promise.all(inside.map((one) => stopSoftly(parts, one, signal)));
    await unlessGone(runtime.stopPodSandbox(id, { signal }));
    await unlessGone(runtime.removePodSandbox(id, { signal }));
  } catch (error) {
    signal.throwIfAborted();
    log.warn('cannot remove a sandbox that belongs to no pod', { sandbox: id, error });
  }
}

/** One that cannot be stopped so ends with its sandbox. */
async function stopSoftly({ runtime, log }: Parts, id: string, signal: AbortSignal): Promise<void> {
  try {
    await unlessGone(runtime.stopContainer(id, { graceSeconds: orphanGraceSeconds, signal }));
  } catch (error) {
    signal.throwIfAborted();
    log.warn('cannot stop a container that belongs to no pod', { container: id, error });
  }
}
