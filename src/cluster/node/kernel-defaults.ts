/**
 * What a kubelet asks of the kernel so that a machine of many pods does not come to harm: memory
 * is promised freely, a panic restarts the machine, containers have keys enough. As upstream, a
 * kubelet that runs alone sets what is otherwise, or refuses to start where it is told to protect
 * what there is (`protectKernelDefaults`). `kubelet-command.ts` calls this; `up` leaves the machine
 * alone.
 */
import type { Logger } from '#kit/log.ts';
import { ConfigError } from '../settings/config-error.ts';

const wanted = {
  'vm/overcommit_memory': 1,
  'vm/panic_on_oom': 0,
  'kernel/panic': 10,
  'kernel/panic_on_oops': 1,
  'kernel/keys/root_maxkeys': 1_000_000,
  'kernel/keys/root_maxbytes': 25_000_000,
} as const;

export interface KernelFiles {
  /** Undefined where there is none. */
  read(path: string): string | undefined;
  /** Throws where it may not. */
  write(path: string, text: string): void;
}

export function ensureKernelDefaults(
  { files, log }: { readonly files: KernelFiles; readonly log: Logger },
  { protects }: { readonly protects: boolean },
): void {
  const problems: string[] = [];
  for (const [flag, value] of Object.entries(wanted)) {
    const text = files.read(`/proc/sys/${flag}`);
    // A kernel that was built without it.
    if (text === undefined || Number(text) === value) continue;
    if (protects) {
      problems.push(
        `invalid kernel flag: ${flag}, expected value: ${value}, actual value: ${text.trim()}`,
      );
      continue;
    }
    try {
      files.write(`/proc/sys/${flag}`, String(value));
      log.info('Updating kernel flag', { flag, expectedValue: value, actualValue: text.trim() });
    } catch (error) {
      // In a container of somebody's they may be read-only: pods run all the same.
      log.warn('cannot set a flag of the kernel', { flag, expectedValue: value, error });
    }
  }
  if (problems.length === 0) return;
  const all = problems.length === 1 ? problems[0] : `[${problems.join(', ')}]`;
  throw new ConfigError(`failed to start ContainerManager: ${all}`);
}
