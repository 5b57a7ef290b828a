/**
 * The real kubectl against our server, command by command: what it prints is what it prints for
 * upstream's kube-apiserver v1.36.
 *
 * The sessions are in `test/kubectl/`, with transcripts of upstream by kubectl's version; where we
 * differ and why is listed here. `CORACLE_KUBECTL` names another kubectl than the one on the path.
 */
import assert from 'node:assert/strict';
import { existsSync, globSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, delimiter, join } from 'node:path';
import { describe, test } from 'node:test';
import { runCommand } from '#kit/run-command.ts';
import { type ApiPort, openApiPort } from '#test/api-port.ts';
import { covers, superseded } from '#test/covers.ts';
import { parseSession, parseTranscript, rowsOf, runSession } from '#test/kubectl-session.ts';

const signal = new AbortController().signal;

/** Beginnings of commands whose output differs, and the reason. */
const different: readonly { readonly command: string; readonly why: string }[] = [
  {
    command: 'kubectl get hpa web -o yaml',
    why: 'what was not measured yet is left out, not null',
  },
  {
    command: 'kubectl create -f nothing.yaml',
    why: 'kubectl before v1.36 looks for a CustomResourceDefinition, which are not served yet',
  },
  {
    command: 'kubectl get cs',
    why: 'only what runs with the server is asked, which in the test is the store',
  },
  {
    command: `kubectl patch deployment web -p '{"spec":{"replicas":"many"}}'`,
    why: 'we name the field as for a whole object',
  },
];

function findKubectl(): string {
  const named = process.env['CORACLE_KUBECTL'];
  if (named !== undefined) return named;
  const folders = (process.env['PATH'] ?? '').split(delimiter);
  const found = folders.map((folder) => join(folder, 'kubectl')).find(existsSync);
  assert.ok(found, 'there is no kubectl on the path');
  return found;
}

/** The transcripts of this kubectl's version, or of the nearest that there is. */
async function transcriptFolder(kubectl: string): Promise<string> {
  const asked = ['version', '--client'];
  const { stdout } = await runCommand(kubectl, asked, { signal, timeoutMs: 10_000 });
  const minor = Number(/v1\.(\d+)/.exec(stdout)?.[1]);
  const minors = globSync('test/kubectl/v1.*').map((path) => Number(path.split('.').at(-1)));
  minors.sort((a, b) => Math.abs(a - minor) - Math.abs(b - minor));
  return join('test/kubectl', `v1.${minors[0]}`);
}

async function play(server: ApiPort, kubectl: string, name: string): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), 'coracle-kubectl-'));
  try {
    const steps = parseSession(readSession(name));
    const place = { folder, kubeconfig: server.kubeconfig, kubectl, namespace: name };
    const blocks = (await runSession(steps, place)).map((block) => block.trimEnd());
    const path = join(await transcriptFolder(kubectl), `${name}.txt`);
    const wanted = parseTranscript(readFileSync(path, 'utf8'));
    assert.equal(blocks.length, wanted.length, `${path} is of another session`);
    const differing = blocks.flatMap((ours, index) => {
      const theirs = wanted[index];
      const isKnown = different.some(({ command }) => ours.startsWith(`$ ${command}`));
      return ours === theirs || isKnown ? [] : [{ ours, theirs }];
    });
    assert.deepEqual(differing, []);
  } finally {
    rmSync(folder, { recursive: true });
  }
}

function readSession(name: string): string {
  return readFileSync(join('test/kubectl', `${name}.session`), 'utf8');
}

/** A session says at its top what it proves. */
function claimRows(name: string): void {
  const rows = rowsOf(readSession(name));
  covers(...rows.covers);
  for (const { id, by, now } of rows.superseded) superseded(id, { by, now });
}

describe('kubectl prints for our server what it prints for upstream', { concurrency: 4 }, () => {
  const kubectl = findKubectl();
  const server = openApiPort({ options: { legacyVersions: true } });
  for (const path of globSync('test/kubectl/*.session').sort()) {
    const name = basename(path, '.session');
    test(name, async () => {
      // Before anything is waited for: behind the shared server this would be the suite's context.
      claimRows(name);
      await play(await server, kubectl, name);
    });
  }
  test.after(async () => {
    await (await server)[Symbol.asyncDispose]();
  });
});
