/**
 * `coracle backup FILE` and `coracle restore FILE`.
 *
 * A backup is made by the running cluster, asked over its control socket, or directly from the file
 * of a stopped one. A restore needs a stopped cluster; while it works it holds the control socket
 * itself, so that none starts meanwhile. The file has all objects as the store keeps them, Secrets
 * in plain text unless they are encrypted there, and so only its owner may read it.
 */
import { createHash } from 'node:crypto';
import { createReadStream, existsSync, mkdirSync } from 'node:fs';
import { resolve } from 'node:path';
import { type Clock, systemClock } from '#kit/clock.ts';
import { backupSqliteFile, type Copied, restoreSqliteFile } from '#store';
import { backupName, storePath } from '../control-plane/backups.ts';
import { askCluster, openControlSocket } from '../control-socket.ts';
import type { ClusterConfig } from '../settings/config.ts';

export async function backup(config: ClusterConfig, file: string): Promise<void> {
  const to = resolve(file);
  const { revision, bytes } = await copyTo(systemClock(), config, to);
  console.log(`path      ${to}`);
  console.log(`sha256    ${await sha256Of(to)}`);
  console.log(`size      ${bytes}`);
  console.log(`revision  ${revision}`);
}

async function copyTo(clock: Clock, config: ClusterConfig, to: string): Promise<Copied> {
  const answer = await askCluster(clock, config.dataDir, { do: 'backup', file: to });
  if (answer === undefined) {
    return await backupSqliteFile({ file: storePath(config.dataDir), to });
  }
  // The other end is our own process of the same data dir.
  return answer as Copied;
}

export async function restore(config: ClusterConfig, given: string): Promise<void> {
  const from = resolve(given);
  const { dataDir } = config;
  mkdirSync(dataDir, { recursive: true, mode: 0o700 });
  const socket = await openControlSocket(dataDir, () =>
    Promise.reject(new Error('a restore is under way')),
  );
  if (socket === undefined) {
    throw new Error('the cluster is running; stop it first (coracle down), then restore');
  }
  try {
    const file = storePath(dataDir);
    const replaced = `${file}.replaced-${backupName(systemClock().now()).slice(6, -3)}`;
    const restored = await restoreSqliteFile({ from, file, keepAs: freeName(replaced) });
    console.log(`restored  ${from}, revision ${restored.revision}`);
    console.log(`goes on   behind revision ${restored.goesOnBehind}`);
    console.log(`replaced  ${restored.kept ?? 'nothing'}`);
  } finally {
    await socket[Symbol.asyncDispose]();
  }
}

/** Two restores may fall into one second. */
function freeName(wanted: string): string {
  let name = wanted;
  for (let count = 2; existsSync(name); count++) name = `${wanted}-${count}`;
  return name;
}

async function sha256Of(file: string): Promise<string> {
  const hash = createHash('sha256');
  for await (const part of createReadStream(file)) hash.update(part);
  return hash.digest('hex');
}
