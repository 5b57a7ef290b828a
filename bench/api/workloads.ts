/**
 * The workloads: closed loops of creates, gets and merge patches, lists beside gets, watches, the
 * shape of a load test of virtual clusters. Each takes a target and gives figures; it does not know
 * whose server it is. `objects.ts` has the objects; `api.bench.ts` says how many and how long.
 */
import { once } from 'node:events';
import { Worker } from 'node:worker_threads';
import { systemClock } from '#kit/clock.ts';
import { type Ask, type Caller, Connection, type Target, type Told } from './connection.ts';
import { type Figure, latencies } from './figures.ts';
import type { GetterData } from './getter.ts';
import { Http2Connection } from './http2-connection.ts';
import { type Kind, namespacePath, objectOf, type Place, prepareNamespace } from './objects.ts';

const clock = systemClock();
const never = new AbortController().signal;

export interface Loop {
  readonly clients: number;
  readonly seconds: number;
}

/** One request after another on each client, until the time is over. */
async function drive(
  callers: readonly Caller[],
  seconds: number,
  ask: (n: number, client: number) => Ask,
): Promise<Figure> {
  const timesMs: number[] = [];
  let next = 0;
  const warmUntilMs = clock.monotonic() + 300;
  const endMs = warmUntilMs + seconds * 1000;
  await Promise.all(
    callers.map(async (caller, client) => {
      for (;;) {
        const sentMs = clock.monotonic();
        if (sentMs >= endMs) return;
        const one = ask(next++, client);
        expectOk(one, await caller.send(one));
        if (sentMs >= warmUntilMs) timesMs.push(clock.monotonic() - sentMs);
      }
    }),
  );
  return { value: timesMs.length / seconds, unit: '/s', ...latencies(timesMs), count: next };
}

export function expectOk(ask: Ask, told: Told): Told {
  if (told.status < 300) return told;
  throw new Error(`${ask.method} ${ask.path}: ${told.status} ${told.body.slice(0, 300)}`);
}

async function withConnections<T>(
  target: Target,
  count: number,
  use: (callers: readonly Connection[]) => Promise<T>,
): Promise<T> {
  const callers: Connection[] = [];
  try {
    for (let i = 0; i < count; i++) callers.push(await Connection.open(target));
    return await use(callers);
  } finally {
    for (const caller of callers) caller.close();
  }
}

/** As many streams on one connection as there are clients. */
async function withStreams<T>(
  target: Target,
  count: number,
  use: (callers: readonly Caller[]) => Promise<T>,
): Promise<T> {
  const connection = await Http2Connection.open(target);
  try {
    return await use(Array.from({ length: count }, () => connection));
  } finally {
    connection.close();
  }
}

export interface LoopOptions extends Loop {
  readonly place: Place;
  readonly kind: Kind;
  readonly http2?: boolean;
}

function loop(
  target: Target,
  { clients, seconds, http2 = false }: LoopOptions,
  ask: (n: number, client: number) => Ask,
): Promise<Figure> {
  const run = (callers: readonly Caller[]): Promise<Figure> => drive(callers, seconds, ask);
  return (http2 ? withStreams : withConnections)(target, clients, run);
}

export async function creates(target: Target, options: LoopOptions): Promise<Figure> {
  const { place, kind } = options;
  await prepareNamespace(target, place.namespace);
  const path = namespacePath(place.namespace, kind);
  return loop(target, options, (n) => ({
    method: 'POST',
    path,
    body: objectOf(kind, `${place.prefix}${n}`),
  }));
}

/** Objects to be read and changed: `s0`, `s1`, … */
export async function seed(
  target: Target,
  { place, kind, count }: { readonly place: Place; readonly kind: Kind; readonly count: number },
): Promise<void> {
  await prepareNamespace(target, place.namespace);
  const path = namespacePath(place.namespace, kind);
  let next = 0;
  await withConnections(target, 32, async (callers) => {
    await Promise.all(
      callers.map(async (caller) => {
        while (next < count) {
          const body = objectOf(kind, `${place.prefix}${next++}`);
          const told = await caller.send({ method: 'POST', path, body });
          if (told.status !== 409) expectOk({ method: 'POST', path }, told);
        }
      }),
    );
  });
}

export async function gets(target: Target, options: LoopOptions): Promise<Figure> {
  const { place, kind } = options;
  await seed(target, { place, kind, count: 100 });
  const path = namespacePath(place.namespace, kind);
  return loop(target, options, (n) => ({
    method: 'GET',
    path: `${path}/${place.prefix}${n % 100}`,
  }));
}

/** Each client changes objects of its own, so that none loses a race. */
export async function patches(target: Target, options: LoopOptions): Promise<Figure> {
  const { place, kind } = options;
  await seed(target, { place, kind, count: 4 * options.clients });
  const path = namespacePath(place.namespace, kind);
  return loop(target, options, (n, client) => ({
    method: 'PATCH',
    path: `${path}/${place.prefix}${client + options.clients * (n % 4)}`,
    type: 'application/merge-patch+json',
    body: `{"metadata":{"annotations":{"n":"${n}"}}}`,
  }));
}

const accepts = {
  json: 'application/json',
  protobuf: 'application/vnd.kubernetes.protobuf',
  table: 'application/json;as=Table;v=v1;g=meta.k8s.io',
} as const;

/**
 * Whole lists of a namespace that has so many pods, one after another, while another client gets
 * single objects.
 */
export async function lists(
  target: Target,
  options: {
    readonly place: Place;
    readonly count: number;
    readonly repeat: number;
    readonly form: keyof typeof accepts;
  },
): Promise<Figure> {
  const { place, count, repeat, form } = options;
  const path = namespacePath(place.namespace, 'pods');
  const lister = await Connection.open(target);
  const data: GetterData = { target, path: `${path}/${place.prefix}`, count };
  const getter = new Worker(new URL('./getter.ts', import.meta.url), { workerData: data });
  const timesMs: number[] = [];
  let bytes = 0;
  for (let i = 0; i < repeat; i++) {
    const sentMs = clock.monotonic();
    const one = { method: 'GET', path, accept: accepts[form] };
    ({ bytes } = expectOk(one, await lister.send(one)));
    timesMs.push(clock.monotonic() - sentMs);
  }
  lister.close();
  getter.postMessage('end');
  // It sends nothing but its latencies.
  const [meanwhileMs] = (await once(getter, 'message')) as [readonly number[]];
  await getter.terminate();
  const beside = { MB: bytes / 1e6, 'get p99 meanwhile': latencies(meanwhileMs).p99Ms };
  return {
    value: latencies(timesMs).p50Ms,
    unit: 'ms',
    ...latencies(timesMs),
    beside,
    count: repeat,
  };
}

/** What clients of upstream's server may have under way on one connection. */
const streamsMax = 100;

/**
 * Secrets of ten namespaces made over one connection at a steady rate; the bucket that limits the
 * rate is full at first, as in client libraries, so it begins with a burst. So vCluster's load
 * tests are made: kube-burner has a goroutine per object behind the bucket, none of which waits for
 * another's answer, so only the streams of a connection bound what is under way. They publish the
 * mean that the server itself counts; these latencies are the client's, with all that waits.
 */
export async function virtualClusters(
  target: Target,
  options: {
    readonly prefix: string;
    readonly secrets: number;
    readonly rate: number;
    readonly burst: number;
  },
): Promise<Figure> {
  const { prefix, secrets, rate, burst } = options;
  const paths = Array.from({ length: 10 }, (_, i) => `${prefix}${i}`);
  for (const namespace of paths) await prepareNamespace(target, namespace);
  const connection = await Http2Connection.open(target);
  const timesMs: number[] = [];
  const running: Promise<void>[] = [];
  let free = streamsMax;
  let onFree = (): void => {};
  const create = async (n: number): Promise<void> => {
    const path = namespacePath(paths[n % 10] ?? '', 'secrets');
    const one = { method: 'POST', path, body: objectOf('secrets', `s${n}`) };
    const sentMs = clock.monotonic();
    expectOk(one, await connection.send(one));
    timesMs.push(clock.monotonic() - sentMs);
    free += 1;
    onFree();
  };
  try {
    const startedMs = clock.monotonic();
    for (let n = 0; n < secrets * 10; ) {
      const allowed = burst + ((clock.monotonic() - startedMs) / 1000) * rate;
      if (n >= allowed) await clock.sleep(1, { signal: never });
      else if (free > 0) {
        free -= 1;
        running.push(create(n++));
      } else {
        await new Promise<void>((resolve) => {
          onFree = resolve;
        });
      }
    }
    await Promise.all(running);
  } finally {
    connection.close();
  }
  const meanMs = timesMs.reduce((sum, ms) => sum + ms, 0) / timesMs.length;
  return { value: meanMs, unit: 'ms', ...latencies(timesMs), count: timesMs.length };
}
