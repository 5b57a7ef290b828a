/**
 * The real kubectl against our server, command by command: what it prints is what it prints for
 * upstream's kube-apiserver v1.36.
 *
 * The sessions are in `test/kubectl/`, with transcripts of upstream by kubectl's version; where we
 * differ and why is listed here. `CORACLE_KUBECTL` names another kubectl than the one on the path.
 */
import { globSync } from 'node:fs';
import { basename } from 'node:path';
import { describe, test } from 'node:test';
import { openApiPort } from '#test/api-port.ts';
import {
  claimRows,
  type Differences,
  findKubectl,
  playSession,
} from '#test/kubectl-transcripts.ts';

/** Beginnings of commands whose output differs, and the reason. */
const different: Differences = [
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

describe('kubectl prints for our server what it prints for upstream', { concurrency: 4 }, () => {
  const kubectl = findKubectl();
  const server = openApiPort({ options: { legacyVersions: true } });
  for (const path of globSync('test/kubectl/*.session').sort()) {
    const name = basename(path, '.session');
    test(name, async () => {
      // Before anything is waited for: behind the shared server this would be the suite's context.
      claimRows(path);
      const { kubeconfig } = await server;
      await playSession({ path, kubeconfig, kubectl, different });
    });
  }
  test.after(async () => {
    await (await server)[Symbol.asyncDispose]();
  });
});
