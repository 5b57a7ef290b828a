/** What a start loads: every command pays for what the command line itself imports. */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { covers } from '#test/covers.ts';

const run = promisify(execFile);

/** Prints the files that are loaded with this module, one a line. */
function printing(entry: URL): string {
  return [
    `import { registerHooks } from 'node:module';`,
    `const load = (url, context, next) => (console.log(url), next(url, context));`,
    `registerHooks({ load });`,
    `await import(${JSON.stringify(entry.href)});`,
  ].join('\n');
}

const parts = {
  './command-line.ts': /\/src\/(kubelet|cri|network|proxy)\/|\/node_modules\/yaml\//,
  '../cluster.ts': /\/src\/(kubelet|cri|network|proxy)\/|\/node_modules\/yaml\//,
  '../node/node-agent.ts': /\/src\/(apiserver|store|controllers)\/|\/node_modules\/yaml\//,
};

test('a control plane starts without the files of a node, and neither reads YAML yet', async () => {
  for (const [name, unneeded] of Object.entries(parts)) {
    const entry = new URL(name, import.meta.url);
    const args = ['--input-type=module', '--eval', printing(entry)];
    const { stdout } = await run(process.execPath, args, { timeout: 60_000 });
    const files = stdout.trim().split('\n');
    assert.ok(files.includes(entry.href), 'it has been seen what is loaded');
    assert.deepEqual(
      files.filter((file) => unneeded.test(file)),
      [],
      name,
    );
  }
});

test('a component that is asked for its version prints it and ends', async () => {
  covers('CLI-036');
  const entry = fileURLToPath(new URL('../../../bin/coracle.js', import.meta.url));
  const { stdout } = await run(process.execPath, [entry, 'kubelet', '--version=true']);
  assert.match(stdout, /^Kubernetes v1\.36\.\d+\S*\n$/);
});
