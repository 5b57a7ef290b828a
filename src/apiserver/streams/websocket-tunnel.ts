/**
 * Port-forward through a WebSocket: its messages carry the bytes of a SPDY connection as they are,
 * so client and runtime speak SPDY with each other and this server only packs and unpacks.
 *
 * Called by `upgrade.ts` once the request is allowed.
 */
import type { Duplex } from 'node:stream';
import { acceptWebSocket } from '#kit/websocket.ts';
import type { Streams } from '../subresources/kubelet-proxy.ts';

/** What clients offer: the tunnel, and behind it the protocol inside. */
export const tunnelPrefix = 'SPDY/3.1+';

export function serveTunnel(
  client: Duplex,
  handshake: { readonly key: string; readonly protocol: string; readonly head: Uint8Array },
  { socket, head }: Streams,
): void {
  const peer = acceptWebSocket(client, handshake);
  socket.on('error', () => socket.destroy());
  socket.on('data', (chunk: Buffer) => {
    socket.pause();
    peer.send(chunk).then(
      () => socket.resume(),
      () => socket.destroy(),
    );
  });
  socket.once('close', () => peer.close());
  peer.listen({
    onMessage: (message) => {
      if (socket.write(message)) return;
      peer.pause();
      socket.once('drain', () => peer.resume());
    },
    onClose: () => socket.destroy(),
  });
  if (head.length > 0) socket.unshift(head);
}
