/**
 * A machine with systemd as its first process, without another machine: namespaces of its own over
 * a view of this one's file system that keeps to itself what is written. It can be shut down and
 * started again, and then has what it had on its disk, and nothing else.
 *
 * It needs root, systemd's programs and overlayfs; `whyNoMachine` says what is missing. Its cgroups
 * are below one folder in each of this machine's hierarchies. Disposing ends whatever runs in it.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmdirSync,
  writeFileSync,
} from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { systemClock } from '#kit/clock.ts';
import { type Mount, mountTmpfs, readMounts, unmountBelow } from '#kit/mounts.ts';
import { nameSuffix, systemRandom } from '#kit/random.ts';
import { type CommandResult, runCommand } from '#kit/run-command.ts';

const init = '/lib/systemd/systemd';
const clock = systemClock();
const { signal } = new AbortController();
const limits = { startMs: 90_000, stopMs: 150_000, commandMs: 240_000 } as const;
const repository = resolve(import.meta.dirname, '../..');

/** What would be done to the kernel that this machine and others run on, or takes long. */
const unwanted = [
  'systemd-binfmt.service',
  'proc-sys-fs-binfmt_misc.automount',
  'systemd-sysctl.service',
  'systemd-modules-load.service',
  'systemd-tmpfiles-setup-dev.service',
  'systemd-udevd.service',
  'systemd-udev-trigger.service',
  'systemd-journal-flush.service',
];

/** Undefined: it can be made. */
export function whyNoMachine(): string | undefined {
  if (process.getuid?.() !== 0) return 'not root';
  for (const program of [init, '/usr/bin/busctl', '/usr/bin/dbus-daemon']) {
    if (!existsSync(program)) return `no ${program}`;
  }
  const isKnown = readFileSync('/proc/filesystems', 'utf8').includes('\toverlay\n');
  return isKnown ? undefined : 'no overlayfs';
}

export class SystemdMachine implements AsyncDisposable {
  /** On this machine; in the other its folder `data` is `/var/lib/coracle`. */
  readonly disk: string;
  readonly #folder: string;
  readonly #name: string;
  readonly #cgroups: readonly Mount[];
  #child: ChildProcess | undefined;
  #init = 0;

  private constructor(folder: string) {
    this.#folder = folder;
    this.disk = join(folder, 'disk');
    this.#name = `coracle-machine-${nameSuffix(systemRandom())}`;
    const isBelow = ({ mountPoint }: Mount): boolean => `${mountPoint}/`.startsWith(cgroupRoot);
    // The last one mounted on a folder is the one that is seen.
    const seen = new Map(readMounts().map((mount) => [mount.mountPoint, mount]));
    this.#cgroups = [...seen.values()].filter(
      (mount) => isBelow(mount) && (mount.type === 'cgroup' || mount.type === 'cgroup2'),
    );
  }

  /** `folder` is there, and empty. */
  static async open(folder: string): Promise<SystemdMachine> {
    const machine = new SystemdMachine(folder);
    mkdirSync(machine.disk);
    try {
      await mountTmpfs(machine.disk, { signal });
      for (const name of ['up', 'work', 'data']) mkdirSync(join(machine.disk, name));
      mkdirSync(join(folder, 'root'));
      mkdirSync(join(folder, 'lower'));
      await machine.start();
      return machine;
    } catch (error) {
      const { stdout } = await machine.try('systemctl', 'list-jobs', '--no-pager');
      await machine[Symbol.asyncDispose]();
      throw new Error(`no machine with systemd came up; it waits for:\n${stdout}`, {
        cause: error,
      });
    }
  }

  /** As after a boot: another id of it, and an empty `/run`. */
  async start(): Promise<void> {
    const bootId = (await runCommand('cat', ['/proc/sys/kernel/random/uuid'], always)).stdout;
    writeFileSync(join(this.#folder, 'boot-id'), bootId);
    writeFileSync(join(this.#folder, 'outer.sh'), this.#outerScript());
    writeFileSync(join(this.#folder, 'inner.sh'), this.#innerScript());
    this.#child = spawn('sh', [join(this.#folder, 'outer.sh')], { stdio: 'ignore' });
    const pid = this.#child.pid ?? 0;
    await until('its first process', limits.startMs, async () => {
      const [first] = readChildren(pid);
      this.#init = first ?? 0;
      return commandOf(this.#init).startsWith(init);
    });
    await until('systemd', limits.startMs, async () => {
      const { stdout } = await this.try('systemctl', 'is-system-running');
      return /^(running|degraded)/.test(stdout);
    });
  }

  /** By way of logind, which lets others end first. */
  async powerOff(): Promise<void> {
    const ended = new Promise((ends) => this.#child?.once('exit', ends));
    await this.run('systemctl', 'poweroff');
    const { promise: late, reject } = Promise.withResolvers<never>();
    const cancel = clock.after(limits.stopMs, () => reject(new Error('it does not go down')));
    await Promise.race([ended, late]);
    cancel();
  }

  /** What the command prints; it has to succeed. */
  async run(...command: readonly string[]): Promise<string> {
    const { code, stdout, stderr } = await this.try(...command);
    if (code !== 0) throw new Error(`${command.join(' ')}: ${code} ${stdout}${stderr}`);
    return stdout;
  }

  try(...command: readonly string[]): Promise<CommandResult> {
    const namespaces = ['-m', '-n', '-p', '-u', '-i', '-C', '-r', '-w'];
    const path = `PATH=${dirname(process.execPath)}:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin`;
    const args = [...namespaces, '--', 'env', '-i', path, 'HOME=/root', ...command];
    return runCommand('nsenter', ['-t', String(this.#init), ...args], always);
  }

  #outerScript(): string {
    const folders = this.#cgroups.map(({ mountPoint }) => join(mountPoint, this.#name));
    return [
      '#!/bin/sh',
      'set -e',
      ...folders.map((folder) => `mkdir -p ${folder}`),
      // A new cpuset of version 1 has no processors, and takes no process.
      ...folders
        .filter((folder) => existsSync(join(dirname(folder), 'cpuset.cpus')))
        .flatMap((folder) =>
          ['cpuset.cpus', 'cpuset.mems'].map(
            (file) => `cat ${join(dirname(folder), file)} > ${join(folder, file)} || true`,
          ),
        ),
      ...folders.map((folder) => `echo $$ > ${folder}/cgroup.procs`),
      `exec unshare -m -n -p -u -i -C -f --kill-child sh ${join(this.#folder, 'inner.sh')}`,
    ].join('\n');
  }

  #innerScript(): string {
    const folder = this.#folder;
    const root = join(folder, 'root');
    const layers = `lowerdir=${folder}/lower,upperdir=${this.disk}/up,workdir=${this.disk}/work`;
    const isOneTree = this.#cgroups.some(({ mountPoint }) => mountPoint === '/sys/fs/cgroup');
    const bind = (path: string): readonly string[] => [
      `mkdir -p ${root}${path}`,
      `mount --bind ${path} ${root}${path}`,
    ];
    return [
      '#!/bin/sh',
      'set -e',
      'mount --make-rprivate /',
      `mount --bind / ${folder}/lower`,
      `mount -t overlay overlay -o ${layers} ${root}`,
      `mkdir -p ${root}/var/lib/coracle`,
      `mount --bind ${this.disk}/data ${root}/var/lib/coracle`,
      `mount -t proc proc ${root}/proc`,
      `mount --bind ${folder}/boot-id ${root}/proc/sys/kernel/random/boot_id`,
      `mount -t sysfs sysfs ${root}/sys`,
      `mount --rbind /dev ${root}/dev`,
      `mount -t tmpfs tmpfs ${root}/run`,
      `mount -t tmpfs tmpfs ${root}/tmp`,
      ...bind(repository),
      ...bind(dirname(process.execPath)),
      ...(isOneTree ? [] : [`mount -t tmpfs tmpfs ${root}/sys/fs/cgroup`]),
      ...this.#cgroups.flatMap((tree) => {
        const own = `${root}${tree.mountPoint}`;
        const option = tree.type === 'cgroup' ? ['-o', hierarchyOf(tree)] : [];
        return [`mkdir -p ${own}`, `mount -t ${tree.type} ${option.join(' ')} ${tree.type} ${own}`];
      }),
      'ip link set lo up',
      'ip link add up0 type veth peer name up1',
      'ip link set up1 up; ip addr add 192.0.2.2/24 dev up0; ip link set up0 up',
      'ip route add default via 192.0.2.1',
      // What the file system starts is somebody else's, but for what was installed here.
      `if [ ! -e ${this.disk}/booted ]; then`,
      `  rm -rf ${root}/etc/systemd/system ${root}/usr/lib/systemd/system-generators/*`,
      `  rm -rf ${root}/etc/init.d/* ${root}/etc/rc*.d/* ${root}/etc/rcS.d/*`,
      `  mkdir -p ${root}/etc/systemd/system`,
      `  for unit in ${unwanted.join(' ')}; do`,
      `    ln -sf /dev/null ${root}/etc/systemd/system/$unit`,
      '  done',
      `  : > ${root}/etc/fstab`,
      // One that has none would enable whatever is installed.
      `  echo ${systemRandom().uuid().replaceAll('-', '')} > ${root}/etc/machine-id`,
      `  touch ${this.disk}/booted`,
      'fi',
      `cd ${root}`,
      'mkdir -p before',
      'pivot_root . before',
      'umount -l /before',
      `exec env -i container=lxc PATH=/usr/sbin:/usr/bin:/sbin:/bin ${init} --system --unit=multi-user.target`,
    ].join('\n');
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const ended = new Promise((ends) => this.#child?.once('exit', ends));
    const isOver = this.#child === undefined || this.#child.exitCode !== null;
    // All that is in its namespace of processes ends with the first.
    if (!isOver && this.#child?.signalCode === null) {
      if (this.#init > 1) process.kill(this.#init, 'SIGKILL');
      await ended;
    }
    await unmountBelow(this.#folder, { signal });
    await until('its cgroups are gone', limits.startMs, async () =>
      this.#cgroups.every(({ mountPoint }) => isRemoved(join(mountPoint, this.#name))),
    );
  }
}

const cgroupRoot = '/sys/fs/cgroup/';
const always = { signal, timeoutMs: limits.commandMs };

/** Of version 1: its controllers, or its name. */
function hierarchyOf({ options }: Mount): string {
  const name = options.find((option) => option.startsWith('name='));
  if (name !== undefined) return `none,${name}`;
  const known = readFileSync('/proc/cgroups', 'utf8').split('\n');
  const controllers = known.map((line) => line.split('\t')[0] ?? '');
  return options.filter((option) => controllers.includes(option)).join(',');
}

function readChildren(pid: number): readonly number[] {
  const text = readOr(`/proc/${pid}/task/${pid}/children`);
  return text.split(' ').filter(Boolean).map(Number);
}

function commandOf(pid: number): string {
  return pid === 0 ? '' : readOr(`/proc/${pid}/cmdline`).replaceAll('\0', ' ');
}

function readOr(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch (error) {
    // It may have ended since.
    if (error instanceof Error) return '';
    throw error;
  }
}

/** With all below: folders of cgroups go one by one. */
function isRemoved(folder: string): boolean {
  if (!existsSync(folder)) return true;
  for (const name of readdirSync(folder, { withFileTypes: true })) {
    if (name.isDirectory()) isRemoved(join(folder, name.name));
  }
  try {
    rmdirSync(folder);
    return true;
  } catch (error) {
    // Its last process may not be gone yet.
    if (error instanceof Error) return false;
    throw error;
  }
}

async function until(what: string, limitMs: number, holds: () => Promise<boolean>): Promise<void> {
  const untilMs = clock.monotonic() + limitMs;
  while (!(await holds())) {
    if (clock.monotonic() > untilMs) throw new Error(`${what}: not within ${limitMs / 1000} s`);
    await clock.sleep(50, { signal });
  }
}
