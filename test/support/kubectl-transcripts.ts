/**
 * Plays a session of kubectl against a server and compares the transcript with that of upstream,
 * which `npm run record:kubectl` has written beside the session, in a folder for each version of
 * kubectl. `test/e2e/kubectl.e2e.ts` calls this for the API server alone, and
 * `test/e2e/kubectl-cluster.e2e.ts` for whole clusters.
 */
import assert from 'node:assert/strict';
import { existsSync, globSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, delimiter, dirname, join } from 'node:path';
import { runCommand } from '#kit/run-command.ts';
import { covers, superseded } from './covers.ts';
import {
  parseSession,
  parseTranscript,
  rowsOf,
  runSession,
  unlikePrinted,
} from './kubectl-session.ts';

const signal = new AbortController().signal;

/** Beginnings of commands whose output differs from upstream's, and the reason. */
export type Differences = readonly { readonly command: string; readonly why: string }[];

export interface PlayOptions {
  /** Of the session. */
  readonly path: string;
  readonly kubeconfig: string;
  readonly kubectl: string;
  readonly different: Differences;
  /** Controllers run. */
  readonly works?: boolean;
}

/** `CORACLE_KUBECTL`, or the one on the path. */
export function findKubectl(): string {
  const named = process.env['CORACLE_KUBECTL'];
  if (named !== undefined) return named;
  const folders = (process.env['PATH'] ?? '').split(delimiter);
  const found = folders.map((folder) => join(folder, 'kubectl')).find(existsSync);
  assert.ok(found, 'there is no kubectl on the path');
  return found;
}

export async function playSession(options: PlayOptions): Promise<void> {
  const { path, kubectl, kubeconfig, different, works = false } = options;
  const name = basename(path, '.session');
  const folder = mkdtempSync(join(tmpdir(), 'coracle-kubectl-'));
  try {
    const steps = parseSession(readFileSync(path, 'utf8'));
    const place = { folder, kubeconfig, kubectl, namespace: name, works };
    const blocks = (await runSession(steps, place)).map((block) => block.trimEnd());
    const recorded = join(await transcriptFolder(dirname(path), kubectl), `${name}.txt`);
    const wanted = parseTranscript(readFileSync(recorded, 'utf8'));
    assert.equal(blocks.length, wanted.length, `${recorded} is of another session`);
    const differing = blocks.flatMap((ours, index) => {
      const theirs = wanted[index];
      const isKnown = different.some(({ command }) => ours.startsWith(`$ ${command}`));
      return ours === theirs || isKnown ? [] : [{ ours, theirs }];
    });
    assert.deepEqual(differing, []);
    assert.deepEqual(unlikePrinted(steps, blocks), [], 'what the documents print');
  } finally {
    rmSync(folder, { recursive: true });
  }
}

/** A session says at its top what it proves. Called first of all in a test's body. */
export function claimRows(path: string): void {
  const rows = rowsOf(readFileSync(path, 'utf8'));
  covers(...rows.covers);
  for (const { id, by, now } of rows.superseded) superseded(id, { by, now });
}

/** The transcripts of this kubectl's version, or of the nearest that there is. */
async function transcriptFolder(folder: string, kubectl: string): Promise<string> {
  const asked = ['version', '--client'];
  const { stdout } = await runCommand(kubectl, asked, { signal, timeoutMs: 60_000 });
  const minor = Number(/v1\.(\d+)/.exec(stdout)?.[1]);
  const minors = globSync(`${folder}/v1.*`).map((path) => Number(path.split('.').at(-1)));
  minors.sort((a, b) => Math.abs(a - minor) - Math.abs(b - minor));
  return join(folder, `v1.${minors[0]}`);
}
