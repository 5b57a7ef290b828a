/**
 * `npm run parity`: do we answer as upstream's kube-apiserver does?
 *
 *   npm run parity                        the recorded requests against our server, in this process
 *   npm run parity -- --show pods         the same, with the differences of one kind (or `all`)
 *   npm run parity -- --server URL        against a server that runs (`--token T --ca FILE`), or
 *   npm run parity -- --kubeconfig FILE   against the one of a kubeconfig
 *   npm run parity -- --accept            writes how many answers of each kind differ now
 *   npm run parity -- --server URL --record [--seed N]
 *                                         records the answers of upstream's server as
 *                                         `test/parity/recorded/`, for all to compare with
 *
 * A server that is asked must be fresh, since the names of objects are the same each time.
 * The requests come from `test/parity/scenarios.ts`, by a seed; docs/testing.md says more.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { type HttpTransportOptions, openHttpTransport } from '#client';
import type { Transport } from '#kit/transport.ts';
import { parseYaml } from '#kit/yaml.ts';
import { openCatalog } from '#resources/resources.ts';
import { type Comparison, compare, type Difference, percent } from '../test/parity/compare.ts';
import { openParityServer } from '../test/parity/own-server.ts';
import { play } from '../test/parity/play.ts';
import { readRecords, recordedKinds, scenariosOf, writeRecords } from '../test/parity/records.ts';
import { makeScenarios } from '../test/parity/scenarios.ts';

const { values } = parseArgs({
  options: {
    server: { type: 'string' },
    token: { type: 'string' },
    ca: { type: 'string' },
    kubeconfig: { type: 'string' },
    record: { type: 'boolean', default: false },
    accept: { type: 'boolean', default: false },
    seed: { type: 'string', default: '1' },
    kind: { type: 'string', multiple: true },
    show: { type: 'string' },
    limit: { type: 'string', default: '40' },
  },
});
const { signal } = new AbortController();

if (values.record) await record();
else await report();

async function record(): Promise<void> {
  using transport = openHttpTransport(serverOptions());
  const scenarios = makeScenarios(openCatalog(), Number(values.seed));
  const answers = await play({ transport }, scenarios, { atOnce: 4, signal });
  const broken = answers.filter(({ answer }) => answer.code === 0);
  for (const { kind, request } of broken) console.log(`no answer: ${kind} ${request.id}`);
  const records = answers.filter(({ answer }) => answer.code !== 0);
  writeRecords(records);
  const asked = records.filter(({ request }) => request.setup !== true);
  console.log(`${asked.length} requests in ${scenarios.length} scenarios recorded`);
}

async function report(): Promise<void> {
  const wantedKinds = values.kind ?? recordedKinds();
  const records = wantedKinds.flatMap(readRecords);
  const comparison = await withServer(async (transport) => {
    const got = await play({ transport }, scenariosOf(records), { atOnce: 1, signal });
    return compare(records, got);
  });
  print(comparison);
  if (values.accept) accept(comparison);
}

/** The numbers of `differences.json` as they are; the reasons stay. */
function accept({ byKind, total, equal }: Comparison): void {
  const path = new URL('../test/parity/differences.json', import.meta.url);
  // Our own file.
  const before = JSON.parse(readFileSync(path, 'utf8')) as Differences;
  const kinds: Record<string, Differences['kinds'][string]> = {};
  for (const [kind, counts] of [...byKind].sort(([a], [b]) => (a < b ? -1 : 1))) {
    const differing = counts.total - counts.equal;
    if (differing === 0) continue;
    kinds[kind] = { differing, why: before.kinds[kind]?.why ?? 'not looked at yet' };
  }
  const equalAtLeast = Math.floor((1000 * equal) / total) / 1000;
  writeFileSync(path, `${JSON.stringify({ equalAtLeast, kinds }, null, 2)}\n`);
}

interface Differences {
  readonly kinds: Readonly<Record<string, { readonly differing: number; readonly why: string }>>;
}

async function withServer<T>(use: (transport: Transport) => Promise<T>): Promise<T> {
  if (values.server !== undefined || values.kubeconfig !== undefined) {
    using transport = openHttpTransport(serverOptions());
    return await use(transport);
  }
  await using server = await openParityServer();
  return await use(server.transport);
}

function serverOptions(): HttpTransportOptions {
  const { server, token, ca, kubeconfig } = values;
  if (kubeconfig !== undefined) return fromKubeconfig(kubeconfig);
  if (server === undefined) throw new Error('say which server: --server URL or --kubeconfig FILE');
  return { server, token, ca: ca === undefined ? undefined : readFileSync(ca, 'utf8') };
}

/** The first cluster and user of a kubeconfig, with what they say inside the file. */
function fromKubeconfig(path: string): HttpTransportOptions {
  // A kubeconfig has this shape.
  const config = parseYaml(readFileSync(path, 'utf8')) as {
    readonly clusters: readonly { readonly cluster: Readonly<Record<string, string>> }[];
    readonly users: readonly { readonly user: Readonly<Record<string, string>> }[];
  };
  const { cluster = {} } = config.clusters[0] ?? {};
  const { user = {} } = config.users[0] ?? {};
  const data = (text: string | undefined): string | undefined =>
    text === undefined ? undefined : Buffer.from(text, 'base64').toString('utf8');
  return {
    server: cluster['server'] ?? '',
    ca: data(cluster['certificate-authority-data']),
    cert: data(user['client-certificate-data']),
    key: data(user['client-key-data']),
    token: user['token'],
  };
}

function print(comparison: Comparison): void {
  for (const [kind, counts] of comparison.byKind) {
    const { total, equal } = counts;
    console.log(`${percent(counts).padStart(9)}  ${kind}: ${equal} of ${total}`);
  }
  const { total, equal } = comparison;
  const shown = comparison.differences.filter(
    ({ wanted }) => values.show === 'all' || wanted.kind === values.show,
  );
  for (const difference of shown.slice(0, Number(values.limit))) show(difference);
  console.log(`${percent(comparison)} of ${total} requests are answered alike (${equal})`);
}

function show({ wanted, got, aspects }: Difference): void {
  const { kind, scenario, request, answer } = wanted;
  console.log(`\n${kind} ${scenario}: ${request.id} [${aspects.join(', ')}]`);
  console.log(`  ${request.method} ${request.path}`);
  const differing = differingPaths(answer.body, got.body).slice(0, 8);
  console.log(`  upstream ${answer.code} ${answer.warnings.join(' | ')}`);
  console.log(`  ours     ${got.code} ${got.warnings.join(' | ')}`);
  for (const line of differing) console.log(`    ${line}`);
}

/** `metadata.labels: wanted "a", got "b"`, for each place in which two values differ. */
function differingPaths(wanted: unknown, got: unknown, path = ''): readonly string[] {
  if (isMembers(wanted) && isMembers(got)) {
    const keys = [...new Set([...Object.keys(wanted), ...Object.keys(got)])];
    return keys.flatMap((key) =>
      differingPaths(wanted[key], got[key], path === '' ? key : `${path}.${key}`),
    );
  }
  if (Array.isArray(wanted) && Array.isArray(got) && wanted.length === got.length) {
    return wanted.flatMap((item, index) => differingPaths(item, got[index], `${path}[${index}]`));
  }
  const [one, other] = [JSON.stringify(wanted), JSON.stringify(got)];
  if (one === other) return [];
  return [`${path}:`, `  upstream ${cut(one)}`, `  ours     ${cut(other)}`];
}

function isMembers(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function cut(text: string | undefined): string {
  const said = text ?? 'nothing';
  return said.length > 700 ? `${said.slice(0, 700)}…` : said;
}
