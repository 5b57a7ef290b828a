/**
 * Folders of this machine that stand for volumes: made for claims and removed with them, by the
 * controllers (`controllers/persistent-volume/`). Right only where pods run on this machine too, as
 * with upstream's. Everybody may read what is made: pods run as any user.
 */
import { chmod, mkdir, rm } from 'node:fs/promises';
import type { HostFolders } from '#controllers';

export const hostFolders: HostFolders = {
  make: async (path) => {
    await mkdir(path, { recursive: true });
    await chmod(path, 0o755);
  },
  remove: (path) => rm(path, { recursive: true, force: true }),
};
