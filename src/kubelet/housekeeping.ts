/**
 * What a kubelet does again and again besides its pods: removes what pods left behind
 * (`leftovers.ts`) and dead containers (`containers/container-gc.ts`), turns logs over
 * (`logs/log-rotation.ts`), shares the processors among the classes of pods
 * (`node/enforce-allocatable.ts`), and tells of whom the kernel has killed for want of memory
 * (`node/system-oom.ts`). Run by `kubelet.ts`.
 */
import type { Received } from '#cri';
import type { Scope } from '#kit/scope.ts';
import { type DeadContainer, planContainerGC } from './containers/container-gc.ts';
import { removeLeftovers } from './leftovers.ts';
import { removeLog } from './logs/log-files.ts';
import { rotateLogs } from './logs/log-rotation.ts';
import type { NodeCgroups } from './node/enforce-allocatable.ts';
import { OomReader, systemOomMessage } from './node/system-oom.ts';
import type { KubeletParts } from './parts.ts';
import { hasEnded, podLabels } from './pods/pod-facts.ts';
import type { PodWorker } from './pods/pod-worker.ts';

export const limits = {
  leftoversMs: 30_000,
  containersMs: 60_000,
  kernelLogMs: 5_000,
  /** Between TERM and KILL, of one of which nobody knows whether it runs. */
  unknownGraceSeconds: 2,
} as const;

export interface HousekeepingOptions {
  /** By pod uid. */
  readonly workers: ReadonlyMap<string, PodWorker>;
  readonly cgroups: NodeCgroups;
}

export function spawnHousekeeping(
  parts: KubeletParts,
  scope: Scope,
  { workers, cgroups }: HousekeepingOptions,
): void {
  const { clock, log, settings, machine, node, recorder } = parts;
  const again = (everyMs: number, what: string, work: (signal: AbortSignal) => Promise<void>) =>
    scope.spawn(async (signal) => {
      for (;;) {
        try {
          await work(signal);
        } catch (error) {
          if (signal.aborted) throw error;
          log.warn('housekeeping failed', { what, error });
        }
        await clock.sleep(everyMs, { signal });
      }
    });
  again(limits.leftoversMs, 'leftovers', async (signal) => {
    await removeLeftovers(parts, { known: workers, signal });
    const active = [...workers.values()].filter(({ isActive }) => isActive);
    await cgroups.share(active.map(({ pod }) => pod));
  });
  again(limits.containersMs, 'dead containers', (signal) => removeDead(parts, workers, { signal }));
  const rotation = {
    logBytesMax: settings.containerLogMaxBytes,
    logFilesMax: settings.containerLogMaxFiles,
  };
  again(settings.containerLogMonitorIntervalMs, 'logs', (signal) =>
    rotateLogs(parts, { ...rotation, signal }),
  );
  const killings = new OomReader();
  again(limits.kernelLogMs, 'kernel log', async () => {
    for (const line of machine.kernelNews()) {
      const victim = killings.read(line);
      if (victim === undefined) continue;
      const message = systemOomMessage(victim);
      recorder.record(node.object(), { type: 'Warning', reason: 'SystemOOM', message });
    }
  });
}

/** Where the disk is short, none of a pod that is over stays, however it ended. */
export async function removeDead(
  { runtime, settings, clock, log, paths }: KubeletParts,
  workers: HousekeepingOptions['workers'],
  { isDiskShort = false, signal }: { readonly isDiskShort?: boolean; readonly signal: AbortSignal },
): Promise<void> {
  let all = await runtime.listContainers({}, { signal });
  const dead = deadOf(all);
  const unknown = new Set(all.filter(({ state }) => state === isUnknown).map(({ id }) => id));
  const uidOf = new Map(dead.map(({ id, podUid }) => [id, podUid]));
  // As the API has it: nothing of how it ended has to be read from the runtime any more.
  const isOver = ({ podUid }: DeadContainer): boolean => {
    const worker = workers.get(podUid);
    return worker !== undefined && hasEnded(worker.pod);
  };
  const over = isDiskShort ? dead.filter(isOver) : [];
  const rest = dead.filter((container) => !over.includes(container));
  for (const id of [
    ...over.map((one) => one.id),
    ...planContainerGC(rest, settings, clock.now()),
  ]) {
    log.debug('removing a dead container', { container: id });
    try {
      if (unknown.has(id)) {
        await runtime.stopContainer(id, { graceSeconds: limits.unknownGraceSeconds, signal });
      }
      await runtime.removeContainer(id, { signal });
      const removed = all.find((container) => container.id === id);
      all = all.filter((container) => container !== removed);
      if (removed !== undefined) removeLog(paths, removed, all);
    } catch (error) {
      if (signal.aborted) throw error;
      log.warn('cannot remove a dead container', { container: id, error });
      continue;
    }
    // The sandbox that it was in may go as well now.
    workers.get(uidOf.get(id) ?? '')?.wake();
  }
}

/** The runtime cannot tell whether it runs. */
const isUnknown = 'CONTAINER_UNKNOWN';

/** Only what a kubelet made has a pod. */
function deadOf(containers: readonly Received<'Container'>[]): readonly DeadContainer[] {
  const own = containers.flatMap(({ id, labels, createdAt, state, metadata }) => {
    const podUid = labels[podLabels.podUid] ?? '';
    const name = labels[podLabels.containerName] ?? '';
    const facts = { id, podUid, name, createdAtMs: createdAt / 1e6, state };
    return podUid === '' ? [] : [{ ...facts, attempt: metadata?.attempt ?? 0 }];
  });
  return own
    .filter(({ state }) => state === 'CONTAINER_EXITED' || state === isUnknown)
    .map(({ state: _, attempt, ...container }) => ({
      ...container,
      // Of one that the runtime knows nothing of, it does not know when it was made either.
      isReplaced: own.some(
        (other) =>
          other.podUid === container.podUid &&
          other.name === container.name &&
          (other.attempt - attempt || other.createdAtMs - container.createdAtMs) > 0,
      ),
    }));
}
