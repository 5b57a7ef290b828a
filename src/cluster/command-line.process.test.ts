/** What a start loads: every command pays for what the command line itself imports. */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { test } from 'node:test';
import { promisify } from 'node:util';

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

test('a control plane is started without the files of a kubelet and without YAML', async () => {
  for (const name of ['command-line.ts', 'cluster.ts']) {
    const entry = new URL(name, import.meta.url);
    const args = ['--input-type=module', '--eval', printing(entry)];
    const { stdout } = await run(process.execPath, args, { timeout: 30_000 });
    const files = stdout.trim().split('\n');
    assert.ok(files.includes(entry.href), 'it has been seen what is loaded');
    const heavy = files.filter((file) =>
      /\/src\/(kubelet|cri|network|proxy)\/|\/node_modules\/yaml\//.test(file),
    );
    assert.deepEqual(heavy, [], name);
  }
});
