/**
 * Which address of this machine others see that are reached the same way as a server: the one that
 * a connection to it has. What a node without a word about its address takes.
 */
import { connect } from 'node:net';

const limits = { connectMs: 5_000 } as const;

export function addressTowards(server: string): Promise<string> {
  const { hostname, port } = new URL(server);
  return new Promise((resolve, reject) => {
    const socket = connect({
      host: hostname.replace(/^\[|\]$/g, ''),
      port: Number(port || 443),
      timeout: limits.connectMs,
    });
    socket.once('connect', () => {
      resolve(socket.localAddress ?? '127.0.0.1');
      socket.destroy();
    });
    socket.once('timeout', () => socket.destroy(new Error(`${server} does not answer`)));
    socket.once('error', reject);
  });
}
