/**
 * Taking a cluster off the machine. `removeMachineTraces` is the last step of a stop (the pods are
 * gone already); `resetCluster` also handles one whose processes were killed, and deletes its data.
 */
import { lstatSync, readdirSync, rmSync, statSync } from 'node:fs';
import { basename, join } from 'node:path';
import { openContainerd, openRuntime } from '#cri';
import type { Clock } from '#kit/clock.ts';
import type { Logger } from '#kit/log.ts';
import { isMountPoint, mountPointsBelow } from '#kit/mounts.ts';
import { removePodNetwork } from '#network';
import {
  farSocketFolder,
  findTraces,
  isEmpty,
  removeTraces,
  tracesOfPods,
} from './machine-traces.ts';
import { stopAllPods } from './node/stop-pods.ts';
import { type ClusterState, readState, registerPath } from './state.ts';

interface Deps {
  readonly clock: Clock;
  readonly log: Logger;
}

const limits = { attempts: 40, patientAttempts: 20, pauseMs: 50, stopMs: 60_000 } as const;

/** Removes what carries the cluster's id. Cgroups empty late, so it looks several times. */
export async function removeMachineTraces(
  deps: Deps,
  dataDir: string,
  state: ClusterState,
  options: { readonly endProcesses: boolean } = { endProcesses: false },
): Promise<void> {
  const { signal } = new AbortController();
  const { id: clusterId, clusterCIDR, secondClusterCIDR } = state;
  const ranges = { clusterCIDR, secondClusterCIDR };
  await removePodNetwork(deps, { dataDir, clusterId, ...ranges, signal });
  for (let attempt = 0; attempt < limits.attempts; attempt++) {
    const traces = await findTraces(state.id, dataDir, { signal });
    const rest = options.endProcesses ? traces : tracesOfPods(traces);
    if (isEmpty(rest)) {
      const sockets = farSocketFolder(state.id, dataDir);
      if (sockets !== undefined) rmSync(sockets, { recursive: true, force: true });
      return;
    }
    // Containers have ended by now, and a shim ends with its last one: but for some that were lost.
    const endProcesses = options.endProcesses || attempt >= limits.patientAttempts;
    await removeTraces(rest, dataDir, { endProcesses, signal });
    await deps.clock.sleep(limits.pauseMs, { signal });
  }
  deps.log.warn('traces of the cluster are left on the machine', {
    ...(await findTraces(state.id, dataDir, { signal })),
  });
}

/** Stops what a dead cluster left running, then deletes all it made and its data dir. */
export async function resetCluster(deps: Deps, dataDir: string): Promise<void> {
  const state = readState(dataDir);
  if (state !== undefined && process.getuid?.() === 0 && process.platform === 'linux') {
    await stopOrphans(deps, dataDir, state).catch((error: unknown) =>
      deps.log.warn('containers not stopped cleanly', { error }),
    );
    await removeMachineTraces(deps, dataDir, state, { endProcesses: true });
    rmSync(registerPath(state.id), { force: true });
  }
  removeDataDir(dataDir);
}

/**
 * One that is a disk of its own is emptied: it cannot be removed while it is mounted. So is one
 * that a link leads to: where the data shall be was somebody's choice, for the next cluster too.
 */
function removeDataDir(dataDir: string): void {
  const isLinux = process.platform === 'linux';
  const isMount = isLinux && isMountPoint(dataDir);
  const inside = isLinux ? mountPointsBelow(dataDir).slice(isMount ? 1 : 0) : [];
  if (inside.length > 0) {
    // What pods had of volumes elsewhere would go with it.
    throw new Error(`${dataDir} is not removed: ${inside.join(', ')} is still mounted there`);
  }
  const isElsewhere = isMount || isLinkToFolder(dataDir);
  const paths = isElsewhere ? readdirSync(dataDir).map((name) => join(dataDir, name)) : [dataDir];
  // Made with a new file system, and not ours.
  const own = paths.filter((path) => basename(path) !== 'lost+found');
  for (const path of own) rmSync(path, { recursive: true, force: true });
}

function isLinkToFolder(path: string): boolean {
  const isLink = lstatSync(path, { throwIfNoEntry: false })?.isSymbolicLink() === true;
  return isLink && statSync(path, { throwIfNoEntry: false })?.isDirectory() === true;
}

/** Pods of a containerd that runs, or that has to run once more to take its pods down. */
async function stopOrphans(deps: Deps, dataDir: string, state: ClusterState): Promise<void> {
  const { signal } = new AbortController();
  const traces = await findTraces(state.id, dataDir, { signal });
  if (traces.processes.length === 0) return;
  const limit = new AbortController();
  const cancel = deps.clock.after(limits.stopMs, () =>
    limit.abort(new Error(`pods did not stop within ${limits.stopMs / 1000} s`)),
  );
  try {
    const options = { dataDir, clusterId: state.id, signal: limit.signal };
    const containerd = await openContainerd(deps, options);
    using runtime = await openRuntime(deps, { socketPath: containerd.socketPath });
    await stopAllPods({ runtime, ...deps }, { signal: limit.signal });
    await containerd.stop({ signal: limit.signal });
  } finally {
    cancel();
  }
}
