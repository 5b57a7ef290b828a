/**
 * `coracle bundle FILE`: what somebody needs who is to find out what is wrong with a node, as one
 * `.tar.gz`: the state of the cluster's processes, their logs, the service as systemd knows it,
 * the machine, and the tables of nodes, pods and events.
 *
 * Nothing that is secret is looked at: of objects only what tables show, of processes no arguments.
 * What a machine does not have, or what does not answer, is told of in the place of its text.
 */
import {
  chmodSync,
  copyFileSync,
  existsSync,
  globSync,
  mkdirSync,
  mkdtempSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join, resolve } from 'node:path';
import { openHttpTransport } from '#client';
import { systemClock } from '#kit/clock.ts';
import { messageOf } from '#kit/error-message.ts';
import { runCommand } from '#kit/run-command.ts';
import { readAccess } from '../credentials/kubeconfig-access.ts';
import { type ClusterConfig, ConfigError } from '../settings/config.ts';
import { statusText } from './operate.ts';

const limits = { commandMs: 20_000, requestMs: 10_000, journalLines: 20_000 } as const;

const unit = 'coracle';
const journal = ['-u', unit, '--no-pager', '-n', String(limits.journalLines)];
/** File → command. */
const commands: Readonly<Record<string, readonly [string, ...string[]]>> = {
  'machine/uname.txt': ['uname', '-a'],
  'machine/memory.txt': ['free', '-m'],
  'machine/disks.txt': ['df', '-h'],
  'machine/mounts.txt': ['findmnt', '--all'],
  'machine/processes.txt': ['ps', '-eo', 'pid,ppid,etime,rss,stat,comm'],
  'machine/addresses.txt': ['ip', 'address'],
  'machine/routes.txt': ['ip', 'route'],
  'machine/rules.txt': ['nft', 'list', 'ruleset'],
  'service/status.txt': ['systemctl', 'status', unit, '--no-pager', '--full'],
  'service/unit.txt': ['systemctl', 'cat', unit],
  'service/journal.txt': ['journalctl', ...journal],
};

const tables: Readonly<Record<string, string>> = {
  'objects/nodes.txt': '/api/v1/nodes',
  'objects/pods.txt': '/api/v1/pods',
  'objects/events.txt': '/api/v1/events',
};

export async function bundle(config: ClusterConfig, file: string): Promise<void> {
  const to = resolve(file);
  if (existsSync(to)) throw new ConfigError(`${to} exists already`);
  const { signal } = new AbortController();
  const folder = mkdtempSync(join(tmpdir(), 'coracle-bundle-'));
  try {
    await gather(config, join(folder, 'bundle'), signal);
    const args = ['-czf', to, '-C', folder, 'bundle'];
    const packed = await runCommand('tar', args, { signal, timeoutMs: 10 * limits.commandMs });
    if (packed.code !== 0) throw new Error(`tar: ${packed.stderr.trim()}`);
    chmodSync(to, 0o600);
    console.log(`path  ${to}`);
    console.log(`size  ${statSync(to).size}`);
  } finally {
    rmSync(folder, { recursive: true });
  }
}

async function gather(config: ClusterConfig, folder: string, signal: AbortSignal): Promise<void> {
  const write = (name: string, text: string): void => {
    mkdirSync(join(folder, name, '..'), { recursive: true });
    writeFileSync(join(folder, name), text.endsWith('\n') ? text : `${text}\n`);
  };
  write('status.txt', (await statusText(config)).text);
  mkdirSync(join(folder, 'logs'));
  const { dataDir } = config;
  for (const path of globSync(join(dataDir, '{logs/*,agent/containerd/containerd.log*}'))) {
    copyFileSync(path, join(folder, 'logs', basename(path)));
  }
  for (const [name, [program, ...args]] of Object.entries(commands)) {
    write(name, await outputOf(program, args, signal));
  }
  for (const [name, path] of Object.entries(tables)) {
    write(name, await tableOf(dataDir, path).catch(messageOf));
  }
}

async function outputOf(
  program: string,
  args: readonly string[],
  signal: AbortSignal,
): Promise<string> {
  const command = `$ ${program} ${args.join(' ')}`;
  try {
    const options = { signal, timeoutMs: limits.commandMs };
    const { stdout, stderr } = await runCommand(program, args, options);
    return `${command}\n${stdout}${stderr}`;
  } catch (error) {
    return `${command}\n${messageOf(error)}`;
  }
}

/** As the server makes it for `kubectl get`. */
interface Table {
  readonly columnDefinitions: readonly { readonly name: string }[];
  readonly rows: readonly {
    readonly cells: readonly unknown[];
    readonly object?: { readonly metadata?: { readonly namespace?: string } };
  }[];
}

async function tableOf(dataDir: string, path: string): Promise<string> {
  const [late, rest] = [new AbortController(), new AbortController()];
  const limit = systemClock()
    .sleep(limits.requestMs, { signal: rest.signal })
    .then(() => late.abort(new Error('the server does not answer')))
    .catch(() => {});
  try {
    const { status, text } = await askForTable(dataDir, path, late.signal);
    // Parse boundary: the server answers a list that was asked for so with this.
    return status === 200 ? formatTable(JSON.parse(text) as Table) : text;
  } finally {
    rest.abort(new Error('it has answered'));
    await limit;
  }
}

async function askForTable(dataDir: string, path: string, signal: AbortSignal) {
  using transport = openHttpTransport(readAccess(join(dataDir, 'admin.kubeconfig'), undefined));
  const headers = { accept: 'application/json;as=Table;v=v1;g=meta.k8s.io' };
  const { status, body } = await transport.send({ method: 'GET', path, headers }, { signal });
  const parts: Uint8Array[] = [];
  if (body instanceof Uint8Array) parts.push(body);
  else for await (const part of body) parts.push(part);
  return { status, text: Buffer.concat(parts).toString('utf8') };
}

function formatTable({ columnDefinitions, rows }: Table): string {
  const head = ['namespace', ...columnDefinitions.map(({ name }) => name)];
  const lines = rows.map(({ cells, object }) => [object?.metadata?.namespace ?? '', ...cells]);
  return [head, ...lines].map((line) => line.join('\t')).join('\n');
}
