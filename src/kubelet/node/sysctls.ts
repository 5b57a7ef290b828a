/**
 * Which sysctls belong to a pod's namespaces, so that a pod may set them: others are the node's,
 * and cannot be allowed. Pure. `kubelet-settings.ts` refuses patterns of others when it reads them,
 * `admission.ts` refuses pods that share the namespace with the node. As upstream knows them.
 */
const ofIpc = new Set(
  ['sem', 'shm', 'shmall', 'shmmax', 'shmmni', 'shm_rmid_forced'].concat([
    'msg',
    'msgmax',
    'msgmnb',
    'msgmni',
  ]),
);

/** Of `kernel.msg*`, `net.ipv4.route.min_pmtu`, `kernel/sem`; undefined: it is the node's. */
export function sysctlNamespace(pattern: string): 'IPC' | 'Net' | undefined {
  const name = pattern.replaceAll('/', '.').replace(/\.?\*.*$/, '');
  if (name === 'net' || name.startsWith('net.')) return 'Net';
  if (name === 'fs.mqueue' || name.startsWith('fs.mqueue.')) return 'IPC';
  const [family, rest] = name.split(/\.(.*)/s);
  return family === 'kernel' && ofIpc.has(rest ?? '') ? 'IPC' : undefined;
}
