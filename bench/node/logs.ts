/**
 * Logs, in bytes of text a second: how fast the runtime writes them with nobody reading, how fast
 * `logs -f` brings one that is there already, and how much of a live one it keeps up with.
 *
 * What is there is followed twice: by kubectl, which copies line by line and needs more processor
 * time for it than all others together, and by a plain request to the API server, which shows what
 * we take. What kubectl prints goes to a file: out of a pipe we would take every line by itself,
 * and measure ourselves. Whoever writes is held up by the runtime, which stamps each line and
 * writes it by itself: no reader of a live log can be faster than that.
 */
import { spawn } from 'node:child_process';
import { closeSync, fstatSync, openSync, readdirSync, rmSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { systemClock } from '#kit/clock.ts';
import type { BenchNode } from './bench-node.ts';

const clock = systemClock();
const { signal } = new AbortController();
const line = 'x'.repeat(199);
const lineBytes = line.length + 1;
/** Nothing has come for so long: it was all. */
const silenceMs = 1000;
const limitMs = 120_000;
/** Between two looks at how much has come. */
const lookMs = 2;
const pod = 'writer';

interface Options {
  readonly bytes: number;
  print(what: string, value: number, goal: number | undefined, unit: string): void;
}

export async function measureLogs(node: BenchNode, options: Options): Promise<void> {
  const { bytes, print } = options;
  const lines = Math.ceil(bytes / lineBytes);
  const unread = await writeUnread(node, lines);
  print('logs: the runtime writes, nobody reads', unread, undefined, 'MB/s');
  const all = lines * lineBytes;
  print('logs -f of what is there, the API alone', await readByRequest(node, all), 50, 'MB/s');
  const there = await readByKubectl(node, { all });
  print('logs -f of what is there, by kubectl', there.pace, 50, 'MB/s');
  await node.removeAll([pod]);
  await node.start([pod], () => writerOf(lines));
  const live = await readByKubectl(node, { all, onOpen: () => go(node) });
  print('logs -f while it is written, by kubectl', live.pace, undefined, 'MB/s');
  print('logs -f while it is written, of all', (100 * live.read) / all, 100, '%');
  await node.removeAll([pod]);
}

/** It waits until it is told, and stays. */
function writerOf(lines: number) {
  const waits = 'while [ ! -e /tmp/go ]; do sleep 0.05; done';
  const command = `${waits}; yes ${line} | head -n ${lines}; sleep 3600`;
  const image = 'localhost/busybox:1.35';
  return { containers: [{ name: 'main', image, command: ['sh', '-c', command] }] };
}

async function go(node: BenchNode): Promise<void> {
  await node.cluster.kubectl('exec', pod, '--', 'touch', '/tmp/go');
}

/** From its first line to its last, as the files show it. */
async function writeUnread(node: BenchNode, lines: number): Promise<number> {
  await node.start([pod], () => writerOf(lines));
  const root = join(node.cluster.dataDir, 'agent/pod-logs');
  const name = readdirSync(root).find((each) => each.startsWith(`default_${pod}_`)) ?? '';
  const folder = join(root, name, 'main');
  const written = (): number =>
    readdirSync(folder).reduce((sum, file) => sum + statSync(join(folder, file)).size, 0);
  await go(node);
  const begin = clock.monotonic();
  let [bytes, atMs] = [written(), begin];
  for (let nowMs = begin; nowMs < atMs + silenceMs; nowMs = clock.monotonic()) {
    if (nowMs > begin + limitMs) throw new Error('the writer does not come to its end');
    const now = written();
    if (now > bytes) [bytes, atMs] = [now, nowMs];
    await clock.sleep(10, { signal });
  }
  return (lines * lineBytes) / 1000 / (atMs - begin);
}

async function readByRequest(node: BenchNode, all: number): Promise<number> {
  const stop = new AbortController();
  const cancel = clock.after(limitMs, () => stop.abort(new Error('the log does not end')));
  const path = `/api/v1/namespaces/default/pods/${pod}/log?follow=true`;
  const request = { method: 'GET', path, headers: {} };
  const { body } = await node.client.transport.send(request, { signal: stop.signal });
  const begin = clock.monotonic();
  let read = 0;
  for await (const part of body instanceof Uint8Array ? [body] : body) {
    read += part.length;
    if (read >= all) break;
  }
  const seconds = (clock.monotonic() - begin) / 1000;
  cancel();
  stop.abort(new Error('all is read'));
  return read / 1e6 / seconds;
}

async function readByKubectl(
  node: BenchNode,
  { all, onOpen }: { readonly all: number; readonly onOpen?: () => Promise<void> },
): Promise<{ readonly read: number; readonly pace: number }> {
  const args = ['--kubeconfig', node.cluster.kubeconfig, 'logs', '-f', pod];
  const path = join(node.cluster.dataDir, 'followed.log');
  const file = openSync(path, 'w');
  const follow = spawn('kubectl', args, { stdio: ['ignore', file, 'inherit'] });
  let hasEnded = false;
  follow.once('close', () => {
    hasEnded = true;
  });
  const followed = onOpen?.();
  const begin = clock.monotonic();
  let read = 0;
  let firstMs = 0;
  let lastMs = 0;
  while (read < all && !hasEnded && clock.monotonic() < begin + limitMs) {
    const { size } = fstatSync(file);
    if (size > read) lastMs = clock.monotonic();
    if (read === 0) firstMs = lastMs;
    read = size;
    await clock.sleep(lookMs, { signal });
  }
  await followed;
  follow.kill();
  closeSync(file);
  rmSync(path);
  return { read, pace: read / 1000 / (lastMs - firstMs) };
}
