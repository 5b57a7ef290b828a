/**
 * The transport of components on the server's own thread: requests go straight into the lifecycle,
 * with an identity that was bound when the cluster was wired.
 */
import type { Identity, PlainRequest, PlainResponse, Transport } from '#kit/transport.ts';
import { handle } from './lifecycle.ts';
import type { Parts } from './parts.ts';
import { withAuthenticatedGroup } from './stages/authenticate.ts';

export function directTransport(parts: Parts, identity: Identity, closing: AbortSignal): Transport {
  const peer = withAuthenticatedGroup(identity);
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
