/**
 * Users of its own for a pod (`hostUsers: false`): in the container root, on the node nobody.
 *
 * Each pod gets a range of ids of the node that no other pod has (65536 of them, or as many as is
 * set), kept in a file beside the pod's, so that a kubelet that starts again gives the same, also
 * with another setting. The first range is the host's own.
 * Where the runtime cannot do it the sandbox is not made, so that nobody believes in a protection
 * that is not there. Behaviour: kubernetes.io, "User Namespaces".
 */
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Received, Sent } from '#cri';
import type { Pod } from '#resources/types/core-v1.ts';
import type { KubeletPaths } from '../pods/pod-paths.ts';
import { podPaths } from '../pods/pod-paths.ts';

/** Ids of one pod, where its file does not say it. */
const usualLength = 65_536;
const idsMax = 2 ** 32 - 1;
/** Ranges of one node: as many as pods and those that are ending. */
const rangesMax = 1024;

interface IdRange {
  readonly first: number;
  readonly length: number;
}

export type UserNamespace = Sent<'UserNamespace'>;

/** Undefined: the pod has the users of the host. */
export function userNamespaceOf(paths: KubeletPaths, pod: Pod): UserNamespace | undefined {
  if (pod.spec?.hostUsers !== false) return undefined;
  const range = readRange(podPaths(paths, pod).dir);
  if (range === undefined) return undefined;
  const mapping = [{ hostId: range.first, containerId: 0, length: range.length }];
  return { mode: 'POD', uids: mapping, gids: mapping };
}

/** Before the pod's first sandbox. Throws where the runtime cannot do it, with upstream's words. */
export function ensureUserNamespace(
  paths: KubeletPaths,
  pod: Pod,
  runtime: { readonly handlers: readonly Received<'RuntimeHandler'>[]; readonly handler: string },
  length: number = usualLength,
): void {
  if (pod.spec?.hostUsers !== false) return;
  const { handlers, handler } = runtime;
  const found = handlers.find(({ name }) => name === handler);
  if (found?.features?.userNamespaces !== true) {
    const who = handler === '' ? 'runtime' : `RuntimeClass handler "${handler}"`;
    throw new Error(`can't set \`spec.hostUsers: false\`, ${who} does not support user namespaces`);
  }
  const { dir } = podPaths(paths, pod);
  if (readRange(dir) !== undefined) return;
  const taken = readdirSync(paths.pods).flatMap((uid) => readRange(join(paths.pods, uid)) ?? []);
  for (let range = 1; range <= rangesMax && (range + 1) * length <= idsMax; range++) {
    const first = range * length;
    if (taken.some((one) => one.first < first + length && first < one.first + one.length)) continue;
    mkdirSync(dir, { recursive: true });
    writeFileSync(fileIn(dir), length === usualLength ? String(first) : `${first} ${length}`);
    return;
  }
  throw new Error('could not find an empty slot to allocate a user namespace');
}

function fileIn(podDir: string): string {
  return join(podDir, 'userns');
}

function readRange(podDir: string): IdRange | undefined {
  const file = fileIn(podDir);
  if (!existsSync(file)) return undefined;
  const [first = 0, length = usualLength] = readFileSync(file, 'utf8').split(' ').map(Number);
  return Number.isInteger(first) && first > 0 ? { first, length } : undefined;
}
