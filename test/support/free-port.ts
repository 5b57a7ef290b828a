/**
 * A port for a program that a test is about to start. Between the choice and the moment when the
 * program listens nobody else may take it: not the kernel for an outgoing connection, so it is
 * below the range from which the kernel chooses; and no other test, so a UDP socket on an address
 * that nothing else uses holds the number until this process ends.
 */
import { createSocket } from 'node:dgram';
import { createServer } from 'node:net';
import { systemRandom } from '#kit/random.ts';

/** Below the kernel's own range (32768) and the node ports (30000), above all that are known. */
const range = { first: 20_000, last: 27_999 } as const;
const triesMax = 200;
const markAddress = '127.77.77.77';

export async function freePort(): Promise<number> {
  const random = systemRandom();
  for (let tries = 0; tries < triesMax; tries++) {
    const port = range.first + random.integer(range.last - range.first + 1);
    if ((await mark(port)) && (await canListen(port))) return port;
  }
  throw new Error(`no port from ${range.first} to ${range.last} is free`);
}

/** False where another test has it. */
function mark(port: number): Promise<boolean> {
  const socket = createSocket('udp4');
  socket.unref();
  return new Promise((resolve, reject) => {
    socket.once('error', (error: NodeJS.ErrnoException) => {
      socket.close();
      if (error.code === 'EADDRINUSE') resolve(false);
      // Elsewhere than on Linux there may be no such address, and no mark.
      else if (error.code === 'EADDRNOTAVAIL') resolve(true);
      else reject(error);
    });
    socket.bind({ port, address: markAddress, exclusive: true }, () => resolve(true));
  });
}

/** On every address, whichever the program takes. */
function canListen(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once('error', () => resolve(false));
    server.listen({ port, host: '0.0.0.0', exclusive: true }, () =>
      server.close(() => resolve(true)),
    );
  });
}
