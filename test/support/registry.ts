/**
 * A small registry of images for tests: what pulls need of the distribution protocol, on loopback,
 * plain or with TLS, open or behind a user name and password. Its content are archives as
 * `coracle image build` makes them. It counts what was asked of it.
 */
import { readFileSync } from 'node:fs';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { createServer as createSecureServer } from 'node:https';
import type { KeyPair } from '#kit/x509.ts';

export interface TestRegistryOptions {
  /** Without it, anybody may pull. */
  readonly login?: { readonly username: string; readonly password: string };
  readonly tls?: KeyPair;
}

const manifestType = 'application/vnd.oci.image.manifest.v1+json';

export class TestRegistry implements AsyncDisposable {
  /** `127.0.0.1:PORT`. */
  readonly host: string;
  /** `METHOD path` of all requests that got what they wanted. */
  readonly served: string[] = [];
  readonly #server: Server;
  readonly #login: TestRegistryOptions['login'];
  /** By digest. */
  readonly #blobs = new Map<string, Buffer>();
  /** Digest of the manifest by `name:tag`. */
  readonly #tags = new Map<string, string>();

  private constructor(server: Server, port: number, options: TestRegistryOptions) {
    this.host = `127.0.0.1:${port}`;
    this.#server = server;
    this.#login = options.login;
  }

  static async open(options: TestRegistryOptions = {}): Promise<TestRegistry> {
    let registry: TestRegistry | undefined;
    const answer = (request: IncomingMessage, response: ServerResponse): void => {
      if (registry !== undefined) registry.#answer(request, response);
    };
    const server =
      options.tls === undefined ? createServer(answer) : createSecureServer(options.tls, answer);
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const address = server.address();
    const port = typeof address === 'object' && address !== null ? address.port : 0;
    registry = new TestRegistry(server, port, options);
    return registry;
  }

  /** Puts the image of an archive there; the digest of its manifest. */
  add(name: string, tag: string, archive: string): string {
    const files = readArchive(archive);
    for (const [path, content] of files) {
      const [, digest] = /^blobs\/sha256\/([0-9a-f]{64})$/.exec(path) ?? [];
      if (digest !== undefined) this.#blobs.set(`sha256:${digest}`, content);
    }
    // The layout that our own builder writes.
    const index = JSON.parse(files.get('index.json')?.toString() ?? '{}') as {
      readonly manifests: readonly { readonly digest: string }[];
    };
    const digest = index.manifests[0]?.digest ?? '';
    this.#tags.set(`${name}:${tag}`, digest);
    return digest;
  }

  /** How often somebody who may was told of an image. */
  asked(name: string): number {
    return this.served.filter((line) => line.includes(` /v2/${name}/manifests/`)).length;
  }

  #answer(request: IncomingMessage, response: ServerResponse): void {
    const { method = 'GET', url = '/', headers } = request;
    const path = url.replace(/\?.*$/, '');
    if (this.#login !== undefined && headers.authorization !== basic(this.#login)) {
      response.writeHead(401, { 'www-authenticate': 'Basic realm="test"' });
      response.end('{"errors":[{"code":"UNAUTHORIZED","message":"authentication required"}]}');
      return;
    }
    const found = this.#find(path);
    if (found === undefined) {
      response.writeHead(404);
      response.end('{"errors":[{"code":"MANIFEST_UNKNOWN","message":"manifest unknown"}]}');
      return;
    }
    this.served.push(`${method} ${path}`);
    const { type, content, digest } = found;
    response.writeHead(200, {
      'content-type': type,
      'content-length': content.length,
      ...(digest === '' ? {} : { 'docker-content-digest': digest }),
    });
    response.end(method === 'HEAD' ? undefined : content);
  }

  #find(path: string) {
    if (path === '/v2/')
      return { type: 'application/json', content: Buffer.from('{}'), digest: '' };
    const [, name = '', sort, reference = ''] =
      /^\/v2\/(.+)\/(manifests|blobs)\/([^/]+)$/.exec(path) ?? [];
    const digest = this.#tags.get(`${name}:${reference}`) ?? reference;
    const content = this.#blobs.get(digest);
    if (content === undefined) return undefined;
    const type = sort === 'manifests' ? manifestType : 'application/octet-stream';
    return { type, content, digest };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise((resolve) => this.#server.close(resolve));
  }
}

function basic({ username, password }: { readonly username: string; readonly password: string }) {
  return `Basic ${Buffer.from(`${username}:${password}`).toString('base64')}`;
}

/** Contents of a tar file's plain files, by path. */
function readArchive(path: string): ReadonlyMap<string, Buffer> {
  const bytes = readFileSync(path);
  const files = new Map<string, Buffer>();
  for (let at = 0; at + 512 <= bytes.length; ) {
    const text = (from: number, length: number): string =>
      bytes.toString('latin1', at + from, at + from + length).replace(/\0.*$/s, '');
    const [name, size] = [text(0, 100), Number.parseInt(text(124, 12), 8)];
    if (name === '') break;
    if (text(156, 1) === '0') files.set(name, bytes.subarray(at + 512, at + 512 + size));
    at += 512 + Math.ceil(size / 512) * 512;
  }
  return files;
}
