/**
 * `npm run conformance -- --suite PATH --focus REGEX [--skip REGEX] [--kubeconfig FILE]`: runs a
 * given build of Kubernetes' own end-to-end suite (`e2e.test`, a Ginkgo program) against a cluster
 * that runs already, and keeps the list of tests that pass, `test/conformance/passing.txt`.
 *
 * The list is sorted and only grows: new passes are added; a listed test that fails now, or says
 * now that it cannot run here, is a regression, and the command fails. Tests outside the focus are
 * left as they are.
 *
 * `--ginkgo PATH --procs N` runs several tests at a time through the `ginkgo` program, since most
 * of them wait most of the time; `--limit 10m` ends a run that takes longer.
 */
import { spawn } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { homedir, tmpdir } from 'node:os';
import { basename, dirname, join } from 'node:path';
import { parseArgs } from 'node:util';

export interface SuiteOptions {
  readonly suite: string;
  readonly focus: string;
  readonly skip: string | undefined;
  readonly kubeconfig: string;
  /** The `ginkgo` program, and how many tests it runs at a time. */
  readonly parallel?: { readonly ginkgo: string; readonly procs: string } | undefined;
  /** As Ginkgo writes durations: `10m`. */
  readonly limit?: string | undefined;
}

export interface TestCase {
  readonly name: string;
  /** 'skipped': it was chosen, and found that it cannot run here. */
  readonly status: 'passed' | 'failed' | 'skipped' | 'not chosen';
}

export interface Comparison {
  /** The list to keep. */
  readonly list: readonly string[];
  readonly added: readonly string[];
  /** Listed, and failed or skipped itself now. */
  readonly regressions: readonly string[];
  /** Failed, but never listed. */
  readonly otherFailures: readonly string[];
}

const listPath = new URL('../test/conformance/passing.txt', import.meta.url);

export function parseJUnit(xml: string): readonly TestCase[] {
  const cases: TestCase[] = [];
  for (const match of xml.matchAll(/<testcase\b([^>]*?)(?:\/>|>([\s\S]*?)<\/testcase>)/g)) {
    const [, attributes = '', body = ''] = match;
    const name = unescapeXml(/\bname="([^"]*)"/.exec(attributes)?.[1] ?? '');
    if (!name.startsWith('[It] ')) continue; // Set-up and tear-down of the suite.
    // Ginkgo adds the labels, `[sig-auth, Conformance]`, which say nothing new.
    const plain = name.slice('[It] '.length).replace(/ \[sig-[^\]]*\]$/, '');
    cases.push({ name: plain, status: statusOf(attributes, body) });
  }
  return cases;
}

function statusOf(attributes: string, body: string): TestCase['status'] {
  const status = /\bstatus="([^"]*)"/.exec(attributes)?.[1];
  // Only a test that skipped itself gives a reason.
  if (/<skipped message="skipped - /.test(body)) return 'skipped';
  if (/<skipped\b/.test(body) || status === 'skipped' || status === 'pending') return 'not chosen';
  if (/<(failure|error)\b/.test(body)) return 'failed';
  return status === undefined || status === 'passed' ? 'passed' : 'failed';
}

const entities: Readonly<Record<string, string>> = {
  amp: '&',
  lt: '<',
  gt: '>',
  quot: '"',
  apos: "'",
};

function unescapeXml(text: string): string {
  return text.replaceAll(/&(?:#(\d+)|#x([\da-f]+)|(\w+));/gi, (whole, decimal, hex, name) => {
    if (decimal !== undefined) return String.fromCodePoint(Number(decimal));
    if (hex !== undefined) return String.fromCodePoint(Number.parseInt(hex, 16));
    return entities[name] ?? whole;
  });
}

export function compare(list: readonly string[], cases: readonly TestCase[]): Comparison {
  const known = new Set(list);
  const names = (status: TestCase['status']): readonly string[] => [
    ...new Set(cases.filter((one) => one.status === status).map(({ name }) => name)),
  ];
  const failed = names('failed');
  const added = names('passed').filter((name) => !known.has(name));
  return {
    list: [...known, ...added].sort(),
    added,
    regressions: [...failed, ...names('skipped')].filter((name) => known.has(name)),
    otherFailures: failed.filter((name) => !known.has(name)),
  };
}

/** One by one the suite runs itself; in parallel, `ginkgo` starts it several times. */
export function commandLine(
  options: SuiteOptions,
  report: string,
): { readonly command: string; readonly args: readonly string[] } {
  const { suite, focus, skip, limit, kubeconfig, parallel } = options;
  const ofSuite = [`--kubeconfig=${kubeconfig}`, '--provider=skeleton'];
  const ofGinkgo = [
    'no-color',
    `focus=${focus}`,
    ...(skip === undefined ? [] : [`skip=${skip}`]),
    ...(limit === undefined ? [] : [`timeout=${limit}`]),
  ];
  if (parallel === undefined) {
    const args = [...ofGinkgo, `junit-report=${report}`].map((flag) => `--ginkgo.${flag}`);
    return { command: suite, args: [...ofSuite, ...args] };
  }
  const place = [`output-dir=${dirname(report)}`, `junit-report=${basename(report)}`];
  const args = [...ofGinkgo, `procs=${parallel.procs}`, ...place].map((flag) => `--${flag}`);
  return { command: parallel.ginkgo, args: [...args, suite, '--', ...ofSuite] };
}

/** Runs the suite to its end, with its output on ours. Undefined when it left no report. */
async function runSuite(options: SuiteOptions): Promise<readonly TestCase[] | undefined> {
  const folder = mkdtempSync(join(tmpdir(), 'coracle-conformance-'));
  const report = join(folder, 'junit.xml');
  const { command, args } = commandLine(options, report);
  try {
    const child = spawn(command, args, { stdio: 'inherit' });
    await new Promise((resolve, reject) => child.once('error', reject).once('close', resolve));
    return existsSync(report) ? parseJUnit(readFileSync(report, 'utf8')) : undefined;
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** True when nothing that passed before fails now. */
export async function runConformance(options: SuiteOptions, path: URL | string): Promise<boolean> {
  const cases = await runSuite(options);
  if (cases === undefined) throw new Error('the suite ended without a report');
  // Read only now: another run may have ended meanwhile.
  const list = readFileSync(path, 'utf8')
    .split('\n')
    .filter((line) => line !== '');
  const { list: next, added, regressions, otherFailures } = compare(list, cases);
  if (added.length > 0) writeFileSync(path, `${next.join('\n')}\n`);
  const ran = cases.filter(({ status }) => status === 'passed' || status === 'failed').length;
  for (const name of otherFailures) console.log(`does not pass yet: ${name}`);
  for (const name of regressions) console.log(`passed before and fails now: ${name}`);
  console.log(
    `${ran} ran, ${added.length} newly pass, ${otherFailures.length} do not pass yet, ` +
      `${regressions.length} regressions; ${next.length} on the list`,
  );
  return regressions.length === 0 && ran > 0;
}

async function main(): Promise<void> {
  const own = join(homedir(), '.local/share/coracle');
  const dataDir = process.getuid?.() === 0 ? '/var/lib/coracle' : own;
  const { values } = parseArgs({
    options: {
      suite: { type: 'string' },
      focus: { type: 'string', default: '\\[Conformance\\]' },
      skip: { type: 'string' },
      limit: { type: 'string' },
      ginkgo: { type: 'string' },
      procs: { type: 'string', default: '4' },
      kubeconfig: { type: 'string', default: join(dataDir, 'admin.kubeconfig') },
    },
  });
  const { suite, focus, skip, limit, ginkgo, procs, kubeconfig } = values;
  if (suite === undefined) {
    throw new Error('usage: npm run conformance -- --suite PATH [--focus REGEX] [--kubeconfig F]');
  }
  const parallel = ginkgo === undefined ? undefined : { ginkgo, procs };
  const options = { suite, focus, skip, limit, parallel, kubeconfig };
  const fine = await runConformance(options, listPath);
  process.exitCode = fine ? 0 : 1;
}

if (import.meta.main) await main();
