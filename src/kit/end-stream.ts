/**
 * How to end a connection that was upgraded: say the last words, and read on to the other's end.
 *
 * Nobody else reads such a connection any more once its streams are over, and who stops reading
 * never hears that the other side has closed: the descriptor would be kept for ever.
 */
import type { Duplex } from 'node:stream';

/** Harmless on a connection that has been ended already. */
export function endStream(socket: Duplex, lastWords = ''): void {
  if (!socket.writableEnded) socket.end(lastWords);
  socket.resume();
}
