/**
 * A cluster on a disk that fills up: writes are refused with the disk's own reason, reads go on,
 * the server says that it is not well, and all of it heals when there is space again, its log as
 * well. What was acknowledged is there after a kill, too.
 *
 * The disk is a small tmpfs; it is unmounted whatever happens.
 */
import assert from 'node:assert/strict';
import { mkdirSync, readFileSync, rmSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { runCommand } from '#kit/run-command.ts';
import { configMap, ServerProcess } from '#test/server-process.ts';

const maps = '/api/v1/namespaces/default/configmaps';
const mapBytes = 100_000;
/** Of a tmpfs: a file grows by these, and its last one may have room still. */
const pageBytes = 4096;

async function run(program: string, ...args: readonly string[]): Promise<void> {
  const { signal } = new AbortController();
  const result = await runCommand(program, args, { signal, timeoutMs: 60_000 });
  assert.equal(result.code, 0, `${program} ${args.join(' ')}: ${result.stderr}`);
}

async function smallDisk(folder: string, size: string): Promise<AsyncDisposable> {
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  await run('mount', '-t', 'tmpfs', '-o', `size=${size},mode=700`, 'coracle-test', folder);
  return { [Symbol.asyncDispose]: () => run('umount', '--lazy', folder) };
}

test('a full disk refuses writes, serves reads, and heals', async () => {
  await using server = await ServerProcess.open();
  const folder = server.dataDir;
  await using _disk = await smallDisk(folder, '8m');
  await server.start();
  const kept: string[] = [];
  const write = async (name: string): Promise<{ status: number; text: string }> => {
    const answer = await server.request('POST', maps, configMap(name, mapBytes));
    if (answer.status === 201) kept.push(name);
    return answer;
  };
  let refused = { status: 201, text: '' };
  for (let index = 0; refused.status === 201 && index < 200; index++) {
    refused = await write(`before-${index}`);
  }
  assert.ok(kept.length > 5, 'some fit');
  assert.equal(refused.status, 503, refused.text);
  const status: Record<string, unknown> = JSON.parse(refused.text);
  assert.deepEqual([status['kind'], status['reason']], ['Status', 'ServiceUnavailable']);
  assert.match(String(status['message']), /could not be made durable: .*full/);

  // Fill the rest, so that nothing at all fits any more.
  const fill = async (name: string): Promise<void> => {
    const { signal } = new AbortController();
    const args = ['if=/dev/zero', `of=${folder}/${name}`, 'bs=4k'];
    await runCommand('dd', args, { signal, timeoutMs: 60_000 });
  };
  await fill('filler');
  // The log as well: what it is told of does not fit.
  const log = join(folder, 'logs/coracle.log');
  const isLogFull = (): boolean => statSync(log).size % pageBytes === 0;
  for (let index = 0; !isLogFull() && index < 2000; index++) {
    assert.equal((await write('full')).status, 503);
  }
  assert.ok(isLogFull(), 'no line fits');
  const ready = await server.request('GET', '/readyz?verbose');
  assert.equal(ready.status, 500);
  assert.match(ready.text, /\[-\]etcd failed/);
  const list = await server.request('GET', maps);
  assert.equal(list.status, 200);
  for (const name of kept) assert.ok(list.text.includes(`"${name}"`), `${name} can be read`);
  assert.ok(!list.text.includes('"full"'));

  await run('mount', '-o', 'remount,size=64m', folder);
  const healed = (): Promise<void> =>
    server.until(
      async () => (await server.request('GET', '/readyz')).status === 200,
      'it is ready again by itself',
    );
  await healed();
  assert.equal((await write('after')).status, 201);
  const isTold = (): boolean => /^W lines are missing here/m.test(readFileSync(log, 'utf8'));
  // By its next line, which may be one of a disk that is full once more.
  for (let cycle = 0; !isTold() && cycle < 40; cycle++) {
    await fill('again');
    let answer = await write(`again-${cycle}`);
    for (let index = 0; answer.status === 201 && index < 200; index++) {
      answer = await write(`again-${cycle}-${index}`);
    }
    assert.equal(answer.status, 503);
    rmSync(join(folder, 'again'));
    await healed();
  }
  assert.ok(isTold(), 'the log goes on, and says that something is missing');

  server.signal('SIGKILL');
  await server.ended();
  await server.start();
  const names = await server.request('GET', maps);
  for (const name of kept) assert.ok(names.text.includes(`"name":"${name}"`), `${name} is kept`);
  assert.ok(!names.text.includes('"name":"full"'), 'what was refused is not');
  server.signal('SIGTERM');
  await server.ended();
});

test('a disk that is full or read-only from the start is told of in one line', async () => {
  await using server = await ServerProcess.open();
  await using _disk = await smallDisk(server.dataDir, '1m');
  const refusal = async (): Promise<string> => {
    const { code, stderr } = await server.coracle('server', '--no-kubeconfig');
    assert.equal(code, 1);
    return stderr.trim();
  };
  const start = `coracle: --data-dir ${server.dataDir}: `;
  assert.equal(await refusal(), `${start}1.0 MiB of disk are free, 4 are needed`);
  await run('mount', '-o', 'remount,ro', server.dataDir);
  assert.equal(await refusal(), `${start}the file system is read-only`);
});
