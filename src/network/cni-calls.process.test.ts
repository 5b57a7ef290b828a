/** Calls of the plugin as it is written to disk, and what is left of those that fail half way. */
import assert from 'node:assert/strict';
import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { type TestContext, test } from 'node:test';
import { silentLog } from '#kit/log.ts';
import { type CommandResult, runCommand } from '#kit/run-command.ts';
import { AddressPool } from './address-pool.ts';
import { LinkCalls } from './cni-calls.ts';
import { cniPaths, writePlugin } from './cni-plugin.ts';
import { type CniCalls, listenForCalls } from './cni-server.ts';
import { HostPorts } from './host-ports.ts';
import { deleteLink, type Kernel, type Refusal } from './netlink.ts';

const log = silentLog;
const { signal } = new AbortController();
/** So that no link of a cluster has the same name. */
const clusterId = 'zztst';

function folderOf(context: TestContext): string {
  const folder = mkdtempSync(path.join(tmpdir(), 'coracle-cni-'));
  context.after(() => rmSync(folder, { recursive: true }));
  return folder;
}

/** Asks through the plugin. */
async function ask(context: TestContext, calls: Partial<CniCalls>): Promise<CommandResult> {
  const never = (): never => assert.fail('not called');
  const paths = cniPaths(folderOf(context));
  const all: CniCalls = { add: never, delete: never, check: never, ...calls };
  const server = await listenForCalls({ log, calls: all }, paths);
  try {
    writePlugin(paths, { clusterId });
    const variables = ['CNI_COMMAND=DEL', 'CNI_CONTAINERID=c1', 'CNI_NETNS=/proc/self/ns/net'];
    const args = [...variables, path.join(paths.binDir, 'coracle')];
    return await runCommand('env', args, { input: '{}', signal, timeoutMs: 60_000 });
  } finally {
    server.close();
  }
}

test('the plugin sends to the kernel what it is told to, and says what came of it', async (context) => {
  const refusals: (Refusal | undefined)[] = [];
  const messages = [deleteLink('zztst-isnothere')];
  const { code, stdout } = await ask(context, {
    delete: async ({ containerId }, kernel) => {
      assert.equal(containerId, 'c1');
      for (const where of ['node', 'pod'] as const)
        refusals.push(await kernel.apply(where, messages));
    },
  });
  assert.deepEqual([code, stdout], [0, '']);
  // Who is not root is refused before the kernel looks.
  for (const refusal of refusals) assert.match(refusal?.code ?? '', /^(ENODEV|EPERM)$/);
  assert.deepEqual(
    refusals.map((refusal) => refusal?.index),
    [0, 0],
  );
});

test('a call that fails ends the plugin with what the runtime shows', async (context) => {
  const { code, stdout } = await ask(context, {
    delete: async () => {
      throw new Error('there are two lines\nof it');
    },
  });
  assert.equal(code, 1);
  assert.equal(JSON.parse(stdout).msg, 'there are two lines\nof it');
});

test('an address is free again when its link could not be made', async (context) => {
  const folder = folderOf(context);
  const addresses = path.join(folder, 'addresses');
  const pool = new AddressPool({ folder: addresses, podCIDR: '10.42.0.0/29' });
  const ports = { folder: path.join(folder, 'ports'), tableName: 'none', families: [] };
  const hostPorts = new HostPorts({ log }, { ...ports, signal });
  const calls = new LinkCalls({ log, pool, hostPorts }, { clusterId, mtu: 1500, signal });
  const call = {
    ...{ containerId: 'c1', namespacePath: '/proc/self/ns/net', interfaceName: 'eth0' },
    ...{ pod: 'default/p', ports: [] },
  };
  const add = (apply: Kernel['apply']) => calls.add(call, { apply });
  const failures: readonly (readonly [Kernel['apply'], RegExp])[] = [
    [async () => ({ index: 2, code: 'EINVAL' }), /refuses step 3 of the link: EINVAL/],
    [() => Promise.reject(new Error('the plugin went away')), /the plugin went away/],
    // Its settings: there is no such link.
    [async () => undefined, /ENOENT/],
  ];
  for (const [apply, why] of failures) {
    await assert.rejects(add(apply), why);
    assert.equal(pool.addressOf('c1'), undefined);
    assert.deepEqual(readdirSync(addresses), []);
  }
});
