/**
 * What the runtime's CNI library keeps of each pod's connection, by the name of the network. It
 * does not wait for the disk: after a power cut such a file may be empty, and then the library
 * refuses for ever to disconnect the pod; without the file it does so at once.
 *
 * `network.ts` removes spoilt ones when it starts, and all when a cluster is taken down.
 */
import { existsSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';

const resultCache = '/var/lib/cni/results';

export function removeCachedResults(
  clusterId: string,
  { which, folder = resultCache }: { readonly which: 'all' | 'spoilt'; readonly folder?: string },
): readonly string[] {
  if (!existsSync(folder)) return [];
  const own = readdirSync(folder).filter((name) => name.startsWith(`coracle-${clusterId}-`));
  const gone = own.filter((name) => which === 'all' || isSpoilt(join(folder, name)));
  for (const name of gone) rmSync(join(folder, name), { force: true });
  return gone;
}

function isSpoilt(file: string): boolean {
  try {
    JSON.parse(readFileSync(file, 'utf8'));
    return false;
  } catch (error) {
    if (error instanceof SyntaxError) return true;
    throw error;
  }
}
