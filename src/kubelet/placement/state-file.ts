/**
 * Who has which processors and memory, in a file that survives a crash: written beside, then
 * renamed, with a checksum over the rest. Shape and name are upstream's, the checksum is our own: a
 * file of upstream's kubelet does not read.
 *
 * Unlike `devices/checkpoint.ts` a damaged file, or one of another policy, is not passed over: what
 * runs on the node may hold what the file tells of, so the kubelet does not start until somebody
 * has drained the node and removed it. `cpu-pool.ts` and `memory-pool.ts` keep theirs in one.
 */
import { existsSync, mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { basename, dirname } from 'node:path';
import { crc32 } from 'node:zlib';

/** Below the kubelet's folder: what policies have given. */
export const stateFiles = { cpus: 'cpu_manager_state', memory: 'memory_manager_state' } as const;

export interface StateFile<T> {
  /** Undefined where there is none yet. Throws what an administrator has to mend. */
  read(): T | undefined;
  write(state: T): void;
}

export function openStateFile<T extends object>(
  path: string,
  { policy, manager }: { readonly policy: string; readonly manager: 'CPU' | 'memory' },
): StateFile<T> {
  return {
    read: () => {
      if (!existsSync(path)) return undefined;
      const problem = (why: string): Error =>
        new Error(
          `could not restore state from checkpoint: ${why}, please drain this node and delete ` +
            `the ${manager} manager checkpoint file "${path}" before restarting Kubelet`,
        );
      let kept: { readonly policyName?: unknown; readonly checksum?: unknown };
      try {
        kept = JSON.parse(readFileSync(path, 'utf8'));
      } catch {
        throw problem('checkpoint is corrupted');
      }
      const { checksum, ...rest } = kept;
      if (checksum !== crc32(JSON.stringify(rest))) throw problem('checkpoint is corrupted');
      if (rest.policyName !== policy) {
        throw problem(
          `configured policy "${policy}" differs from state checkpoint policy "${rest.policyName}"`,
        );
      }
      // Only what was written below has the right checksum.
      return rest as unknown as T;
    },
    write: (state) => {
      const rest = { policyName: policy, ...state };
      const text = JSON.stringify({ ...rest, checksum: crc32(JSON.stringify(rest)) });
      mkdirSync(dirname(path), { recursive: true });
      const beside = `${dirname(path)}/.${basename(path)}.new`;
      writeFileSync(beside, text, { mode: 0o600 });
      renameSync(beside, path);
    },
  };
}
