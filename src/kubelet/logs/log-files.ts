/**
 * Where the log of a container is, and the link by which log collectors find it.
 *
 * The log is `POD-LOGS/NAMESPACE_POD_UID/CONTAINER/ATTEMPT.log`, rotated parts beside it. The link
 * is `POD_NAMESPACE_CONTAINER-ID.log` in a folder of its own (upstream: `/var/log/containers`): one
 * folder with all logs of the node, and in a file's name all that is to be known of it. Links are
 * made when a container has started; link and log go with the container, the last log of each
 * container with its pod.
 */
import { existsSync, lstatSync, readdirSync, readlinkSync, rmSync, symlinkSync } from 'node:fs';
import { basename, dirname, join, sep } from 'node:path';
import type { Received, Runtime } from '#cri';
import type { Pod } from '#resources/types/core-v1.ts';
import { containerAnnotations, podLabels } from '../pods/pod-facts.ts';
import { containerLogPath, type KubeletPaths, podPaths } from '../pods/pod-paths.ts';

/** What the runtime tells of a container. */
export type Logged = Pick<Received<'Container'>, 'id' | 'labels' | 'annotations'>;

type LogPaths = Pick<KubeletPaths, 'podLogs' | 'logLinks'>;

/** Of a file, on the file systems of Linux. */
const nameBytesMax = 255;

export function logFileOf(
  { podLogs }: Pick<KubeletPaths, 'podLogs'>,
  { labels, annotations }: Pick<Logged, 'labels' | 'annotations'>,
): string {
  const pod = [podLabels.podNamespace, podLabels.podName, podLabels.podUid];
  const folder = pod.map((label) => labels[label] ?? '').join('_');
  const attempt = annotations[containerAnnotations.restartCount] ?? '0';
  return join(podLogs, folder, labels[podLabels.containerName] ?? '', `${attempt}.log`);
}

export interface LinkedContainer {
  readonly namespace: string;
  readonly pod: string;
  readonly container: string;
  readonly id: string;
}

/** As upstream: names that are too long are cut, whatever is lost. */
export function logLinkName({ namespace, pod, container, id }: LinkedContainer): string {
  const suffix = '.log';
  return `${`${pod}_${namespace}_${container}-${id}`.slice(0, nameBytesMax - suffix.length)}${suffix}`;
}

/** Where there is no log, as of a runtime that keeps its logs elsewhere, there is no link. */
export function linkLog(
  paths: KubeletPaths,
  pod: Pod,
  started: { readonly name: string; readonly id: string; readonly attempt: number },
): void {
  const { name, id, attempt } = started;
  const file = join(podPaths(paths, pod).logs, containerLogPath(name, attempt));
  const { name: podName, namespace = '' } = pod.metadata;
  const link = logLinkName({ namespace, pod: podName ?? '', container: name, id });
  if (existsSync(file)) symlinkSync(file, join(paths.logLinks, link));
}

/** Of a container that has been removed; `others` are those that the runtime still has. */
export function removeLog(paths: LogPaths, removed: Logged, others: readonly Logged[]): void {
  const { labels, id } = removed;
  const linked = {
    namespace: labels[podLabels.podNamespace] ?? '',
    pod: labels[podLabels.podName] ?? '',
    container: labels[podLabels.containerName] ?? '',
    id,
  };
  rmSync(join(paths.logLinks, logLinkName(linked)), { force: true });
  const file = logFileOf(paths, removed);
  // A container that was made anew before it had started has the number of the one before.
  if (others.some((other) => other.id !== id && logFileOf(paths, other) === file)) return;
  if (!existsSync(dirname(file))) return;
  for (const name of readdirSync(dirname(file))) {
    if (name.startsWith(basename(file))) rmSync(join(dirname(file), name), { force: true });
  }
}

/**
 * Links of ours that lead nowhere, of containers that the runtime does not have any more. While a
 * log is rotated there is no such file for a moment, but its container is there.
 */
export async function removeDeadLinks(
  { podLogs, logLinks }: LogPaths,
  runtime: {
    listContainers(
      ...asked: Parameters<Runtime['listContainers']>
    ): Promise<readonly Pick<Logged, 'id'>[]>;
  },
  options: { readonly signal: AbortSignal },
): Promise<void> {
  if (!existsSync(logLinks)) return;
  const isOurs = (link: string): boolean =>
    isLink(link) && readlinkSync(link).startsWith(`${podLogs}${sep}`);
  const dead = readdirSync(logLinks).filter((name) => {
    const link = join(logLinks, name);
    return name.endsWith('.log') && !existsSync(link) && isOurs(link);
  });
  if (dead.length === 0) return;
  const ids = (await runtime.listContainers({}, options)).map(({ id }) => id);
  for (const name of dead) {
    if (ids.some((id) => name.endsWith(`-${id}.log`))) continue;
    rmSync(join(logLinks, name), { force: true });
  }
}

function isLink(path: string): boolean {
  return lstatSync(path, { throwIfNoEntry: false })?.isSymbolicLink() === true;
}
