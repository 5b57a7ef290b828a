/**
 * Shows what is open here at other places as well: bind mounts of descriptors.
 *
 * To start a program takes longer than to mount, so binds that are asked for in the same turn, as
 * those of a container with several sub-paths, are one table that one `mount` reads.
 */
import { rmSync, writeFileSync } from 'node:fs';
import { escapePath, isMountPoint } from './mounts.ts';
import { runCommand } from './run-command.ts';

interface Bind {
  readonly descriptor: number;
  readonly target: string;
  readonly resolve: () => void;
  readonly reject: (error: unknown) => void;
}

const limits = { mountMs: 30_000 } as const;

export class DescriptorBinds {
  #asked: Bind[] = [];

  /**
   * At a file or an empty folder; another file beside it holds the table meanwhile. Not broken
   * off: by then the descriptor might be that of another file, and the program may still look for
   * it.
   */
  bind(descriptor: number, target: string): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#asked.push({ descriptor, target, resolve, reject });
      if (this.#asked.length === 1) queueMicrotask(() => bindAll(this.#asked.splice(0)));
    });
  }
}

async function bindAll(binds: readonly Bind[]): Promise<void> {
  try {
    const said = await mountAll(binds);
    for (const { target, resolve, reject } of binds) {
      if (said === undefined || isMountPoint(target)) resolve();
      else reject(new Error(`cannot bind to ${target}: ${said}`));
    }
  } catch (error) {
    for (const { reject } of binds) reject(error);
  }
}

/** What was said if not all could be mounted. */
async function mountAll(binds: readonly Bind[]): Promise<string | undefined> {
  const table = `${binds[0]?.target}.binds`;
  // Asked where it leads, the program would mount that path, which may lead elsewhere by then.
  const args = ['--no-canonicalize', '--all', '--fstab', table];
  const { signal } = new AbortController();
  try {
    writeFileSync(table, binds.map(lineOf).join(''), { mode: 0o600 });
    const result = await runCommand('mount', args, { signal, timeoutMs: limits.mountMs });
    return result.code === 0 ? undefined : result.stderr.trim();
  } finally {
    rmSync(table, { force: true });
  }
}

function lineOf({ descriptor, target }: Bind): string {
  return `/proc/${process.pid}/fd/${descriptor} ${escapePath(target)} none bind 0 0\n`;
}
