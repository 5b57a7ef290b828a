/**
 * Where the kubelet keeps what belongs to a pod. Pure.
 *
 * `<dataDir>/agent/kubelet/pods/<uid>/…` holds volumes, the hosts file and termination messages;
 * `memory/<uid>` (a tmpfs, mounted once) holds Secrets and tokens, which never touch the disk;
 * logs are in `<podLogsDir>/<namespace>_<name>_<uid>/<container>/<restarts>.log`, as log
 * collectors expect; `logs/log-files.ts` has the links to them.
 */
import { join } from 'node:path';
import type { Pod } from '#resources/types/core-v1.ts';

export interface KubeletPaths {
  readonly root: string;
  readonly pods: string;
  readonly memory: string;
  readonly podLogs: string;
  /** One link to the log of each container. */
  readonly logLinks: string;
}

export function kubeletPaths(
  dataDir: string,
  options: { readonly rootDir?: string | undefined; readonly podLogsDir?: string | undefined } = {},
): KubeletPaths {
  const { rootDir, podLogsDir } = options;
  const root = rootDir ?? join(dataDir, 'agent', 'kubelet');
  return {
    root,
    pods: join(root, 'pods'),
    memory: join(root, 'memory'),
    podLogs: podLogsDir ?? join(dataDir, 'agent', 'pod-logs'),
    // `/var/log/pods` and `/var/log/containers`.
    logLinks:
      podLogsDir === undefined
        ? join(dataDir, 'agent', 'container-logs')
        : join(podLogsDir, '..', 'containers'),
  };
}

export interface PodPaths {
  readonly dir: string;
  readonly volumes: string;
  /** Of these, those that begin as empty folders on the node's disk. */
  readonly emptyDirs: string;
  readonly memoryVolumes: string;
  /** Where parts of volumes are bound: `<volume>/<container>/<index of the mount>`. */
  readonly subPaths: string;
  readonly hostsFile: string;
  /** What containers have of CPU and memory. */
  readonly resources: string;
  readonly logs: string;
}

export function podPaths(paths: KubeletPaths, pod: Pod): PodPaths {
  const { name, namespace, uid = '' } = pod.metadata;
  const dir = join(paths.pods, uid);
  const volumes = join(dir, 'volumes');
  return {
    dir,
    volumes,
    emptyDirs: join(volumes, 'kubernetes.io~empty-dir'),
    memoryVolumes: join(paths.memory, uid),
    subPaths: join(dir, 'volume-subpaths'),
    hostsFile: join(dir, 'etc-hosts'),
    resources: join(dir, 'resources.json'),
    logs: join(paths.podLogs, `${namespace}_${name}_${uid}`),
  };
}

/** Relative to the pod's log directory, as CRI wants it. */
export function containerLogPath(containerName: string, attempt: number): string {
  return join(containerName, `${attempt}.log`);
}

export function terminationFile(paths: PodPaths, containerName: string, attempt: number): string {
  return join(paths.dir, 'containers', containerName, `${attempt}.termination`);
}
