/**
 * A proxy as `HTTP_PROXY` and `HTTPS_PROXY` name it, on loopback: it passes requests and tunnels on
 * to where it was told that a host is, whatever the rest of the world calls that host, and keeps
 * what it was asked for.
 */
import { createServer, type IncomingMessage, request, type Server } from 'node:http';
import { connect, type Socket } from 'node:net';
import type { Duplex } from 'node:stream';

export class HttpProxy implements AsyncDisposable {
  readonly url: string;
  /** `GET http://HOST/PATH`, `CONNECT HOST:PORT`. */
  readonly asked: string[] = [];
  readonly #server: Server;
  readonly #sockets = new Set<Duplex>();

  private constructor(server: Server, port: number) {
    this.#server = server;
    this.url = `http://127.0.0.1:${port}`;
  }

  /** Host with port → where it really is. */
  static async open(places: Readonly<Record<string, string>>): Promise<HttpProxy> {
    const server = createServer();
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const address = server.address();
    const port = typeof address === 'object' && address !== null ? address.port : 0;
    const proxy = new HttpProxy(server, port);
    server.on('request', (incoming: IncomingMessage, response) => {
      const { method, url = '', headers } = incoming;
      proxy.asked.push(`${method} ${url}`);
      const { host, pathname, search } = new URL(url);
      const [name, at] = (places[host] ?? '').split(':');
      const onward = request({ host: name, port: at, method, path: pathname + search, headers });
      onward.on('response', (answer) => {
        response.writeHead(answer.statusCode ?? 502, answer.headers);
        answer.pipe(response);
      });
      onward.on('error', () => response.destroy());
      incoming.pipe(onward);
    });
    server.on('connect', ({ url = '' }: IncomingMessage, client: Duplex, head: Buffer) => {
      proxy.asked.push(`CONNECT ${url}`);
      const [name, at] = (places[url] ?? '').split(':');
      const far: Socket = connect(Number(at), name);
      for (const socket of [client, far]) {
        proxy.#sockets.add(socket);
        socket.on('error', () => {
          client.destroy();
          far.destroy();
        });
      }
      far.on('connect', () => {
        client.write('HTTP/1.1 200 Connection established\r\n\r\n');
        far.write(head);
        client.pipe(far).pipe(client);
      });
    });
    return proxy;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    this.#server.closeAllConnections();
    await new Promise((resolve) => this.#server.close(resolve));
  }
}
