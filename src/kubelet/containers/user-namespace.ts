/**
 * Users of its own for a pod (`hostUsers: false`): in the container root, on the node nobody.
 *
 * Each pod gets a range of 65536 ids of the node that no other pod has, kept in a file beside the
 * pod's, so that a kubelet that starts again gives the same. The first range is the host's own.
 * Where the runtime cannot do it the sandbox is not made, so that nobody believes in a protection
 * that is not there. Behaviour: kubernetes.io, "User Namespaces".
 */
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Received, Sent } from '#cri';
import type { Pod } from '#resources/types/core-v1.ts';
import type { KubeletPaths } from '../pods/pod-paths.ts';
import { podPaths } from '../pods/pod-paths.ts';

/** Ids of one pod. */
const length = 65_536;
/** Ranges of one node: as many as pods and those that are ending. */
const rangesMax = 1024;

export type UserNamespace = Sent<'UserNamespace'>;

/** Undefined: the pod has the users of the host. */
export function userNamespaceOf(paths: KubeletPaths, pod: Pod): UserNamespace | undefined {
  if (pod.spec?.hostUsers !== false) return undefined;
  const first = readFirst(podPaths(paths, pod).dir);
  if (first === undefined) return undefined;
  const mapping = [{ hostId: first, containerId: 0, length }];
  return { mode: 'POD', uids: mapping, gids: mapping };
}

/** Before the pod's first sandbox. Throws where the runtime cannot do it, with upstream's words. */
export function ensureUserNamespace(
  paths: KubeletPaths,
  pod: Pod,
  handlers: readonly Received<'RuntimeHandler'>[],
  handler: string,
): void {
  if (pod.spec?.hostUsers !== false) return;
  const found = handlers.find(({ name }) => name === handler);
  if (found?.features?.userNamespaces !== true) {
    const who = handler === '' ? 'runtime' : `RuntimeClass handler "${handler}"`;
    throw new Error(`can't set \`spec.hostUsers: false\`, ${who} does not support user namespaces`);
  }
  const { dir } = podPaths(paths, pod);
  if (readFirst(dir) !== undefined) return;
  const taken = new Set(readdirSync(paths.pods).map((uid) => readFirst(join(paths.pods, uid))));
  for (let range = 1; range <= rangesMax; range++) {
    const first = range * length;
    if (taken.has(first)) continue;
    mkdirSync(dir, { recursive: true });
    writeFileSync(fileIn(dir), String(first));
    return;
  }
  throw new Error('could not find an empty slot to allocate a user namespace');
}

function fileIn(podDir: string): string {
  return join(podDir, 'userns');
}

function readFirst(podDir: string): number | undefined {
  const file = fileIn(podDir);
  if (!existsSync(file)) return undefined;
  const first = Number(readFileSync(file, 'utf8'));
  return Number.isInteger(first) && first > 0 ? first : undefined;
}
