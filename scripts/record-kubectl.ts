/**
 * `npm run record:kubectl -- --server KUBECONFIG [--kubectl PATH] [--out FOLDER] [--cluster]
 * [NAME…]`: runs the sessions of `test/kubectl/` against a server and keeps what is printed, in
 * `test/kubectl/vX.Y/` for the version of that kubectl.
 *
 * The transcripts in the repository are of upstream's kube-apiserver v1.36 alone, with nothing else
 * running; those of `test/kubectl/cluster/` (`--cluster`) of all of upstream's control plane, with
 * four nodes of `coracle hollow`. The end-to-end tests `kubectl` and `kubectl-cluster` compare ours
 * with them; with `--out` ours can be recorded as well, to be compared by eye. A server that was
 * used before knows the names of the sessions: start it anew.
 */
import { globSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { runCommand } from '#kit/run-command.ts';
import {
  formatTranscript,
  parseSession,
  runSession,
  unlikePrinted,
} from '#test/kubectl-session.ts';

const signal = new AbortController().signal;

/** `v1.32` of the kubectl at a path. */
async function kubectlVersion(path: string): Promise<string> {
  const { stdout } = await runCommand(path, ['version', '--client'], { signal, timeoutMs: 10_000 });
  const [, version] = /Client Version: (v\d+\.\d+)/.exec(stdout) ?? [];
  if (version === undefined) throw new Error(`${path} is no kubectl`);
  return version;
}

async function findKubectl(): Promise<string> {
  const { stdout } = await runCommand('which', ['kubectl'], { signal, timeoutMs: 10_000 });
  return stdout.trim();
}

async function main(): Promise<void> {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: {
      server: { type: 'string' },
      kubectl: { type: 'string' },
      out: { type: 'string' },
      cluster: { type: 'boolean', default: false },
    },
  });
  if (values.server === undefined) throw new Error('--server KUBECONFIG is missing');
  const kubectl = resolve(values.kubectl ?? (await findKubectl()));
  const sessions = values.cluster ? 'test/kubectl/cluster' : 'test/kubectl';
  const folder = values.out ?? join(sessions, await kubectlVersion(kubectl));
  mkdirSync(folder, { recursive: true });
  const kubeconfig = readFileSync(values.server, 'utf8');
  for (const path of globSync(`${sessions}/*.session`).sort()) {
    const name = basename(path, '.session');
    if (positionals.length > 0 && !positionals.includes(name)) continue;
    const place = { folder: mkdtempSync(join(tmpdir(), 'coracle-kubectl-')), kubeconfig, kubectl };
    const steps = parseSession(readFileSync(path, 'utf8'));
    const works = values.cluster;
    const blocks = await runSession(steps, { ...place, namespace: name, works });
    for (const line of unlikePrinted(steps, blocks)) console.log(`${name}: ${line}`);
    writeFileSync(join(folder, `${name}.txt`), formatTranscript(blocks));
    rmSync(place.folder, { recursive: true });
    console.log(`${name}: ${blocks.length} commands`);
  }
}

if (import.meta.main) await main();
