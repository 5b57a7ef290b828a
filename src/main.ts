/**
 * The command line: the only file that reads arguments and environment, installs signal handlers
 * and exits. Each command loads only its own modules.
 *
 * `up` → `cluster/cluster.ts`. Bad settings end with one clear line and code 1.
 */
import { accessSync, constants } from 'node:fs';
import { homedir } from 'node:os';
import { delimiter, join } from 'node:path';
import type { Writable } from 'node:stream';
import type { Progress } from './cluster/cluster.ts';
import type { Commands, InstallFlags, TokenAction } from './cluster/commands/command-line.ts';
import type { SchedulerFlags } from './cluster/commands/scheduler-command.ts';
import type { TokenFlags } from './cluster/commands/token-command.ts';
import type { AgentFlags } from './cluster/settings/agent-config.ts';
import type { ClusterConfig, Flags, Machine } from './cluster/settings/config.ts';
import type { HollowFlags } from './cluster/settings/hollow-settings.ts';
import type { Level, LogFormat } from './kit/log.ts';

const version = '0.1.0';

/** Programs that a containerd node drives. */
const nodePrograms = ['containerd', 'ctr', 'runc', 'nft', 'conntrack', 'ip', 'perl', 'mount'];

export async function main(args: readonly string[]): Promise<void> {
  try {
    if (args[0] === 'node-agent') {
      const { runNodeAgent } = await import('./cluster/node/node-agent.ts');
      process.on('SIGINT', () => {});
      process.exit(await runNodeAgent());
    }
    await runCommandLine(args);
  } catch (error) {
    console.error(`coracle: ${error instanceof Error ? error.message : String(error)}`);
    if (process.env['CORACLE_DEBUG'] !== undefined) console.error(error);
    process.exit(1);
  }
}

async function runCommandLine(args: readonly string[]): Promise<void> {
  const { componentVersion } = await import('./cluster/commands/component-version.ts');
  const asked = componentVersion(args);
  if (asked !== undefined) return console.log(asked);
  const { openCommandLine } = await import('./cluster/commands/command-line.ts');
  const { withDashes } = await import('./cluster/kubelet-settings/kubelet-flags.ts');
  const commands: Commands = {
    version,
    up: (flags) => up(flags),
    server: (flags) => up({ ...flags, node: flags.node ?? 'none' }),
    agent: (flags) => agent(flags),
    kubelet: (options) => kubelet(options),
    token: (action, flags) => token(action, flags),
    down: async (flags) =>
      (await import('./cluster/commands/operate.ts')).down(await settings(flags)),
    status: async (flags) =>
      (await import('./cluster/commands/operate.ts')).status(await settings(flags)),
    reset: async (flags, yes) =>
      (await import('./cluster/commands/operate.ts')).reset(await settings(flags), { yes }),
    backup: async (flags, file) =>
      (await import('./cluster/commands/backup-command.ts')).backup(await settings(flags), file),
    restore: async (flags, file) =>
      (await import('./cluster/commands/backup-command.ts')).restore(await settings(flags), file),
    bundle: async (flags, file) =>
      (await import('./cluster/commands/bundle-command.ts')).bundle(await settings(flags), file),
    storeGet: async (flags, key) =>
      (await import('./cluster/commands/store-command.ts')).storeGet(await settings(flags), key),
    storeDelete: async (flags, key) =>
      (await import('./cluster/commands/store-command.ts')).storeDelete(await settings(flags), key),
    install: (flags, upFlags) => install(flags, upFlags),
    uninstall: async (flags) => {
      const { machineDeps, uninstall } = await import('./cluster/commands/install-command.ts');
      const { down } = await import('./cluster/commands/operate.ts');
      const stopPods = async (own: { readonly dataDir?: string }): Promise<void> =>
        down({ ...(await settings({ ...own, ...flags })), leavePods: false });
      await uninstall(machineDeps(), { name: flags.name, stopPods });
    },
    hollow: (flags) => hollow(flags),
    scheduler: (flags) => scheduler(flags),
    controllerManager: (options) => controllerManager(options),
    why: async (target, flags) => {
      const { why } = await import('./cluster/commands/why-command.ts');
      const kubeconfig = process.env['KUBECONFIG'];
      console.log(await why(target, flags, { kubeconfig }));
    },
    imageBuild: async (options) =>
      (await import('./cluster/commands/image-command.ts')).build(options),
    imageLoad: async (flags, files) =>
      (await import('./cluster/commands/image-command.ts')).load(await settings(flags), files),
    imageList: async (flags) =>
      (await import('./cluster/commands/image-command.ts')).list(await settings(flags)),
  };
  const given = args[0] === 'kubelet' ? withDashes(args) : args;
  await openCommandLine(commands, given).parseAsync([...given], { from: 'user' });
}

async function install(flags: InstallFlags, upFlags: readonly string[]): Promise<void> {
  const { readUpFlags } = await import('./cluster/commands/command-line.ts');
  const { install: installService, machineDeps } = await import(
    './cluster/commands/install-command.ts'
  );
  const { installedProgram } = await import('./cluster/commands/installed-program.ts');
  // Bad flags are refused now, not at the next boot.
  const config = await settings(readUpFlags(upFlags));
  await installService(machineDeps(), {
    name: flags.name,
    program: installedProgram(process, new URL('../bin/', import.meta.url)),
    flags: upFlags,
    config,
    start: flags.start !== false,
  });
}

/** One node of a cluster that runs somewhere else, until a signal ends it. */
async function agent(flags: AgentFlags): Promise<void> {
  const { readAgentConfig } = await import('./cluster/settings/agent-config.ts');
  const { runAgent } = await import('./cluster/node/agent.ts');
  const { openClusterLog } = await import('./cluster/cluster-log.ts');
  const config = readAgentConfig(
    { ...flags, images: withEnvironment({ images: flags.images ?? [] }).images ?? [] },
    machine(),
  );
  const { clock, random, progress, signal } = await openToldRun();
  const outcome = await runAgent(
    { clock, random, ...openClusterLog(clock, config) },
    { config, version, progress, signal },
  );
  progress.note(outcome === 'running' ? `already running from ${config.dataDir}` : 'stopped');
  process.exit(0);
}

/** The kubelet alone, until a signal ends it; what it says goes to its standard error. */
async function kubelet(options: Readonly<Record<string, string | true>>): Promise<void> {
  const { kubeletFlags } = await import('./cluster/kubelet-settings/kubelet-flags.ts');
  const { readKubeletConfig } = await import('./cluster/kubelet-settings/kubelet-settings.ts');
  const { runKubeletAlone } = await import('./cluster/commands/kubelet-command.ts');
  const config = readKubeletConfig(kubeletFlags(options));
  const { signal, ...deps } = await openLoggedRun(config, process.stderr);
  await runKubeletAlone(deps, config, signal);
  process.exit(0);
}

async function token(action: TokenAction, flags: TokenFlags): Promise<void> {
  const commands = await import('./cluster/commands/token-command.ts');
  const { systemClock } = await import('./kit/clock.ts');
  const { systemRandom } = await import('./kit/random.ts');
  const { dataDir } = await settings(flags);
  const deps = { clock: systemClock(), random: systemRandom() };
  switch (action.do) {
    case 'print':
      return console.log(commands.printToken(dataDir));
    case 'create':
      return console.log(await commands.createToken(deps, dataDir, flags));
    case 'list':
      return console.log(await commands.listTokens(deps, dataDir));
    case 'delete':
      return console.log(await commands.deleteToken(deps, dataDir, action.token));
    default:
      action satisfies never;
  }
}

/** Nodes of a cluster that runs somewhere else, until a signal ends them. */
async function hollow(flags: HollowFlags): Promise<void> {
  const { readHollowSettings } = await import('./cluster/settings/hollow-settings.ts');
  const { joinWithHollowNodes } = await import('./cluster/commands/hollow-command.ts');
  const { userKubeconfigPath } = await import('./cluster/credentials/kubeconfig.ts');
  const found = userKubeconfigPath(process.env['KUBECONFIG'], homedir());
  const config = readHollowSettings(flags, found);
  const { signal, ...deps } = await openLoggedRun(config, process.stdout);
  await joinWithHollowNodes(deps, config, signal);
  process.exit(0);
}

/** A scheduler of a cluster that runs somewhere else, until a signal ends it. */
async function scheduler(flags: SchedulerFlags): Promise<void> {
  const commands = await import('./cluster/commands/scheduler-command.ts');
  const config = commands.readSchedulerSettings(flags, process.env);
  const { signal, ...deps } = await openLoggedRun(config, process.stdout);
  await commands.scheduleFor(deps, config, signal);
  process.exit(0);
}

/** The controllers of a cluster that runs somewhere else, until a signal ends them. */
async function controllerManager(options: Readonly<Record<string, string | true>>): Promise<void> {
  const settings = await import('./cluster/settings/controller-manager-settings.ts');
  const { controlFor } = await import('./cluster/commands/controller-manager-command.ts');
  const config = settings.readControllerManagerSettings(options, process.env);
  const { signal, ...deps } = await openLoggedRun(config, process.stdout);
  await controlFor(deps, config, signal);
  process.exit(0);
}

/** What a command needs that runs until a signal ends it. */
async function openRun() {
  const { systemClock } = await import('./kit/clock.ts');
  const { systemRandom } = await import('./kit/random.ts');
  const stop = new AbortController();
  for (const name of ['SIGINT', 'SIGTERM'] as const) {
    process.on(name, () => stop.abort(new Error(`got ${name}`)));
  }
  return { clock: systemClock(), random: systemRandom(), signal: stop.signal };
}

interface LogSettings {
  readonly logLevel: Level;
  readonly logFormat?: LogFormat;
}

/** One that writes a log for people. */
async function openLoggedRun(
  { logLevel: level, logFormat: format = 'text' }: LogSettings,
  out: Writable,
) {
  const { openLog } = await import('./kit/log.ts');
  const { linesTo } = await import('./kit/log-lines.ts');
  const run = await openRun();
  return { ...run, log: openLog({ clock: run.clock, level, format, write: linesTo(out) }) };
}

/** One that tells how it comes along, and goes on when its terminal is closed. */
async function openToldRun() {
  const { openProgress } = await import('./cluster/commands/progress.ts');
  const { linesTo } = await import('./kit/log-lines.ts');
  const run = await openRun();
  const progress = openProgress({ clock: run.clock, write: linesTo(process.stdout) });
  run.signal.addEventListener('abort', () => progress.note('stopping'), { once: true });
  process.on('SIGHUP', () => {});
  return { ...run, progress };
}

async function settings(flags: Flags): Promise<ClusterConfig> {
  const { readConfig } = await import('./cluster/settings/config.ts');
  return readConfig(withEnvironment(flags), machine());
}

/** `CORACLE_IMAGES`: folders of image archives, as the start scripts pass them. */
function withEnvironment(flags: Flags): Flags {
  const folders = process.env['CORACLE_IMAGES']?.split(delimiter) ?? [];
  return { ...flags, images: [...(flags.images ?? []), ...folders] };
}

function machine(): Machine {
  const folders = [...(process.env['PATH'] ?? '').split(delimiter), '/usr/sbin', '/sbin'];
  const isThere = (program: string): boolean =>
    folders.some((folder) => {
      try {
        accessSync(join(folder, program), constants.X_OK);
        return true;
      } catch {
        return false;
      }
    });
  return {
    isRoot: process.getuid?.() === 0,
    platform: process.platform,
    missing: nodePrograms.filter((program) => !isThere(program)),
  };
}

async function up(flags: Flags): Promise<void> {
  const { runCluster } = await import('./cluster/cluster.ts');
  const { openClusterLog } = await import('./cluster/cluster-log.ts');
  const { readConfig, whyNoContainers } = await import('./cluster/settings/config.ts');
  const { userKubeconfigPath } = await import('./cluster/credentials/kubeconfig.ts');
  const here = machine();
  const config = readConfig(withEnvironment(flags), here);
  const { clock, random, progress, signal } = await openToldRun();
  if (config.node === 'hollow' && flags.node === undefined) {
    progress.note(`hollow node, no real containers: ${whyNoContainers(here)}`);
  }
  const userKubeconfig = config.kubeconfig
    ? userKubeconfigPath(process.env['KUBECONFIG'], homedir())
    : undefined;
  const outcome = await runCluster(
    { clock, random, ...openClusterLog(clock, config) },
    { config, version, userKubeconfig, progress: notifying(progress, signal), signal },
  );
  progress.note(outcome === 'running' ? `already running from ${config.dataDir}` : 'stopped');
  process.exit(0);
}

/** A service manager that waits for us is told when the cluster is ready. */
function notifying(progress: Progress, signal: AbortSignal): Progress {
  if (process.env['NOTIFY_SOCKET'] === undefined) return progress;
  return {
    component: (status) => progress.component(status),
    ready: (access) => {
      progress.ready(access);
      import('./cluster/commands/install-command.ts')
        .then(({ notifyReady }) => notifyReady(signal))
        .catch((error: unknown) => console.error('coracle: cannot notify:', error));
    },
  };
}
