/**
 * `--token-auth-file`: who is believed by tokens that somebody wrote down, a line for each:
 * `token,user,uid,"group1,group2"`, the groups as they are wished. Upstream's form and words. Read
 * once, when the server starts; `server-settings.ts` hands it to the API server.
 */
import { readFileSync } from 'node:fs';
import { messageOf } from '#kit/error-message.ts';
import type { Identity } from '#kit/transport.ts';
import { ConfigError } from './config-error.ts';

export interface TokenFile {
  readonly tokens: ReadonlyMap<string, Identity>;
  readonly notes: readonly string[];
}

export function readTokenFile(path: string): TokenFile {
  let text: string;
  try {
    text = readFileSync(path, 'utf8');
  } catch (error) {
    const why = messageOf(error);
    throw new ConfigError(`--token-auth-file: ${why}`);
  }
  return parseTokenFile(path, text);
}

export function parseTokenFile(path: string, text: string): TokenFile {
  const tokens = new Map<string, Identity>();
  const notes: string[] = [];
  const lines = text.split(/\r?\n/).filter((line) => line !== '');
  for (const [index, line] of lines.entries()) {
    const fields = parseFields(line);
    if (fields === undefined) {
      throw new ConfigError(`record on line ${index + 1}: extraneous or missing " in quoted-field`);
    }
    const [token = '', name = '', uid, groups] = fields;
    if (uid === undefined) {
      const wanted = 'at least 3 columns (token, user name, user uid)';
      throw new ConfigError(`token file '${path}' must have ${wanted}, found ${fields.length}`);
    }
    const place = `in token file '${path}', record number '${index + 1}'`;
    if (token === '') notes.push(`empty token has been found ${place}`);
    if (token === '') continue;
    if (tokens.has(token)) notes.push(`duplicate token has been found ${place}`);
    tokens.set(token, { name, uid, groups: groups === undefined ? [] : groups.split(',') });
  }
  return { tokens, notes };
}

/** Fields between commas; one in quotes may have commas, and a quote written twice. */
function parseFields(line: string): readonly string[] | undefined {
  const fields: string[] = [];
  const pattern = /(?:"((?:[^"]|"")*)"|([^",]*))(,|$)/y;
  for (;;) {
    const found = pattern.exec(line);
    if (found === null) return undefined;
    const [, quoted, plain = '', end] = found;
    fields.push(quoted === undefined ? plain : quoted.replaceAll('""', '"'));
    if (end === '') return fields;
  }
}
