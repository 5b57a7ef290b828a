/**
 * The configuration of our own containerd, as text.
 *
 * Pure: paths and version in, TOML out. Version 2 of the format is what containerd 1.6 and 1.7
 * read; 2.x has version 3, where the CRI plugin is split in two. `containerd.ts` writes the file.
 *
 * Why the odd ones: `restrict_oom_score_adj` where the machine does not let us lower a score, since
 * runc then fails to start anything; the snapshotters that need modules or devices are left out,
 * each of them would run modprobe at start.
 */
import { loginLines, quote, type Registries } from './registry-hosts.ts';

export interface ContainerdConfig {
  readonly majorVersion: number;
  readonly root: string;
  readonly state: string;
  readonly socketPath: string;
  readonly cniBinDir: string;
  readonly cniConfDir: string;
  /** Folders with a folder for each registry, first ones first. */
  readonly registryDirs: readonly string[];
  readonly registries?: Registries | undefined;
  readonly runc: string;
  /** Processes may be made less likely to be killed for memory than we are. */
  readonly mayLowerScores: boolean;
  /** Containers have AppArmor profiles, the runtime's own where they ask for none. */
  readonly appArmor: boolean;
  /** Containers are in scopes of systemd. */
  readonly systemdCgroup: boolean;
  /** Reference of the image that holds a pod's namespaces. */
  readonly pauseImage: string;
}

const unusedPlugins = [
  'io.containerd.snapshotter.v1.aufs',
  'io.containerd.snapshotter.v1.blockfile',
  'io.containerd.snapshotter.v1.btrfs',
  'io.containerd.snapshotter.v1.devmapper',
  'io.containerd.snapshotter.v1.zfs',
  'io.containerd.internal.v1.opt',
  'io.containerd.tracing.processor.v1.otlp',
  'io.containerd.internal.v1.tracing',
];

export function formatContainerdConfig(config: ContainerdConfig): string {
  const head = [
    `version = ${config.majorVersion >= 2 ? 3 : 2}`,
    `root = ${quote(config.root)}`,
    `state = ${quote(config.state)}`,
    'oom_score = 0',
    `disabled_plugins = [${unusedPlugins.map(quote).join(', ')}]`,
    '',
    '[grpc]',
    `  address = ${quote(config.socketPath)}`,
    '',
  ];
  const plugins = config.majorVersion >= 2 ? pluginsVersion3(config) : pluginsVersion2(config);
  return [...head, ...plugins, ''].join('\n');
}

function pluginsVersion2(config: ContainerdConfig): readonly string[] {
  const cri = 'plugins."io.containerd.grpc.v1.cri"';
  return [
    `[${cri}]`,
    `  sandbox_image = ${quote(config.pauseImage)}`,
    '  systemd_cgroup = false',
    ...runtimeSettings(config),
    ...streamSettings,
    ...cniSettings(cri, config),
    ...runcSettings(cri, config, '  snapshotter = "overlayfs"'),
    ...registrySettings(`${cri}.registry`, config),
  ];
}

function pluginsVersion3(config: ContainerdConfig): readonly string[] {
  const runtime = 'plugins."io.containerd.cri.v1.runtime"';
  const images = 'plugins."io.containerd.cri.v1.images"';
  return [
    `[${runtime}]`,
    ...runtimeSettings(config),
    ...cniSettings(runtime, config),
    ...runcSettings(runtime, config),
    '[plugins."io.containerd.grpc.v1.cri"]',
    ...streamSettings,
    `[${images}]`,
    '  snapshotter = "overlayfs"',
    `[${images}.pinned_images]`,
    `  sandbox = ${quote(config.pauseImage)}`,
    ...registrySettings(`${images}.registry`, config),
  ];
}

function registrySettings(table: string, config: ContainerdConfig): readonly string[] {
  const { registryDirs, registries } = config;
  return [
    `[${table}]`,
    `  config_path = ${quote(registryDirs.join(':'))}`,
    ...(registries === undefined ? [] : loginLines(table, registries)),
  ];
}

const runtimeSettings = ({ appArmor, mayLowerScores }: ContainerdConfig): readonly string[] => [
  `  disable_apparmor = ${!appArmor}`,
  `  restrict_oom_score_adj = ${!mayLowerScores}`,
  '  tolerate_missing_hugetlb_controller = true',
  '  disable_hugetlb_controller = true',
  '  enable_unprivileged_ports = true',
  '  enable_unprivileged_icmp = true',
  '  netns_mounts_under_state_dir = true',
  // Devices by their names in /etc/cdi and /var/run/cdi; before 1.7 it is passed over.
  '  enable_cdi = true',
];

const streamSettings = ['  stream_server_address = "127.0.0.1"', '  stream_server_port = "0"'];

function cniSettings(plugin: string, config: ContainerdConfig): readonly string[] {
  return [
    `[${plugin}.cni]`,
    config.majorVersion >= 2
      ? `  bin_dirs = [${quote(config.cniBinDir)}]`
      : `  bin_dir = ${quote(config.cniBinDir)}`,
    `  conf_dir = ${quote(config.cniConfDir)}`,
  ];
}

function runcSettings(
  plugin: string,
  config: ContainerdConfig,
  ...containerd: readonly string[]
): readonly string[] {
  return [
    `[${plugin}.containerd]`,
    ...containerd,
    '  default_runtime_name = "runc"',
    `[${plugin}.containerd.runtimes.runc]`,
    '  runtime_type = "io.containerd.runc.v2"',
    `[${plugin}.containerd.runtimes.runc.options]`,
    `  BinaryName = ${quote(config.runc)}`,
    `  SystemdCgroup = ${config.systemdCgroup}`,
  ];
}

/** CAP_SYS_RESOURCE, in the text of `/proc/self/status`. Machines within machines may lack it. */
export function mayLowerScores(status: string): boolean {
  const capabilities = BigInt(`0x${/^CapEff:\s*([0-9a-f]+)$/m.exec(status)?.[1] ?? '0'}`);
  return ((capabilities >> 24n) & 1n) === 1n;
}
