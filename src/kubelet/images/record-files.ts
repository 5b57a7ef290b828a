/**
 * The files behind `pull-records.ts`: `<root>/image_manager/{pulled,pulling}/sha256-…`, named by a
 * hash of what they are about, as upstream's. Written beside and renamed, so that a crash leaves no
 * half of one.
 */
import { createHash } from 'node:crypto';
import { mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Logger } from '#kit/log.ts';
import type { RecordFiles, RecordFolder } from './pull-records.ts';

const prefix = 'sha256-';
const unfinished = '.tmp';

export function openRecordFiles(
  { log }: { readonly log: Logger },
  { root }: { readonly root: string },
): RecordFiles {
  const folderOf = (folder: RecordFolder): string => join(root, 'image_manager', folder);
  const pathOf = (folder: RecordFolder, subject: string): string => {
    const hash = createHash('sha256').update(subject).digest('hex');
    return join(folderOf(folder), `${prefix}${hash}`);
  };
  for (const folder of ['pulled', 'pulling'] as const) {
    mkdirSync(folderOf(folder), { recursive: true, mode: 0o700 });
  }
  return {
    read: (folder) =>
      readdirSync(folderOf(folder)).flatMap((name): readonly unknown[] => {
        if (!name.startsWith(prefix) || name.endsWith(unfinished)) return [];
        try {
          return [JSON.parse(readFileSync(join(folderOf(folder), name), 'utf8'))];
        } catch (error) {
          // What cannot be read counts as not there: then a pod has to show its login.
          log.warn('a record of a pull cannot be read', { name, error });
          return [];
        }
      }),
    write: (folder, subject, content) => {
      const path = pathOf(folder, subject);
      writeFileSync(`${path}${unfinished}`, JSON.stringify(content), { mode: 0o600 });
      renameSync(`${path}${unfinished}`, path);
    },
    remove: (folder, subject) => rmSync(pathOf(folder, subject), { force: true }),
  };
}
