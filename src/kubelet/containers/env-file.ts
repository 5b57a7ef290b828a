/**
 * Variables that a container takes from a file which an earlier container of its pod has written.
 *
 * The file is in an emptyDir and written by a stranger: its path never leads out of the volume,
 * links in it are followed as that volume's user sees them, and only a plain file of moderate size
 * is read. `parseEnvFile` is pure; `env.ts` asks for one key at a time. The format is what a POSIX
 * shell reads, with every value in single quotes. Behaviour: kubernetes.io, "Define Environment
 * Variable Values Using An Init Container".
 */
import { closeSync, fstatSync, realpathSync } from 'node:fs';
import { lstat, readFile, readlink } from 'node:fs/promises';
import { join } from 'node:path';
import type { FileKeySelector } from '#resources/types/core-v1.ts';
import { openInside } from '../volumes/sub-paths.ts';
import { ConfigError } from './env.ts';

export const limits = {
  /** Largest file of variables. */
  fileBytesMax: 1024 * 1024,
  /** Links followed on the way to it, as the kernel does. */
  linksMax: 40,
} as const;

/** Undefined: it is missing, and may be. `volumes` says where each is on the node. */
export async function readFileKey(
  volumes: ReadonlyMap<string, string>,
  { volumeName, path, key, optional }: FileKeySelector,
): Promise<string | undefined> {
  const folder = volumes.get(volumeName);
  if (folder === undefined) {
    throw new ConfigError(`cannot find the volume "${volumeName}" referenced by FileKeyRef`);
  }
  let value: string;
  try {
    value = await readEnvFile(folder, path, key);
  } catch {
    // Not what is wrong with it: that may be secret. As upstream, also where it may be missing.
    throw new ConfigError("couldn't parse env file");
  }
  if (value !== '') return value;
  if (optional === true) return undefined;
  const file = join(folder, path);
  throw new ConfigError(`environment variable key "${key}" not found in file "${file}"`);
}

/** The value of a key; empty where the file does not have it. Throws where it is no such file. */
export async function readEnvFile(volume: string, path: string, key: string): Promise<string> {
  const root = realpathSync(volume);
  // A container that still runs may put links where there were none.
  const descriptor = openInside(root, await pathInside(root, path));
  try {
    const found = fstatSync(descriptor);
    if (!found.isFile()) throw new Error('it is no plain file');
    if (found.size > limits.fileBytesMax) throw new Error('the file is too large');
    return parseEnvFile(await readFile(`/proc/self/fd/${descriptor}`, 'utf8'), key);
  } finally {
    closeSync(descriptor);
  }
}

/** Links lead to where they would in a world of which the volume is the root. */
async function pathInside(volume: string, path: string): Promise<string> {
  let left = path.split('/');
  let done: readonly string[] = [];
  for (let links = 0; left.length > 0; ) {
    const [part = '', ...rest] = left;
    left = rest;
    if (part === '' || part === '.') continue;
    if (part === '..') {
      done = done.slice(0, -1);
      continue;
    }
    const here = join(volume, ...done, part);
    const found = await lstat(here);
    if (!found.isSymbolicLink()) {
      done = [...done, part];
      continue;
    }
    links += 1;
    if (links > limits.linksMax) throw new Error('too many links');
    const target = await readlink(here);
    if (target.startsWith('/')) done = [];
    left = [...target.split('/'), ...left];
  }
  return join(volume, ...done);
}

export function parseEnvFile(text: string, key: string): string {
  const lines = text.split('\n').map((line) => line.replace(/\r$/, ''));
  for (let index = 0; index < lines.length; index++) {
    const line = trimStart(lines[index] ?? '');
    if (line === '' || line.startsWith('#')) continue;
    const at = index + 1;
    const equals = line.indexOf('=');
    if (equals === -1) throw formatError(`at line ${at}: missing '='`);
    const name = line.slice(0, equals);
    if (name.trim() === '') throw formatError(`at line ${at}: empty variable name`);
    if (/[ \t]$/.test(name))
      throw formatError(`at line ${at}: whitespace before '=' is not allowed`);
    const value = line.slice(equals + 1);
    // As a shell: `NAME= 'x'` gives the name nothing.
    if (/^[ \t]/.test(value)) {
      if (name === key) return '';
      continue;
    }
    if (value === '' || !value.startsWith("'")) {
      throw formatError(`at line ${at}: value must be enclosed in single quotes`);
    }
    let quoted = value.slice(1);
    while (!quoted.includes("'")) {
      index += 1;
      const next = lines[index];
      if (next === undefined) throw formatError(`starting at line ${at}: unclosed single quote`);
      quoted += `\n${next}`;
    }
    const end = quoted.indexOf("'");
    const after = trimStart(quoted.slice(end + 1));
    if (after !== '' && !after.startsWith('#')) {
      throw formatError(`at line ${index + 1}: unexpected content after closing quote`);
    }
    if (name === key) return quoted.slice(0, end);
  }
  return '';
}

function trimStart(text: string): string {
  return text.replace(/^[ \t]+/, '');
}

function formatError(problem: string): Error {
  return new Error(`invalid environment variable format ${problem}`);
}
