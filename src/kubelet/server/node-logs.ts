/**
 * `/logs/…`: the machine's own log files, as they lie below `/var/log`, and lists of its folders;
 * and, where that is switched on, what services have logged (`log-query.ts` reads the question):
 * from the journal those that it knows, of others the file of their name.
 */
import { spawn } from 'node:child_process';
import { createReadStream, existsSync, readdirSync, realpathSync, statSync } from 'node:fs';
import type { ServerResponse } from 'node:http';
import { join } from 'node:path';
import { PassThrough, type Writable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { createGzip } from 'node:zlib';
import type { Clock } from '#kit/clock.ts';
import { runCommand } from '#kit/run-command.ts';
import type { LogQuery } from './log-query.ts';

const logRoot = '/var/log';
const journalMs = 30_000;

export async function answerNodeLogs(
  path: string,
  response: ServerResponse,
  root: string = logRoot,
): Promise<void> {
  const wanted = fileBelow(root, path);
  if (wanted === undefined) {
    response.writeHead(404, { 'content-type': 'text/plain; charset=utf-8' });
    response.end('404 page not found\n');
    return;
  }
  if (!statSync(wanted).isDirectory()) {
    response.writeHead(200, { 'content-type': 'text/plain; charset=utf-8' });
    await pipeline(createReadStream(wanted), response);
    return;
  }
  const links = readdirSync(wanted, { withFileTypes: true })
    .map((entry) => encodeURI(entry.isDirectory() ? `${entry.name}/` : entry.name))
    .map((name) => `<a href="${name}">${decodeURI(name).replaceAll('<', '&lt;')}</a>`);
  response.writeHead(200, { 'content-type': 'text/html; charset=utf-8' });
  response.end(`<pre>\n${links.join('\n')}\n</pre>\n`);
}

/** A link that leads elsewhere is not followed. */
function fileBelow(root: string, path: string): string | undefined {
  const wanted = join(root, join('/', path));
  if (!existsSync(wanted)) return undefined;
  return `${realpathSync(wanted)}/`.startsWith(`${realpathSync(root)}/`) ? wanted : undefined;
}

export async function answerLogQuery(
  query: LogQuery,
  response: ServerResponse,
  options: {
    readonly gzip: boolean;
    readonly root?: string | undefined;
    readonly clock: Clock;
    readonly signal: AbortSignal;
  },
): Promise<void> {
  const { gzip, root = logRoot, clock, signal } = options;
  if (query.file !== undefined) return answerNodeLogs(query.file, response, root);
  const head = { 'content-type': 'text/plain;charset=UTF-8' };
  response.writeHead(200, gzip ? { ...head, 'content-encoding': 'gzip' } : head);
  const out = new PassThrough();
  const sent = gzip ? pipeline(out, createGzip(), response) : pipeline(out, response);
  const writing = writeServices(query, out, { root, clock, signal }).finally(() => out.end());
  await Promise.all([sent, writing]);
}

async function writeServices(
  { services, options, isPicky }: LogQuery,
  out: Writable,
  around: { readonly root: string; readonly clock: Clock; readonly signal: AbortSignal },
): Promise<void> {
  const { root, clock, signal } = around;
  const command = { signal, timeoutMs: journalMs };
  const known = await runCommand('journalctl', ['--field', '_SYSTEMD_UNIT'], command);
  const isNative = (name: string): boolean =>
    known.code === 0 && known.stdout.includes(`${name}.service`);
  const others = services.filter((name) => !isNative(name));
  if (others.length === 0) {
    const args = [...options, ...services.map((name) => `--unit=${name}`)];
    await writeJournal(args, out, { clock, signal });
  } else if (isPicky) {
    const what = `options present and query resolved to log files for [${others.join(' ')}]`;
    out.write(`\n${what}\ntry without specifying options\n`);
  } else for (const name of others) await writeFileOf(name, out, root);
}

async function writeFileOf(service: string, out: Writable, root: string): Promise<void> {
  for (const name of [service, `${service}.log`, `${service}/${service}.log`]) {
    const path = fileBelow(root, name);
    if (path === undefined || !statSync(path).isFile()) continue;
    await pipeline(createReadStream(path), out, { end: false });
    return;
  }
  out.write(`\nlog not found for ${service}\n`);
}

/** Errors of the journal are part of the answer. */
function writeJournal(
  args: readonly string[],
  out: Writable,
  { clock, signal }: { readonly clock: Clock; readonly signal: AbortSignal },
): Promise<void> {
  return new Promise((resolve) => {
    const child = spawn('journalctl', args, { stdio: ['ignore', 'pipe', 'pipe'] });
    const end = (): void => void child.kill('SIGKILL');
    const cancel = clock.after(journalMs, end);
    signal.addEventListener('abort', end, { once: true });
    child.stdout.pipe(out, { end: false });
    child.stderr.pipe(out, { end: false });
    out.once('close', end);
    child.on('error', () => out.write('\nerror: journal output not available\n'));
    child.on('close', () => {
      cancel();
      signal.removeEventListener('abort', end);
      resolve();
    });
  });
}
