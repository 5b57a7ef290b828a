/**
 * Our server for the parity run, in this process: asked by the same administrator, with the same
 * address ranges, as upstream's was when its answers were recorded.
 */

import type { Transport } from '#kit/transport.ts';
import { openTestServer, type TestServer } from '#test/fixtures.ts';

const administrator = { name: 'admin', uid: 'admin', groups: ['system:masters'] };

export interface ParityServer extends AsyncDisposable {
  readonly transport: Transport;
}

export async function openParityServer(): Promise<ParityServer> {
  // A fault shows as an answer that differs, and is counted.
  const own: TestServer = await openTestServer({ options: { rethrowBugs: false } });
  return {
    transport: own.server.direct(administrator),
    [Symbol.asyncDispose]: () => own[Symbol.asyncDispose](),
  };
}
