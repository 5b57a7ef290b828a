/**
 * Watches: how many events reach how many watchers while writers write as fast as they can, and
 * what an idle watch costs in memory, on a connection of its own or as a stream among others.
 */
import { systemClock } from '#kit/clock.ts';
import { Connection, type Target } from './connection.ts';
import { type Figure, latencies } from './figures.ts';
import { Http2Connection } from './http2-connection.ts';
import { namespacePath, objectOf, type Place, prepareNamespace } from './objects.ts';
import type { Program } from './programs.ts';
import { expectOk } from './workloads.ts';

const clock = systemClock();
const never = new AbortController().signal;
const newline = 10;

export interface FanOut {
  readonly place: Place;
  readonly watchers: number;
  readonly writers: number;
  readonly seconds: number;
}

/** Counts lines, and finds whose they are by the name that begins with the prefix. */
class Reader {
  readonly #prefix: Buffer;
  readonly #onEvent: (id: number) => void;
  #rest: Buffer | undefined;

  constructor(prefix: string, onEvent: (id: number) => void) {
    this.#prefix = Buffer.from(`"name":"${prefix}`);
    this.#onEvent = onEvent;
  }

  read(part: Buffer): void {
    const data = this.#rest === undefined ? part : Buffer.concat([this.#rest, part]);
    let from = 0;
    for (;;) {
      const end = data.indexOf(newline, from);
      if (end < 0) break;
      const at = data.indexOf(this.#prefix, from);
      if (at >= 0 && at < end) {
        const start = at + this.#prefix.length;
        this.#onEvent(Number(data.toString('latin1', start, data.indexOf(34, start))));
      }
      from = end + 1;
    }
    this.#rest = from < data.length ? Buffer.from(data.subarray(from)) : undefined;
  }
}

export async function fanOut(target: Target, options: FanOut): Promise<Figure> {
  const { place, watchers, writers, seconds } = options;
  const path = namespacePath(place.namespace, 'configmaps');
  await prepareNamespace(target, place.namespace);
  const open: Connection[] = [];
  try {
    const first = await Connection.open(target);
    open.push(first);
    const ask = { method: 'GET', path: `${path}?limit=1`, keep: true };
    const list = JSON.parse(expectOk(ask, await first.send(ask)).body);
    const from = `${path}?watch=true&resourceVersion=${list.metadata.resourceVersion}`;
    const sentMs: number[] = [];
    const seen: number[] = [];
    const lastMs: number[] = [];
    let delivered = 0;
    const onEvent = (id: number): void => {
      delivered += 1;
      seen[id] = (seen[id] ?? 0) + 1;
      if (seen[id] === watchers) lastMs.push(clock.monotonic() - (sentMs[id] ?? 0));
    };
    for (let i = 0; i < watchers; i++) {
      const connection = await Connection.open(target);
      open.push(connection);
      const reader = new Reader(place.prefix, onEvent);
      await startWatch(connection, from, (part) => reader.read(part));
    }
    let next = 0;
    const startedMs = clock.monotonic();
    const write = async (connection: Connection): Promise<void> => {
      while (clock.monotonic() - startedMs < seconds * 1000) {
        const id = next++;
        sentMs[id] = clock.monotonic();
        const body = objectOf('configmaps', `${place.prefix}${id}`, 256);
        expectOk({ method: 'POST', path }, await connection.send({ method: 'POST', path, body }));
      }
    };
    const hands = await Promise.all(Array.from({ length: writers }, () => Connection.open(target)));
    open.push(...hands);
    await Promise.all(hands.map(write));
    const limitMs = clock.monotonic() + 30_000;
    while (delivered < next * watchers) {
      if (clock.monotonic() > limitMs) throw new Error(`${delivered} of ${next * watchers} events`);
      await clock.sleep(5, { signal: never });
    }
    const tookSeconds = (clock.monotonic() - startedMs) / 1000;
    const beside = { 'writes a second': next / tookSeconds };
    const value = delivered / tookSeconds;
    return { value, unit: '/s', ...latencies(lastMs), beside, count: delivered };
  } finally {
    for (const connection of open) connection.close();
  }
}

function startWatch(
  connection: Connection | Http2Connection,
  path: string,
  onPart: (part: Buffer) => void,
): Promise<void> {
  return new Promise((resolve, reject) => {
    const onHead = (status: number): void => {
      if (status === 200) resolve();
      else reject(new Error(`${path}: ${status}`));
    };
    connection.send({ method: 'GET', path, onHead, onPart }).then(
      ({ status, body }) => reject(new Error(`the watch ended: ${status} ${body}`)),
      (error: unknown) => reject(error),
    );
  });
}

/** Connections that are made at a time: one after another, ten thousand take long. */
const connectingMax = 4;

/** Memory of the server for each idle watch, on connections of their own or as streams of one. */
export async function idleWatches(
  program: Program,
  options: { readonly count: number; readonly http2: boolean; readonly idleSeconds: number },
): Promise<Figure> {
  const { count, http2, idleSeconds } = options;
  const path = '/api/v1/namespaces/default/configmaps?watch=true&resourceVersion=0';
  const open: (Connection | Http2Connection)[] = [];
  try {
    const before = program.memoryMiB();
    // As many as upstream lets a client have.
    const perConnection = http2 ? 100 : 1;
    let left = count / perConnection;
    const connect = async (): Promise<void> => {
      while (left-- > 0) {
        const connection = await (http2 ? Http2Connection : Connection).open(program.target);
        open.push(connection);
        for (let n = 0; n < perConnection; n++) await startWatch(connection, path, () => {});
      }
    };
    await Promise.all(Array.from({ length: connectingMax }, connect));
    // What opening them left behind is collected when nothing happens for a while.
    await clock.sleep(idleSeconds * 1000, { signal: never });
    const perWatch = ((program.memoryMiB() - before) * 1024) / count;
    return { value: perWatch, unit: 'KiB' };
  } finally {
    for (const connection of open) connection.close();
  }
}
