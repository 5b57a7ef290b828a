/**
 * Folders of a node that are nobody else's business: what pods say, their volumes, images, logins
 * to registries. The data dir above them lets everybody through, since the file systems of pods
 * with users of their own are below it (`src/cri/containerd.ts`). Called before anything is put
 * into them.
 */
import { chmodSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';

const names = [
  ...['cni', 'container-logs', 'images', 'kubelet'],
  ...['pod-logs', 'pod-manifests', 'registries'],
];

export function openNodeFolders(dataDir: string): void {
  for (const name of names) {
    const folder = join(dataDir, 'agent', name);
    mkdirSync(folder, { recursive: true });
    chmodSync(folder, 0o700);
  }
}
