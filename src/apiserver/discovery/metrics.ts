/**
 * `/metrics`: the figures that this server keeps, under upstream's names and labels, in Prometheus'
 * text format. Counting costs some map look-ups a request; the text is made when somebody asks.
 * What needs no counting is in `figures.ts`.
 */
import type { Resource } from '#api/resource.ts';
import { exponential, Family, familyHead } from '#kit/metric-family.ts';
import type { Parts } from '../parts.ts';
import type { RequestInfo, ResourceInfo, ServerResponse } from '../request.ts';
import { formatFigures } from './figures.ts';

export interface CountedRequest {
  /** Undefined where the request was too malformed to say. */
  readonly info: RequestInfo | undefined;
  readonly method: string;
  readonly response: Pick<ServerResponse, 'status' | 'body'>;
  readonly bodyBytes: number;
  readonly tookMs: number;
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

/** Those of apiserver_request_sli_duration_seconds: some of these. */
const indicatorBounds: ReadonlySet<number> = new Set(buckets.filter((bound) => bound >= 0.05));
const bodyBuckets = Array.from({ length: 31 }, (_, index) => 50_000 + index * 100_000);

/** Kinds of request told apart; beyond that they are counted together. */
const seriesMax = 5_000;
/** Of a group; nothing that is served has a longer name. Each series is kept as long as we run. */
const nameLengthMax = 253;
const others = 'component="apiserver",verb="OTHER"';

const verbs: Readonly<Record<string, string>> = { create: 'POST', update: 'PUT' };
const changing: ReadonlySet<string> = new Set(['POST', 'PUT', 'PATCH', 'DELETE']);

function timedBy(name: string, help: string): Family {
  const options = { name: `${name}_duration_seconds`, help, labels: ['result'] };
  return new Family('histogram', { ...options, buckets: exponential(0.001, 2, 15) });
}

function kindLabels({ views, plural }: Resource): readonly string[] {
  return [views[0]?.group ?? '', plural];
}

/** Few names only, as upstream's: there may be any number of users. */
const wellKnown: ReadonlySet<string> = new Set([
  ...['admin', 'client', 'kube_proxy', 'kubelet', 'system:serviceaccount:kube-system:default'],
]);

function knownName(username: string): string {
  if (wellKnown.has(username)) return username;
  return username.includes('@') ? 'email_id' : 'other';
}

export class Metrics {
  readonly #requests = new Map<string, number>();
  readonly #durations = new Map<string, Histogram>();
  readonly #deprecated = new Set<string>();
  readonly #inFlight = { mutating: 0, readOnly: 0 };
  readonly #sizes = new Family('histogram', {
    name: 'apiserver_response_sizes',
    help: 'Bytes of answers that are whole when they begin.',
    labels: ['group', 'resource', 'scope', 'subresource', 'verb', 'version'],
    buckets: exponential(1000, 10, 7),
  });
  readonly #bodies = new Family('histogram', {
    name: 'apiserver_request_body_size_bytes',
    help: 'Bytes of the bodies of requests.',
    labels: ['group', 'resource', 'verb'],
    buckets: bodyBuckets,
  });
  readonly #attempts = new Family('counter', {
    name: 'authentication_attempts',
    help: 'Requests by whether it was found who asks.',
    labels: ['result'],
  });
  readonly #authentications = timedBy('authentication', 'How long it took to find out who asks.');
  readonly #users = new Family('counter', {
    name: 'authenticated_user_requests',
    help: 'Requests by who asks, where that is one of the well-known.',
    labels: ['username'],
  });
  readonly #verdicts = new Family('counter', {
    name: 'authorization_attempts_total',
    help: 'Requests by whether they may.',
    labels: ['result'],
  });
  readonly #authorizations = timedBy('authorization', 'How long it took to say whether they may.');
  readonly #admissions = new Family('histogram', {
    name: 'apiserver_admission_step_admission_duration_seconds',
    help: 'How long it took to look at what is written.',
    labels: ['operation', 'rejected', 'type'],
    buckets: [0.005, 0.025, 0.1, 0.5, 1, 2.5],
  });
  readonly #lists = new Family('counter', {
    name: 'apiserver_storage_list_total',
    help: 'Lists that were read.',
    labels: ['group', 'resource'],
  });
  readonly #listed = new Family('counter', {
    name: 'apiserver_storage_list_returned_objects_total',
    help: 'Objects in these lists.',
    labels: ['group', 'resource'],
  });
  readonly #events = new Family('counter', {
    name: 'apiserver_storage_events_received_total',
    help: 'Changes of stored objects.',
    labels: ['group', 'resource'],
  });
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

  countAuthentication(result: 'success' | 'failure', username: string, tookMs: number): void {
    this.#attempts.add([result], 1);
    this.#authentications.observe([result], tookMs / 1000);
    if (result === 'success') this.#users.add([knownName(username)], 1);
  }

  countAuthorization(isAllowed: boolean, tookMs: number): void {
    const result = isAllowed ? 'allowed' : 'no-opinion';
    this.#verdicts.add([result], 1);
    this.#authorizations.observe([result], tookMs / 1000);
  }

  countAdmission(operation: 'CREATE' | 'UPDATE', isRejected: boolean, tookMs: number): void {
    this.#admissions.observe([operation, String(isRejected), 'admit'], tookMs / 1000);
  }

  countList(resource: Resource, objects: number): void {
    const labels = kindLabels(resource);
    this.#lists.add(labels, 1);
    this.#listed.add(labels, objects);
  }

  countEvent(resource: Resource): void {
    this.#events.add(kindLabels(resource), 1);
  }

  countRequest({ info, method, response, bodyBytes, tookMs }: CountedRequest): void {
    const { status: code, body } = response;
    if (info?.type === 'resource') this.#countBytes(info, body, bodyBytes);
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

  #countBytes(info: ResourceInfo, body: ServerResponse['body'], bodyBytes: number): void {
    if (this.#requests.size >= seriesMax) return;
    const { group, version, plural, subresource, verb } = info;
    if (isOdd(verb, group, version, plural, subresource)) return;
    if (bodyBytes > 0) this.#bodies.observe([group, plural, verb], bodyBytes);
    if (!(body instanceof Uint8Array)) return;
    const labels = [group, plural, scopeOf(info), subresource, upper(verb), version];
    this.#sizes.observe(labels, body.length);
  }

  format(parts: Pick<Parts, 'store' | 'catalog' | 'clock' | 'options' | 'hub'>): string {
    const families = [
      ...[this.#sizes, this.#bodies, this.#attempts, this.#authentications, this.#users],
      ...[this.#verdicts, this.#authorizations, this.#admissions],
      ...[this.#lists, this.#listed, this.#events],
    ];
    return [
      ...this.#formatRequests(),
      ...this.#formatDurations('apiserver_request_duration_seconds', () => true),
      ...this.#formatDurations('apiserver_request_sli_duration_seconds', (bound) =>
        indicatorBounds.has(bound),
      ),
      ...this.#formatGauges(parts.hub.size),
      ...families.filter(({ size }) => size > 0).map((one) => one.format().trimEnd()),
      formatFigures(parts).trimEnd(),
      ...familyHead('bugs_total', 'counter', 'Broken invariants seen so far.'),
      `bugs_total ${this.#bugs}`,
      parts.options.figures?.() ?? '',
    ].join('\n');
  }

  *#formatRequests(): Iterable<string> {
    const name = 'apiserver_request_total';
    yield* familyHead(name, 'counter', 'Requests by verb, kind and code of the answer.');
    for (const [labels, count] of this.#requests) yield `${name}{${labels}} ${count}`;
  }

  *#formatDurations(name: string, shows: (bound: number) => boolean): Iterable<string> {
    yield* familyHead(name, 'histogram', 'How long answers took, watches left out.');
    for (const [labels, { counts, sum, count }] of this.#durations) {
      for (const [index, bound] of buckets.entries()) {
        if (shows(bound)) yield `${name}_bucket{${labels},le="${bound}"} ${counts[index]}`;
      }
      yield `${name}_bucket{${labels},le="+Inf"} ${count}`;
      yield `${name}_sum{${labels}} ${sum}`;
      yield `${name}_count{${labels}} ${count}`;
    }
  }

  *#formatGauges(watches: number): Iterable<string> {
    const flying = 'apiserver_current_inflight_requests';
    yield* familyHead(flying, 'gauge', 'Requests that are being answered, watches left out.');
    yield `${flying}{request_kind="mutating"} ${this.#inFlight.mutating}`;
    yield `${flying}{request_kind="readOnly"} ${this.#inFlight.readOnly}`;
    const long = 'apiserver_longrunning_requests';
    yield* familyHead(long, 'gauge', 'Requests that go on until somebody ends them.');
    yield `${long}{component="apiserver",verb="WATCH"} ${watches}`;
    const old = 'apiserver_requested_deprecated_apis';
    yield* familyHead(old, 'gauge', 'Deprecated versions that somebody has asked for.');
    for (const labels of this.#deprecated) yield `${old}{${labels}} 1`;
  }
}

function requestLabels(info: RequestInfo): string {
  if (info.type === 'path') {
    const [, root = ''] = info.path.split('/');
    return labelsOf({ verb: info.verb.toUpperCase(), subresource: `/${root}` });
  }
  const { verb, group, version, plural, subresource, query } = info;
  return labelsOf({
    verb: upper(verb),
    group,
    version,
    resource: plural,
    subresource,
    scope: scopeOf(info),
    dryRun: query.get('dryRun') === 'All' ? 'All' : '',
  });
}

function scopeOf({ verb, name, namespace }: ResourceInfo): string {
  if (name !== '' || verb === 'create') return 'resource';
  return namespace === '' ? 'cluster' : 'namespace';
}

function upper(verb: string): string {
  return verbs[verb] ?? verb.toUpperCase();
}

/** What comes from a path may hold anything, and be as long as a request's head. */
function isOdd(...names: readonly string[]): boolean {
  return names.some((name) => name.length > nameLengthMax || /["\n\\]/.test(name));
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
  if (isOdd(verb, group, version, resource, subresource)) return others;
  return `component="apiserver",dry_run="${dryRun}",group="${group}",resource="${resource}",scope="${scope}",subresource="${subresource}",verb="${verb}",version="${version}"`;
}

function formatLabels(labels: Readonly<Record<string, string>>): string {
  return Object.entries(labels)
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([name, value]) => `${name}=${JSON.stringify(value)}`)
    .join(',');
}
