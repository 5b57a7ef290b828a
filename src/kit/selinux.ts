/**
 * Whether the kernel labels files and processes (SELinux), and the label of a file.
 *
 * As upstream, it counts as on where its file system is mounted to be written to and a policy is
 * loaded, whether the policy is enforced or only told of.
 */
import { runCommand } from './run-command.ts';

const limits = { labelMs: 10_000 } as const;

/** `read` gives the text of a file. */
export function hasSELinux(read: (path: string) => string): boolean {
  const isMounted = read('/proc/self/mountinfo').split('\n').some(isWritable);
  // Before its policy is loaded, everything has the kernel's own label.
  return isMounted && read('/proc/self/attr/current').replace(/\0$/, '') !== 'kernel';
}

/** `… / /sys/fs/selinux rw,relatime - selinuxfs selinuxfs rw`: the mount, and the file system. */
function isWritable(line: string): boolean {
  const [mount = '', fileSystem = ''] = line.split(' - ');
  const [type, , options = ''] = fileSystem.split(' ');
  const all = [mount.split(' ')[5] ?? '', options].flatMap((list) => list.split(','));
  return type === 'selinuxfs' && !all.includes('ro');
}

/** The whole label: `user:role:type:level`. Follows links. */
export async function labelFile(
  path: string,
  label: string,
  { signal }: { readonly signal: AbortSignal },
): Promise<void> {
  const options = { signal, timeoutMs: limits.labelMs };
  const { code, stderr } = await runCommand('chcon', ['--', label, path], options);
  if (code !== 0) throw new Error(`cannot label ${path}: ${stderr.trim()}`);
}
