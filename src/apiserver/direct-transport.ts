/**
 * The transport of components on the server's own thread: requests go straight into the lifecycle,
 * with an identity that was bound when the cluster was wired.
 */
import type { Identity, PlainRequest, PlainResponse, Transport } from '#kit/transport.ts';
import { handle } from './lifecycle.ts';
import type { Parts } from './parts.ts';

export function directTransport(
  parts: Parts,
  peer: Identity | undefined,
  closing: AbortSignal,
): Transport {
  return {
    send: async (
      request: PlainRequest,
      { signal }: { readonly signal: AbortSignal },
    ): Promise<PlainResponse> => {
      signal.throwIfAborted();
      if (closing.aborted) throw new Error('the API server is closed', { cause: closing.reason });
      const { status, headers, body } = await handle(parts, { request, peer, signal });
      signal.throwIfAborted();
      return { status, headers, body };
    },
  };
}
