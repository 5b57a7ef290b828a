/**
 * `/metrics`: the figures that this server keeps, under upstream's names and labels, in Prometheus'
 * text format. Counting costs two map look-ups a request; the text is made when somebody asks.
 */
import { cpuUsage, memoryUsage, uptime } from 'node:process';
import type { Catalog } from '#api/catalog.ts';
import type { Store } from '#store';
import { prefixOf } from '../registry.ts';
import type { RequestInfo } from '../request.ts';
import { versionDocument } from './version.ts';

export interface CountedRequest {
  /** Undefined where the request was too malformed to say. */
  readonly info: RequestInfo | undefined;
  readonly method: string;
  readonly code: number;
  readonly tookMs: number;
}

export interface FormatDeps {
  readonly store: Store;
  readonly catalog: Catalog;
  readonly watches: number;
  readonly nowMs: number;
}

interface Histogram {
  readonly counts: number[];
  sum: number;
  count: number;
}

/** Upstream's buckets of apiserver_request_duration_seconds. */
const buckets = [
  0.005, 0.025, 0.05, 0.1, 0.2, 0.4, 0.6, 0.8, 1, 1.25, 1.5, 2, 3, 4, 5, 6, 8, 10, 15, 20, 30, 45,
  60,
] as const;

/** Kinds of request told apart; beyond that they are counted together. */
const seriesMax = 5_000;
const others = 'component="apiserver",verb="OTHER"';

const verbs: Readonly<Record<string, string>> = { create: 'POST', update: 'PUT' };
const changing: ReadonlySet<string> = new Set(['POST', 'PUT', 'PATCH', 'DELETE']);

export class Metrics {
  readonly #requests = new Map<string, number>();
  readonly #durations = new Map<string, Histogram>();
  readonly #deprecated = new Set<string>();
  readonly #inFlight = { mutating: 0, readOnly: 0 };
  #bugs = 0;

  countBug(): void {
    this.#bugs += 1;
  }

  get bugs(): number {
    return this.#bugs;
  }

  /** A request has come; call what this answers with when it is done. */
  begin(method: string): () => void {
    const kind = changing.has(method) ? 'mutating' : 'readOnly';
    this.#inFlight[kind] += 1;
    return () => {
      this.#inFlight[kind] -= 1;
    };
  }

  /** Somebody has used a version that is on its way out. */
  noteDeprecated(labels: Readonly<Record<string, string>>): void {
    if (this.#deprecated.size < seriesMax) this.#deprecated.add(formatLabels(labels));
  }

  countRequest({ info, method, code, tookMs }: CountedRequest): void {
    const known =
      info === undefined ? labelsOf({ verb: method, resource: '' }) : requestLabels(info);
    const labels = this.#requests.size < seriesMax ? known : others;
    const series = `code="${code}",${labels}`;
    this.#requests.set(series, (this.#requests.get(series) ?? 0) + 1);
    if (info?.verb === 'watch') return;
    let histogram = this.#durations.get(labels);
    if (histogram === undefined) {
      histogram = { counts: buckets.map(() => 0), sum: 0, count: 0 };
      this.#durations.set(labels, histogram);
    }
    const seconds = tookMs / 1000;
    histogram.sum += seconds;
    histogram.count += 1;
    for (let index = buckets.length - 1; index >= 0; index--) {
      if (seconds > (buckets[index] ?? 0)) break;
      histogram.counts[index] = (histogram.counts[index] ?? 0) + 1;
    }
  }

  format(deps: FormatDeps): string {
    return [
      ...this.#formatRequests(),
      ...this.#formatDurations(),
      ...this.#formatGauges(deps),
      ...formatObjects(deps),
      ...formatProcess(deps),
      ...family('bugs_total', 'counter', 'Broken invariants seen so far.'),
      `bugs_total ${this.#bugs}`,
      '',
    ].join('\n');
  }

  *#formatRequests(): Iterable<string> {
    const name = 'apiserver_request_total';
    yield* family(name, 'counter', 'Requests by verb, kind and code of the answer.');
    for (const [labels, count] of this.#requests) yield `${name}{${labels}} ${count}`;
  }

  *#formatDurations(): Iterable<string> {
    const name = 'apiserver_request_duration_seconds';
    yield* family(name, 'histogram', 'How long answers took, watches left out.');
    for (const [labels, { counts, sum, count }] of this.#durations) {
      for (const [index, bound] of buckets.entries()) {
        yield `${name}_bucket{${labels},le="${bound}"} ${counts[index]}`;
      }
      yield `${name}_bucket{${labels},le="+Inf"} ${count}`;
      yield `${name}_sum{${labels}} ${sum}`;
      yield `${name}_count{${labels}} ${count}`;
    }
  }

  *#formatGauges({ watches }: FormatDeps): Iterable<string> {
    const flying = 'apiserver_current_inflight_requests';
    yield* family(flying, 'gauge', 'Requests that are being answered, watches left out.');
    yield `${flying}{request_kind="mutating"} ${this.#inFlight.mutating}`;
    yield `${flying}{request_kind="readOnly"} ${this.#inFlight.readOnly}`;
    const long = 'apiserver_longrunning_requests';
    yield* family(long, 'gauge', 'Requests that go on until somebody ends them.');
    yield `${long}{component="apiserver",verb="WATCH"} ${watches}`;
    const old = 'apiserver_requested_deprecated_apis';
    yield* family(old, 'gauge', 'Deprecated versions that somebody has asked for.');
    for (const labels of this.#deprecated) yield `${old}{${labels}} 1`;
  }
}

function* formatObjects({ store, catalog }: FormatDeps): Iterable<string> {
  const counts = [...catalog.resources].map((resource) => ({
    group: resource.views[0]?.group ?? '',
    resource: resource.plural,
    count: store.count(prefixOf(resource, '')),
  }));
  const name = 'apiserver_resource_objects';
  yield* family(name, 'gauge', 'Stored objects of each kind.');
  for (const { group, resource, count } of counts) {
    yield `${name}{group="${group}",resource="${resource}"} ${count}`;
  }
  const old = 'apiserver_storage_objects';
  yield* family(old, 'gauge', 'The same under its older name.');
  for (const { group, resource, count } of counts) {
    const full = group === '' ? resource : `${resource}.${group}`;
    yield `${old}{resource="${full}"} ${count}`;
  }
}

/** What Prometheus expects of any process. */
function* formatProcess({ nowMs }: FormatDeps): Iterable<string> {
  const { user, system } = cpuUsage();
  const seconds = (user + system) / 1e6;
  yield* family('process_cpu_seconds_total', 'counter', 'Time of processors used.');
  yield `process_cpu_seconds_total ${seconds}`;
  yield* family('process_resident_memory_bytes', 'gauge', 'Memory in use.');
  yield `process_resident_memory_bytes ${memoryUsage.rss()}`;
  yield* family('process_start_time_seconds', 'gauge', 'When the process began, since 1970.');
  yield `process_start_time_seconds ${Math.round(nowMs / 1000 - uptime())}`;
  const { major, minor, gitVersion, platform } = versionDocument();
  const labels = formatLabels({ git_version: gitVersion, major, minor, platform });
  yield* family('kubernetes_build_info', 'gauge', 'Which version this speaks.');
  yield `kubernetes_build_info{${labels}} 1`;
}

function* family(name: string, type: string, help: string): Iterable<string> {
  yield `# HELP ${name} ${help}`;
  yield `# TYPE ${name} ${type}`;
}

function requestLabels(info: RequestInfo): string {
  if (info.type === 'path') {
    const [, root = ''] = info.path.split('/');
    return labelsOf({ verb: info.verb.toUpperCase(), subresource: `/${root}` });
  }
  const { verb, group, version, plural, subresource, name, namespace, query } = info;
  const isOne = name !== '' || verb === 'create';
  return labelsOf({
    verb: verbs[verb] ?? verb.toUpperCase(),
    group,
    version,
    resource: plural,
    subresource,
    scope: isOne ? 'resource' : namespace === '' ? 'cluster' : 'namespace',
    dryRun: query.get('dryRun') === 'All' ? 'All' : '',
  });
}

interface Labels {
  readonly verb: string;
  readonly group?: string;
  readonly version?: string;
  readonly resource?: string;
  readonly subresource?: string;
  readonly scope?: string;
  readonly dryRun?: string;
}

/** In order of name, as Prometheus sorts them. */
function labelsOf({
  verb,
  group = '',
  version = '',
  resource = '',
  subresource = '',
  scope = '',
  dryRun = '',
}: Labels): string {
  // What comes from a path may hold anything.
  if (/["\n\\]/.test(`${group}${version}${resource}${subresource}`)) return others;
  return `component="apiserver",dry_run="${dryRun}",group="${group}",resource="${resource}",scope="${scope}",subresource="${subresource}",verb="${verb}",version="${version}"`;
}

function formatLabels(labels: Readonly<Record<string, string>>): string {
  return Object.entries(labels)
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([name, value]) => `${name}=${JSON.stringify(value)}`)
    .join(',');
}
