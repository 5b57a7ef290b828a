/**
 * Whether AppArmor can be had on this machine: whether its kernel enforces profiles, and whether
 * containerd can load its own (it calls `apparmor_parser`, and looks for it in one place).
 *
 * A kubelet beside a runtime of somebody's asks for the first, as upstream; a node that runs its
 * own containerd for both, since without the second no container would be made.
 */
import { existsSync, readFileSync } from 'node:fs';

export interface AppArmorFiles {
  exists(path: string): boolean;
  read(path: string): string;
}

const machine: AppArmorFiles = {
  exists: existsSync,
  read: (path) => (existsSync(path) ? readFileSync(path, 'utf8') : ''),
};

export function enforcesAppArmor(files: AppArmorFiles = machine): boolean {
  return files.read('/sys/module/apparmor/parameters/enabled').startsWith('Y');
}

export function loadsAppArmor(files: AppArmorFiles = machine): boolean {
  const needed = ['/sys/kernel/security/apparmor', '/sbin/apparmor_parser'];
  return enforcesAppArmor(files) && needed.every((path) => files.exists(path));
}
