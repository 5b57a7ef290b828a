/**
 * `coracle install` and `uninstall`: the cluster as a service of this machine, there again after a
 * reboot. The texts are in `service-unit.ts`.
 */
import { chmodSync, existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { mustRun, runCommand } from '#kit/run-command.ts';
import { type ClusterConfig, ConfigError } from '../settings/config.ts';
import {
  dataDirOf,
  type ServiceFile,
  type ServiceManager,
  type ServiceOptions,
  serviceFiles,
} from './service-unit.ts';

export interface InstallDeps {
  /** Runs a program of the service manager. */
  readonly run: (command: string, args: readonly string[]) => Promise<void>;
  readonly say: (line: string) => void;
  /** In front of every path; empty but in tests. */
  readonly root: string;
}

const limits = { serviceMs: 180_000 } as const;

export function machineDeps(): InstallDeps {
  const { signal } = new AbortController();
  return {
    run: async (command, args) => {
      await mustRun(command, args, { timeoutMs: limits.serviceMs, signal });
    },
    say: (line) => console.log(line),
    root: '',
  };
}

export async function install(
  deps: InstallDeps,
  options: Omit<ServiceOptions, 'canNotify' | 'dataDir'> & {
    readonly config: ClusterConfig;
    /** Also starts it, now and at every boot. */
    readonly start: boolean;
  },
): Promise<void> {
  const { name, start, config } = options;
  if (!/^[a-z][a-z0-9-]{0,40}$/.test(name)) throw new ConfigError(`--name ${name}: not a name`);
  const manager = serviceManager(deps.root);
  const canNotify = existsSync(`${deps.root}/usr/bin/systemd-notify`);
  const [unit, environment] = serviceFiles(manager, {
    ...options,
    canNotify,
    dataDir: config.dataDir,
  });
  write(deps.root, unit);
  // What somebody wrote into it stays.
  if (!existsSync(deps.root + environment.path)) write(deps.root, environment);
  deps.say(`wrote ${unit.path}`);
  if (manager === 'systemd') {
    await deps.run('systemctl', ['daemon-reload']);
    if (start) await deps.run('systemctl', ['enable', '--now', `${name}.service`]);
  } else if (start) {
    await deps.run('rc-update', ['add', name, 'default']);
    await deps.run('rc-service', [name, 'restart']);
  }
  const kubeconfig = join(config.dataDir, 'admin.kubeconfig');
  deps.say(start ? `started; kubectl --kubeconfig ${kubeconfig} get nodes` : 'not started');
}

/** Of the service, as its unit says. */
interface OwnData {
  readonly dataDir?: string;
}

/** Ends the service and its pods; the cluster's data stay until `reset`. */
export async function uninstall(
  deps: InstallDeps,
  { name, stopPods }: { readonly name: string; readonly stopPods: (own: OwnData) => Promise<void> },
): Promise<void> {
  const manager = serviceManager(deps.root);
  const options = { name, program: [''], flags: [], dataDir: '', canNotify: false };
  const files = serviceFiles(manager, options);
  if (!existsSync(deps.root + files[0].path)) {
    throw new ConfigError(`there is no service ${name} of ours: ${files[0].path} is missing`);
  }
  // The pods as well: this is no restart.
  const dataDir = dataDirOf(readFileSync(deps.root + files[0].path, 'utf8'));
  await stopPods(dataDir === undefined ? {} : { dataDir });
  if (manager === 'systemd') {
    await deps.run('systemctl', ['disable', '--now', `${name}.service`]);
  } else {
    await deps.run('rc-service', [name, 'stop']);
    await deps.run('rc-update', ['delete', name, 'default']);
  }
  for (const { path } of files) rmSync(deps.root + path, { force: true });
  if (manager === 'systemd') await deps.run('systemctl', ['daemon-reload']);
  deps.say('removed; `coracle reset` deletes the data of the cluster');
}

/** `systemd-notify --ready`, for units of type notify. */
export async function notifyReady(signal: AbortSignal): Promise<void> {
  await runCommand('systemd-notify', ['--ready'], { timeoutMs: 5000, signal });
}

function serviceManager(root: string): ServiceManager {
  if (existsSync(`${root}/run/systemd/system`)) return 'systemd';
  if (existsSync(`${root}/sbin/openrc-run`)) return 'openrc';
  throw new ConfigError('neither systemd nor OpenRC runs here: `coracle up` needs neither');
}

function write(root: string, { path, text, mode }: ServiceFile): void {
  writeFileSync(root + path, text, { mode });
  chmodSync(root + path, mode);
}
