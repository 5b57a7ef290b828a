/** Images on disk: digests, repeatable bytes, and a pause that the kernel runs. */
import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import {
  chmodSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { type TestContext, test } from 'node:test';
import { setTimeout } from 'node:timers/promises';
import { buildImage, buildPauseImage, pauseReference } from './images.ts';
import { pauseProgram } from './pause.ts';

function folderOf(t: TestContext): string {
  const folder = mkdtempSync(path.join(tmpdir(), 'coracle-image-'));
  t.after(() => rmSync(folder, { recursive: true }));
  return folder;
}

/** Unpacks with the system's tar and follows the digests from the index to the layers. */
function unpack(archive: string, into: string) {
  mkdirSync(into);
  assert.equal(spawnSync('tar', ['-xf', archive, '-C', into]).status, 0);
  const read = (name: string) => readFileSync(path.join(into, name));
  const blob = (digest: string): Buffer => {
    const hex = digest.replace('sha256:', '');
    const content = read(`blobs/sha256/${hex}`);
    assert.equal(createHash('sha256').update(content).digest('hex'), hex);
    return content;
  };
  const index = JSON.parse(String(read('index.json')));
  const manifest = JSON.parse(String(blob(index.manifests[0].digest)));
  const config = JSON.parse(String(blob(manifest.config.digest)));
  const layers: Buffer[] = manifest.layers.map((layer: { digest: string }) => blob(layer.digest));
  return { index, manifest, config, layers };
}

test('a folder becomes an image whose digests hold, with the same bytes each time', async (t) => {
  const folder = folderOf(t);
  const rootfs = path.join(folder, 'rootfs');
  mkdirSync(path.join(rootfs, 'bin'), { recursive: true });
  writeFileSync(path.join(rootfs, 'bin/hello'), '#!/bin/sh\necho hello\n');
  chmodSync(path.join(rootfs, 'bin/hello'), 0o755);
  symlinkSync('hello', path.join(rootfs, 'bin/hi'));
  const build = (name: string) =>
    buildImage({
      ...{ rootfs, reference: 'localhost/hello:1', architecture: 'amd64' },
      config: { Cmd: ['hello'], Env: ['A=b'] },
      outputPath: path.join(folder, name),
    });
  const one = await build('one.tar');
  const two = await build('two.tar');
  assert.deepEqual(readFileSync(one.path), readFileSync(two.path));
  const { index, config, layers } = unpack(one.path, path.join(folder, 'out'));
  assert.equal(index.manifests[0].annotations['io.containerd.image.name'], 'localhost/hello:1');
  assert.equal(index.manifests[0].annotations['org.opencontainers.image.ref.name'], '1');
  assert.deepEqual(config.config, { Cmd: ['hello'], Env: ['A=b'] });
  assert.equal(config.architecture, 'amd64');
  const listing = spawnSync('tar', ['-tzvf', '-'], { input: layers[0] }).stdout.toString();
  assert.match(listing, /-rwxr-xr-x 0\/0 .* bin\/hello\n.* bin\/hi -> hello/);
  await assert.rejects(
    buildImage({ rootfs, reference: 'no tag', config: {}, outputPath: one.path }),
    /looks like localhost\/name:tag/,
  );
});

test('pause is a program that the kernel runs, and that does nothing but end when asked to', async (t) => {
  const folder = folderOf(t);
  const { reference, path: archive } = await buildPauseImage({ outputDir: folder });
  assert.equal(reference, pauseReference);
  const { config } = unpack(archive, path.join(folder, 'out'));
  assert.deepEqual(config.config.Entrypoint, ['/pause']);
  assert.equal(pauseProgram('arm64').readUInt16LE(18), 0xb7);
  if (process.platform !== 'linux') return;
  const program = path.join(folder, 'pause');
  const native = process.arch === 'x64' ? 'amd64' : 'arm64';
  writeFileSync(program, pauseProgram(native), { mode: 0o755 });
  // It inherits a child that ends; as its parent it must not leave a zombie.
  const script = `(sleep 0.05 & exec ${program}) & sleep 0.3
    cat /proc/$!/status; echo "children:$(cat /proc/$!/task/$!/children)"; kill $!`;
  const { stdout } = spawnSync('sh', ['-c', script], { timeout: 60_000, encoding: 'utf8' });
  assert.match(stdout, /^Name:\tpause$/m);
  assert.match(stdout, /^State:\tS/m);
  assert.match(stdout, /^children:$/m);
  // By handlers: without one, the first process of a namespace is spared.
  for (const name of ['SIGTERM', 'SIGINT'] as const) {
    const child = spawn(program);
    const ended = once(child, 'exit');
    const status = (): string => readFileSync(`/proc/${child.pid}/status`, 'utf8');
    await until(() => /^SigCgt:\t0*4002$/m.test(status()));
    child.kill(name);
    assert.deepEqual(await ended, [0, null]);
  }
});

async function until(holds: () => boolean): Promise<void> {
  const untilMs = performance.now() + 60_000;
  while (!holds()) {
    assert.ok(performance.now() < untilMs);
    await setTimeout(10);
  }
}
