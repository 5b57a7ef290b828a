/** How long the runtime may take, against one that takes calls and never answers. */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { serveGrpc } from '#kit/grpc.ts';
import { silentLog } from '#kit/log.ts';
import { VirtualClock } from '#kit/virtual-clock.ts';
import { isGrpcCode, openRuntime } from './cri.ts';

test('a container may take its grace to stop, and after it as long as any call', async ({
  signal,
}) => {
  const dir = mkdtempSync(join(tmpdir(), 'cri-'));
  const endpoint = join(dir, 'runtime.sock');
  const asked = Promise.withResolvers<void>();
  using _server = await serveGrpc(`unix://${endpoint}`, [
    {
      path: '/runtime.v1.RuntimeService/StopContainer',
      decode: (bytes) => bytes,
      encode: () => new Uint8Array(),
      answer: () => {
        asked.resolve();
        return new Promise(() => {});
      },
    },
  ]);
  const clock = new VirtualClock();
  using runtime = await openRuntime(
    { clock, log: silentLog },
    { socketPath: endpoint, requestTimeoutMs: 5000 },
  );
  let failed: unknown;
  const stopping = runtime
    .stopContainer('web', { graceSeconds: 30, signal })
    .catch((error: unknown) => {
      failed = error;
    });
  await asked.promise;
  await clock.advance(34_999);
  assert.equal(failed, undefined);
  await clock.advance(1);
  await stopping;
  assert.ok(isGrpcCode(failed, 'DEADLINE_EXCEEDED'));
  rmSync(dir, { recursive: true });
});
