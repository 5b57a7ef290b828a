/**
 * The API server alone on its SQLite store, under the workloads of the goals: TLS with a client
 * certificate, a cheap client in this process, the server in another. `npm run bench -- api`.
 *
 * `--upstream-apiserver PATH --etcd PATH` runs upstream's programs beside it, each workload by
 * turns, and prints ratios: only these mean something on a machine that others use. `--rounds N`
 * takes the best of N; `--only TEXT` the workloads whose name has it; `--json FILE` writes figures;
 * `--patch-seconds 300` patches as long as that to see whether memory grows.
 */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { setFlagsFromString } from 'node:v8';
import { present } from '#kit/assert.ts';
import { better, type Figure, formatMeasured, type Measured, measured } from './api/figures.ts';
import { type Program, startOurs, startUpstream } from './api/programs.ts';
import { fanOut, idleWatches } from './api/watching.ts';
import { creates, gets, lists, patches, seed, virtualClusters } from './api/workloads.ts';
import { fillCompileCache } from './compile-cache.ts';

interface Sizes {
  readonly seconds: number;
  readonly pods: number;
  readonly configMaps: number;
  readonly watchers: number;
  readonly idle: number;
  readonly patchSeconds: number;
  readonly idleSeconds: number;
  readonly secrets: number;
  readonly startedSeconds: number;
  readonly rehearsed: number;
}

const full: Sizes = {
  seconds: 3,
  pods: 10_000,
  configMaps: 50_000,
  watchers: 100,
  idle: 10_000,
  patchSeconds: 20,
  idleSeconds: 30,
  secrets: 500,
  startedSeconds: 10,
  rehearsed: 200,
};
const smallest: Sizes = {
  seconds: 0.3,
  pods: 200,
  configMaps: 200,
  watchers: 10,
  idle: 100,
  patchSeconds: 0.5,
  idleSeconds: 0.5,
  secrets: 2,
  startedSeconds: 0.1,
  rehearsed: 2,
};

interface Workload {
  readonly name: string;
  /** What must be there; its cost does not count. */
  readonly prepare?: (program: Program) => Promise<void>;
  /** `round` makes names that are new in each. */
  readonly run: (program: Program, round: number) => Promise<Figure>;
  /** What takes long runs in the first round only. */
  readonly once?: boolean;
  /** Memory is that of a server that has done nothing else. */
  readonly fresh?: boolean;
}

export default async function run({ small }: { readonly small: boolean }): Promise<void> {
  const options = readOptions();
  const cache = mkdtempSync(join(tmpdir(), 'coracle-bench-cache-'));
  const forget = (): void => rmSync(cache, { recursive: true, force: true });
  process.once('exit', forget);
  const results: Record<string, Measured> = {};
  const tell = (name: string, ours: Figure, upstream: Figure | undefined): void => {
    results[name] = measured(ours, upstream);
    console.log(formatMeasured(name, results[name]));
  };
  const startAll = async (): Promise<Programs> => ({
    ours: await startOurs(cache),
    upstream: options.upstream && (await startUpstream(options.upstream)),
  });
  try {
    const cold = await startOurs(cache);
    tell('start to readyz, cold', startOf(cold), undefined);
    await cold[Symbol.asyncDispose]();
    if (!small) fillCompileCache(cache);
    const sizes = small ? smallest : full;
    const patchSeconds = Number(options.patchSeconds ?? sizes.patchSeconds);
    const chosen = workloads({ ...sizes, patchSeconds }).filter(({ name }) =>
      name.includes(options.only ?? ''),
    );
    if (chosen.some(({ name }) => name.startsWith(clusterLoad))) await rehearse(cache, sizes);
    const shared = chosen.filter(({ fresh }) => fresh !== true);
    if (shared.length > 0) {
      const programs = await startAll();
      tell(
        'start to readyz, warm',
        startOf(programs.ours),
        programs.upstream && startOf(programs.upstream),
      );
      try {
        for (const workload of shared) {
          const rounds = small || workload.once === true ? 1 : options.rounds;
          tell(workload.name, ...(await measureBoth(programs, workload, rounds)));
        }
      } finally {
        await stopAll(programs);
      }
    }
    for (const workload of chosen.filter(({ fresh }) => fresh === true)) {
      const others = await startAll();
      try {
        tell(workload.name, ...(await measureBoth(others, workload, 1)));
      } finally {
        await stopAll(others);
      }
    }
  } finally {
    process.removeListener('exit', forget);
    forget();
  }
  const text = JSON.stringify(results);
  if (options.json === undefined) console.log(text);
  else writeFileSync(options.json, `${text}\n`);
}

/**
 * The client of the load of virtual clusters, for once on a server that is thrown away: in its
 * first burst it would cost as much as the server, because Node has not compiled it yet, and
 * collect on threads that the server waits for. The programs whose load it is came compiled.
 */
async function rehearse(cache: string, { rehearsed: secrets }: Sizes): Promise<void> {
  setFlagsFromString('--no-parallel-scavenge');
  await using other = await startOurs(cache);
  await virtualClusters(other.target, { prefix: 'vc', secrets, rate: 2000, burst: 300 });
}

interface Programs {
  readonly ours: Program;
  readonly upstream: Program | undefined;
}

async function stopAll({ ours, upstream }: Programs): Promise<void> {
  await ours[Symbol.asyncDispose]();
  await upstream?.[Symbol.asyncDispose]();
}

function startOf({ startMs }: Program): Figure {
  return { value: startMs, unit: 'ms' };
}

/** By turns, so that both see the same machine. */
async function measureBoth(
  { ours, upstream }: Programs,
  { prepare, run: measure }: Workload,
  rounds: number,
): Promise<[Figure, Figure | undefined]> {
  for (const program of [ours, upstream]) {
    if (program !== undefined) await prepare?.(program);
  }
  let [best, beside]: [Figure | undefined, Figure | undefined] = [undefined, undefined];
  for (let round = 0; round < rounds; round++) {
    best = better(best, await counted(ours, () => measure(ours, round)));
    if (upstream === undefined) continue;
    beside = better(beside, await counted(upstream, () => measure(upstream, round)));
  }
  return [present(best, 'there is a round'), beside];
}

/**
 * The figure with the processor time that the server used meanwhile: others on the machine make a
 * server slower, but hardly change what it has to do.
 */
async function counted(program: Program, measure: () => Promise<Figure>): Promise<Figure> {
  const beforeMs = program.processorMs();
  const figure = await measure();
  const processor = program.processorMs() - beforeMs;
  if (figure.count === undefined) return figure;
  const each = (processor * 1000) / figure.count;
  return { ...figure, beside: { ...figure.beside, 'processor us each': each } };
}

function readOptions() {
  const { values } = parseArgs({
    strict: false,
    options: {
      'upstream-apiserver': { type: 'string' },
      etcd: { type: 'string' },
      rounds: { type: 'string', default: '3' },
      only: { type: 'string' },
      'patch-seconds': { type: 'string' },
      json: { type: 'string' },
    },
  });
  const text = (value: unknown): string | undefined =>
    typeof value === 'string' ? value : undefined;
  const [apiServer, etcd] = [text(values['upstream-apiserver']), text(values['etcd'])];
  return {
    upstream: apiServer === undefined || etcd === undefined ? undefined : { apiServer, etcd },
    rounds: Number(values['rounds']),
    only: text(values['only']),
    json: text(values['json']),
    patchSeconds: text(values['patch-seconds']),
  };
}

function workloads(sizes: Sizes): readonly Workload[] {
  const { seconds } = sizes;
  const base = { clients: 16, seconds };
  const place = (namespace: string, round: number) => ({ namespace, prefix: `r${round}-` });
  const streams = { ...base, http2: true };
  return [
    {
      name: 'create ConfigMap of 1 KiB, 16 clients',
      run: ({ target }, round) =>
        creates(target, { ...base, kind: 'configmaps', place: place('create', round) }),
    },
    {
      name: 'create Pod, 16 clients',
      run: ({ target }, round) =>
        creates(target, { ...base, kind: 'pods', place: place('create', round) }),
    },
    {
      name: 'get ConfigMap, 16 clients',
      run: ({ target }) => gets(target, { ...base, kind: 'configmaps', place: place('get', 0) }),
    },
    {
      name: 'merge patch ConfigMap, 16 clients',
      run: ({ target }) =>
        patches(target, { ...base, kind: 'configmaps', place: place('patch', 0) }),
    },
    {
      name: 'get Pod, 16 streams on one connection',
      run: ({ target }) => gets(target, { ...streams, kind: 'pods', place: place('get', 0) }),
    },
    {
      name: 'create ConfigMap, 16 streams on one connection',
      run: ({ target }, round) =>
        creates(target, { ...streams, kind: 'configmaps', place: place('create-h2', round) }),
    },
    {
      name: `watch fan-out to ${sizes.watchers} watchers, 4 writers`,
      run: ({ target }, round) =>
        fanOut(target, {
          ...{ watchers: sizes.watchers, writers: 4, seconds },
          place: { namespace: 'watch', prefix: `w${round}-` },
        }),
    },
    ...clusterWorkloads(sizes),
    ...listWorkloads(sizes),
    ...memoryWorkloads(sizes),
  ];
}

const clusterLoad = 'virtual clusters';

/**
 * Most of what is slow is in the burst that it begins with, so it matters whether the server has
 * done such work before.
 */
function clusterWorkloads({ secrets, startedSeconds }: Sizes): readonly Workload[] {
  const run = ({ target }: Program): Promise<Figure> =>
    virtualClusters(target, { prefix: 'vc', secrets, rate: 200, burst: 300 });
  const name = `${clusterLoad}: Secrets at 200/s, mean`;
  return [
    {
      name: `${name}, has served requests`,
      once: true,
      prepare: async (program) => {
        await program.aged(startedSeconds);
        const place = { namespace: 'served', prefix: 's' };
        await seed(program.target, { place, kind: 'secrets', count: 10 * secrets });
      },
      run,
    },
    {
      name: `${name}, started ${startedSeconds} s ago`,
      fresh: true,
      prepare: (program) => program.aged(startedSeconds),
      run,
    },
  ];
}

function listWorkloads({ pods }: Sizes): readonly Workload[] {
  const place = { namespace: 'list', prefix: 's' };
  return (['json', 'protobuf', 'table'] as const).map((form) => ({
    name: `list ${pods} Pods as ${form}`,
    prepare: ({ target }: Program) => seed(target, { place, kind: 'pods', count: pods }),
    run: ({ target }: Program) => lists(target, { place, count: pods, repeat: 7, form }),
  }));
}

/** How often memory is looked at while objects are patched. */
const patchStretches = 5;

function memoryWorkloads(sizes: Sizes): readonly Workload[] {
  const memory = (program: Program): Figure => ({ value: program.memoryMiB(), unit: 'MiB' });
  const pods = {
    place: { namespace: 'pods', prefix: 'f' },
    kind: 'pods',
    count: sizes.pods,
  } as const;
  return [
    {
      name: `memory idle for ${sizes.idleSeconds} s`,
      fresh: true,
      run: async (program) => {
        await program.aged(sizes.idleSeconds);
        return memory(program);
      },
    },
    {
      name: `memory with ${sizes.pods} Pods`,
      fresh: true,
      run: async (program) => {
        await seed(program.target, pods);
        return memory(program);
      },
    },
    {
      name: `memory with ${sizes.pods} Pods and ${sizes.configMaps} ConfigMaps`,
      fresh: true,
      run: async (program) => {
        await seed(program.target, pods);
        const place = { namespace: 'fill', prefix: 'f' };
        await seed(program.target, { place, kind: 'configmaps', count: sizes.configMaps });
        return memory(program);
      },
    },
    {
      name: `memory after ${sizes.patchSeconds} s of patches`,
      fresh: true,
      run: async (program) => {
        const place = { namespace: 'patch', prefix: 'p' };
        const options = { clients: 16, kind: 'configmaps', place } as const;
        const seconds = sizes.patchSeconds / patchStretches;
        const after: Record<string, number> = {};
        let count = 0;
        // Once the bounded history is full, only growth beyond it would show.
        for (let stretch = 1; stretch <= patchStretches; stretch++) {
          const done = await patches(program.target, { ...options, seconds });
          count += done.count ?? 0;
          after[`after ${stretch} of ${patchStretches}`] = memory(program).value;
        }
        return { ...memory(program), beside: { ...after, patches: count } };
      },
    },
    ...[false, true].map((http2) => ({
      name: `memory of an idle watch, ${http2 ? 'HTTP/2 streams' : 'own TLS connections'}`,
      fresh: true,
      // What the start has left behind is not theirs.
      prepare: (program: Program) => program.aged(sizes.idleSeconds),
      run: (program: Program) =>
        idleWatches(program, { count: sizes.idle, http2, idleSeconds: sizes.idleSeconds }),
    })),
  ];
}
