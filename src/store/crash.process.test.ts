/**
 * A process that writes is killed at a random moment, again and again, over one file.
 *
 * This file is also the program that is killed (`write FILE ROUND`): eight writers with keys of
 * their own, each of which says on standard output what was acknowledged. Afterwards every key must
 * be as its last acknowledged write left it, or as the one behind it, which was under way; whole in
 * both cases. Revisions never go back, and history tells how the present came about.
 *
 * CORACLE_ROUNDS says how often, CORACLE_SEED when: `CORACLE_ROUNDS=300 node --test` and this file.
 */
import { deepEqual, equal, ok } from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { present } from '#kit/assert.ts';
import { systemClock } from '#kit/clock.ts';
import { silentLog } from '#kit/log.ts';
import { type Random, seededRandom } from '#kit/random.ts';
import { settle, VirtualClock } from '#kit/virtual-clock.ts';
import { Record } from './store.contract.ts';
import { openSqliteStore, type Store, type StoreEvent } from './store.ts';

const writers = 8;
const keysPerWriter = 3;
/** A machine that is busy takes long to start a program; then the round says nothing. */
const startLimitMs = 60_000;
const roundLimitMs = 30_000;

/** What the nth write of a key leaves: a value of odd length, or nothing. */
function stateAfter(key: string, step: number): Uint8Array | undefined {
  if (step === 0 || step % 7 === 0) return undefined;
  const line = Buffer.from(`${key} ${step} `);
  return new Uint8Array(Buffer.alloc(line.length * ((step * 31) % 1500) + 1, line));
}

function keysOf(round: number, writer: number): readonly string[] {
  return Array.from({ length: keysPerWriter }, (_, key) => `/r${round}/w${writer}/k${key}`);
}

async function write(file: string, round: number): Promise<void> {
  const store = await openSqliteStore({ clock: systemClock(), log: silentLog }, { file });
  const runWriter = async (writer: number): Promise<void> => {
    for (let step = 1; ; step++) {
      for (const key of keysOf(round, writer)) {
        const value = stateAfter(key, step);
        const expect = 'any';
        const result = await (value === undefined
          ? store.delete({ key, expect })
          : store.put({ key, value, expect }));
        if (!result.ok) throw new Error(`${key} was refused`);
        tell(`${key} ${step} ${result.revision}`);
      }
    }
  };
  tell('ready');
  await Promise.all(Array.from({ length: writers }, (_, writer) => runWriter(writer)));
}

/** One line, whole; a reader that is busy with something else is waited for. */
function tell(line: string): void {
  for (;;) {
    try {
      writeSync(1, `${line}\n`);
      return;
    } catch (error) {
      if (!(error instanceof Error && 'code' in error && error.code === 'EAGAIN')) throw error;
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 1);
    }
  }
}

interface Acknowledged {
  readonly step: number;
  readonly revision: number;
}

/** Starts the writing program, kills it, and gives what it had been told. */
async function writeAndKill(options: {
  readonly file: string;
  readonly round: number;
  readonly afterMs: number;
  /** Counted from the start of the program, so that it may still be opening the file. */
  readonly early: boolean;
}): Promise<ReadonlyMap<string, Acknowledged>> {
  const program = fileURLToPath(import.meta.url);
  const child = spawn(process.execPath, [program, 'write', options.file, `${options.round}`], {
    stdio: ['ignore', 'pipe', 'inherit'],
    // Rounds are many, so that the program should start fast.
    env: {
      ...process.env,
      NODE_TEST_CONTEXT: undefined,
      NODE_COMPILE_CACHE: join(dirname(options.file), 'compile-cache'),
    },
  });
  let output = '';
  let isCounting = false;
  const cancels: (() => void)[] = [];
  const kill = (): void => {
    child.kill('SIGKILL');
  };
  const { early, afterMs } = options;
  cancels.push(systemClock().after(early ? afterMs : startLimitMs, kill));
  child.stdout.setEncoding('utf8').on('data', (chunk: string) => {
    output += chunk;
    if (isCounting || early) return;
    isCounting = true;
    cancels.push(systemClock().after(afterMs, kill));
  });
  await once(child, 'close');
  for (const cancel of cancels) cancel();
  equal(child.signalCode, 'SIGKILL', 'it was killed, and did not end by itself');
  // Behind the last line end is at most a part of a line.
  const lines = output.split('\n').slice(0, -1);
  if (lines.length === 0) return new Map();
  equal(lines[0], 'ready');
  return new Map(
    lines.slice(1).map((line) => {
      const [key = '', step, revision] = line.split(' ');
      return [key, { step: Number(step), revision: Number(revision) }] as const;
    }),
  );
}

/** Every key of the round is as its last acknowledged write left it, or as the next one did. */
function checkKeys(store: Store, round: number, told: ReadonlyMap<string, Acknowledged>): void {
  for (let writer = 0; writer < writers; writer++) {
    for (const key of keysOf(round, writer)) {
      const { step, revision } = told.get(key) ?? { step: 0, revision: 0 };
      const entry = store.get(key);
      const found = entry === undefined ? undefined : Buffer.from(entry.value).toString();
      const possible = [stateAfter(key, step), stateAfter(key, step + 1)].map((value) =>
        value === undefined ? undefined : Buffer.from(value).toString(),
      );
      ok(possible.includes(found), `${key} after step ${step} is ${found?.slice(0, 40)}`);
      ok(entry === undefined || entry.revision >= revision, `${key} is older than acknowledged`);
    }
  }
}

/** History since the round began leads to the present and has every acknowledged write. */
async function checkHistory(
  store: Store,
  options: { before: Map<string, string>; since: number; told: ReadonlyMap<string, Acknowledged> },
): Promise<Map<string, string>> {
  const record = Record.open(store, options.since);
  for (let turn = 0; record.progress < store.revision; turn++) {
    ok(turn < 200_000 && record.ended === undefined, 'history can be watched');
    await settle();
  }
  const state = new Map(options.before);
  const seen = new Set<string>();
  let newest = options.since;
  for (const event of record.events) {
    ok(event.revision > newest, 'revisions of history only rise');
    newest = event.revision;
    seen.add(`${event.key} ${event.revision}`);
    applyTo(state, event);
  }
  for (const [key, { revision }] of options.told) {
    ok(seen.has(`${key} ${revision}`), `history has ${key} at ${revision}`);
  }
  const now = store
    .list({ prefix: '' })
    .entries.map((entry) => [
      entry.key,
      `${Buffer.from(entry.value).toString()}@${entry.revision}`,
    ]);
  deepEqual([...state].sort(), now.sort());
  return state;
}

function applyTo(state: Map<string, string>, event: StoreEvent): void {
  const { key, value, previous } = event;
  const before = previous && `${Buffer.from(previous.value).toString()}@${previous.revision}`;
  equal(state.get(key), before, 'an event says what was there before');
  if (value === undefined) state.delete(key);
  else state.set(key, `${Buffer.from(value).toString()}@${event.revision}`);
}

async function openAgain(file: string): Promise<Store> {
  return await openSqliteStore({ clock: new VirtualClock(), log: silentLog }, { file });
}

async function runRounds(file: string, rounds: number, random: Random): Promise<number> {
  let state = new Map<string, string>();
  let since = 0;
  let acknowledged = 0;
  for (let round = 1; round <= rounds; round++) {
    const early = round % 8 === 0;
    const afterMs = random.integer(early ? 600 : 150);
    const told = await writeAndKill({ file, round, afterMs, early });
    await using store = await openAgain(file);
    checkKeys(store, round, told);
    const newest = Math.max(since, ...[...told.values()].map(({ revision }) => revision));
    ok(store.revision >= newest, 'the revision did not go back');
    state = await checkHistory(store, { before: state, since, told });
    const probe = await store.put({ key: '/probe', value: new Uint8Array(1), expect: 'any' });
    ok(probe.ok && probe.revision > newest, 'numbers go on behind all that were given out');
    const entry = present(store.get('/probe'), 'it was just put');
    state.set('/probe', `${Buffer.from(entry.value).toString()}@${entry.revision}`);
    since = probe.revision;
    acknowledged += told.size;
  }
  return acknowledged;
}

const [, , command, file = '', round] = process.argv;
if (command === 'write') {
  await write(file, Number(round));
} else {
  const rounds = Number(process.env['CORACLE_ROUNDS'] ?? 10);
  const timeout = rounds * roundLimitMs;
  test('nothing that was acknowledged is lost by a kill', { timeout }, async (context) => {
    const seed = Number(process.env['CORACLE_SEED'] ?? 1);
    context.diagnostic(`seed ${seed}, ${rounds} rounds`);
    const folder = mkdtempSync(join(tmpdir(), 'coracle-crash-'));
    try {
      const random = seededRandom(seed);
      const acknowledged = await runRounds(join(folder, 'state.db'), rounds, random);
      ok(acknowledged > 0, 'something was written before the kills');
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
  });
}
