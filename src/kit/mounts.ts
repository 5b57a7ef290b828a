/**
 * The machine's mounts: the table of the kernel, what is mounted how, and taking down what is left
 * below a folder.
 *
 * Parsing is pure (`parseMountInfo`); mounting goes through the `mount` and `umount` programs,
 * because Node has no such system call. The kubelet uses it for memory-backed volumes, the runtime
 * and clean-up for what a killed process left behind.
 */
import { existsSync, readFileSync, realpathSync, rmSync } from 'node:fs';
import { runCommand } from './run-command.ts';

export interface Mount {
  readonly mountPoint: string;
  /** `ext4`, `tmpfs`, `cgroup`, `cgroup2`, … */
  readonly type: string;
  /** Options of the file system itself, as `rw`, `memory`. */
  readonly options: readonly string[];
}

const mountTimeoutMs = 30_000;
/** A large device takes its time. */
const formatTimeoutMs = 600_000;
/** What is on it, asked of the device itself and not of what was known before. */
const blkidArguments = ['-p', '-s', 'TYPE', '-s', 'PTTYPE', '-o', 'export'];
const nothingFound = 2;

/** Text of `/proc/self/mountinfo`; spaces and the like in paths come as octal escapes. */
export function parseMountInfo(text: string): readonly Mount[] {
  const mounts: Mount[] = [];
  for (const line of text.split('\n')) {
    const [before = '', after = ''] = line.split(' - ');
    const mountPoint = before.split(' ')[4];
    const [type, , options] = after.split(' ');
    if (mountPoint === undefined || type === undefined) continue;
    const plain = mountPoint.replace(/\\(\d{3})/g, (_, octal: string) =>
      String.fromCharCode(Number.parseInt(octal, 8)),
    );
    mounts.push({ mountPoint: plain, type, options: (options ?? '').split(',') });
  }
  return mounts;
}

export function readMounts(): readonly Mount[] {
  return parseMountInfo(readFileSync('/proc/self/mountinfo', 'utf8'));
}

/** As tables of mounts have it. */
export function escapePath(path: string): string {
  return path.replace(
    /[ \t\n\\]/g,
    (character) => `\\${character.charCodeAt(0).toString(8).padStart(3, '0')}`,
  );
}

/** Of hundreds of lines, with half a kilobyte each, only those that name the path are parsed. */
function readMountsNaming(path: string): readonly Mount[] {
  const name = escapePath(path);
  const text = readFileSync('/proc/self/mountinfo', 'utf8');
  if (!text.includes(name)) return [];
  const lines = text.split('\n').filter((line) => line.includes(name));
  return parseMountInfo(lines.join('\n'));
}

/**
 * At or below a folder, outermost first. The kernel names them without the links that may be on the
 * way to the folder.
 */
export function mountPointsBelow(folder: string, mounts?: readonly Mount[]): readonly string[] {
  const real = existsSync(folder) ? realpathSync(folder) : folder;
  return (mounts ?? readMountsNaming(real))
    .map(({ mountPoint }) => mountPoint)
    .filter((point) => point === real || point.startsWith(`${real}/`));
}

/** Something is mounted just there. */
export function isMountPoint(folder: string, mounts?: readonly Mount[]): boolean {
  return existsSync(folder) && mountPointsBelow(folder, mounts).includes(realpathSync(folder));
}

export interface TmpfsOptions {
  readonly sizeBytes?: number | undefined;
  /** What is in it never goes to the disk; kernels before 6.4 refuse, as they do to users. */
  readonly noSwap?: boolean;
  readonly signal: AbortSignal;
}

export async function mountTmpfs(folder: string, options: TmpfsOptions): Promise<void> {
  const { sizeBytes, noSwap = false, signal } = options;
  const words = [
    ...(sizeBytes === undefined ? [] : [`size=${sizeBytes}`]),
    ...(noSwap ? ['noswap'] : []),
  ];
  const chosen = words.length === 0 ? [] : ['-o', words.join(',')];
  const args = ['-t', 'tmpfs', ...chosen, 'tmpfs', folder];
  const result = await runCommand('mount', args, { signal, timeoutMs: mountTimeoutMs });
  if (result.code !== 0) throw new Error(`cannot mount tmpfs: ${result.stderr.trim()}`);
}

export async function mountHugepages(
  folder: string,
  { pageSize, signal }: { readonly pageSize: string; readonly signal: AbortSignal },
): Promise<void> {
  // The kernel writes `2M` where quantities are written `2Mi`.
  const option = `pagesize=${pageSize.replace(/i$/, '')}`;
  const args = ['-t', 'hugetlbfs', '-o', option, 'nodev', folder];
  const result = await runCommand('mount', args, { signal, timeoutMs: mountTimeoutMs });
  if (result.code !== 0) throw new Error(`cannot mount hugetlbfs: ${result.stderr.trim()}`);
}

/** The file system on a device; one that holds nothing at all gets one first, as upstream does. */
export async function mountDevice(
  device: string,
  folder: string,
  options: {
    readonly fsType: string;
    readonly mountOptions: readonly string[];
    readonly signal: AbortSignal;
  },
): Promise<void> {
  const { fsType, mountOptions, signal } = options;
  const limits = { signal, timeoutMs: formatTimeoutMs };
  const probed = await runCommand('blkid', [...blkidArguments, device], limits);
  const isReadOnly = mountOptions.includes('ro');
  const isEmpty = probed.code === nothingFound;
  if (isEmpty && isReadOnly) {
    throw new Error(
      `cannot mount unformatted disk ${device} as we are manipulating it in read-only mode`,
    );
  }
  if (isEmpty) {
    const quick = /^ext[34]$/.test(fsType) ? ['-F', '-m0'] : [];
    const made = await runCommand(`mkfs.${fsType}`, [...quick, device], limits);
    if (made.code !== 0) throw new Error(`format of disk ${device} failed: ${made.stderr.trim()}`);
  }
  const args = ['-t', fsType, '-o', ['defaults', ...mountOptions].join(','), device, folder];
  const result = await runCommand('mount', args, limits);
  if (result.code !== 0) throw new Error(`mount failed: ${result.stderr.trim()}`);
}

/** As large as its device has become, while it is mounted; one of a sort unknown cannot. */
export async function growFileSystem(
  device: string,
  folder: string,
  { signal }: { readonly signal: AbortSignal },
): Promise<void> {
  const limits = { signal, timeoutMs: formatTimeoutMs };
  const probed = await runCommand('blkid', [...blkidArguments, device], limits);
  const type = /^TYPE=(.*)$/m.exec(probed.stdout)?.[1] ?? '';
  const [command, ...args] = growCommandOf(type, device, folder);
  if (command === undefined) {
    const at = `device ${device} mounted at ${folder}`;
    throw new Error(`resize of format ${type} is not supported for ${at}`);
  }
  const { code, stdout, stderr } = await runCommand(command, args, limits);
  if (code === 0) return;
  const output = `${stdout}${stderr}`.trim();
  throw new Error(
    `resize of device ${device} failed: exit status ${code}. ${command} output: ${output}`,
  );
}

function growCommandOf(type: string, device: string, folder: string): readonly string[] {
  if (type === 'ext3' || type === 'ext4') return ['resize2fs', device];
  if (type === 'xfs') return ['xfs_growfs', '-d', folder];
  return type === 'btrfs' ? ['btrfs', 'filesystem', 'resize', 'max', folder] : [];
}

/** Unless something is mounted there or below: that may be somebody's, and would go too. */
export function removeFolder(folder: string): void {
  const [mounted] = existsSync(folder) ? mountPointsBelow(folder) : [];
  if (mounted !== undefined) throw new Error(`cannot remove ${folder}: ${mounted} is mounted`);
  rmSync(folder, { recursive: true, force: true });
}

/** Unmounts everything at or below a folder, innermost first; what is busy is detached lazily. */
export async function unmountBelow(
  folder: string,
  {
    signal,
    keepsFolder = false,
  }: {
    readonly signal: AbortSignal;
    /** The folder may be a mount of somebody's, which stays. */
    readonly keepsFolder?: boolean;
  },
): Promise<void> {
  const kept = keepsFolder && existsSync(folder) ? realpathSync(folder) : undefined;
  const below = mountPointsBelow(folder).filter((point) => point !== kept);
  for (const point of below.toReversed()) {
    const result = await runCommand('umount', [point], { signal, timeoutMs: mountTimeoutMs });
    if (result.code === 0) continue;
    const args = ['--lazy', point];
    const detached = await runCommand('umount', args, { signal, timeoutMs: mountTimeoutMs });
    // Whoever unmounts removes what is below next: never what is on somebody's device.
    const isLeft = detached.code !== 0 && readMounts().some((each) => each.mountPoint === point);
    if (isLeft) throw new Error(`cannot unmount ${point}: ${detached.stderr.trim()}`);
  }
}
