/** What is refused before anything is opened. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { openGrpcChannel, serveGrpc } from './grpc.ts';
import { VirtualClock } from './virtual-clock.ts';

test('a path that no socket can have is told with its length', async () => {
  const deps = { clock: new VirtualClock() };
  const path = `/${'d'.repeat(99)}/ä.sock`;
  const expected = `a socket's path has 107 bytes at most, and 108 has ${path}`;
  await assert.rejects(openGrpcChannel(deps, `unix://${path}`), { message: expected });
  await assert.rejects(serveGrpc(`unix://${path}`, []), { message: expected });
  using channel = await openGrpcChannel(deps, `unix://${path.replace('ä', 'a')}`);
  assert.ok(channel);
});
