/**
 * Both halves of HPACK against those of Node's HTTP/2, which are nghttp2's: its client's requests
 * are read by our decoder, and our encoder's answers by it.
 */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { type ClientHttp2Session, connect, type OutgoingHttpHeaders } from 'node:http2';
import { type Duplex, duplexPair } from 'node:stream';
import { test } from 'node:test';
import { type Frame, flag, frameOf, frameType } from '#test/raw-http2.ts';
import { HeaderDecoder } from './header-decoder.ts';
import { HeaderEncoder } from './header-encoder.ts';
import { staticNames } from './static-table.ts';

const prefaceBytes = 24;
const headBytes = 9;
const headerTableSize = 1;

/** Answers each request with the fields that come next, and keeps what was asked. */
class Server {
  readonly encoder = new HeaderEncoder();
  readonly asked: (readonly string[])[] = [];
  readonly #decoder = new HeaderDecoder({ tableBytesMax: 4096 });
  readonly #socket: Duplex;
  readonly #answers: (readonly string[])[];
  #rest: Buffer = Buffer.alloc(0);

  constructor(socket: Duplex, answers: readonly (readonly string[])[]) {
    this.#socket = socket;
    this.#answers = [...answers];
    let preface = prefaceBytes;
    socket.on('data', (part: Buffer) => {
      const skipped = Math.min(preface, part.length);
      preface -= skipped;
      this.#onData(part.subarray(skipped));
    });
    socket.write(frameOf(frameType.settings, 0, 0, Buffer.alloc(0)));
  }

  #onData(part: Buffer): void {
    this.#rest = Buffer.concat([this.#rest, part]);
    for (;;) {
      const end = headBytes + (this.#rest.length < headBytes ? 0 : this.#rest.readUIntBE(0, 3));
      if (this.#rest.length < end) return;
      const frame = this.#rest.subarray(0, end);
      this.#rest = this.#rest.subarray(end);
      this.#onFrame({
        type: frame[3] ?? 0,
        flags: frame[4] ?? 0,
        stream: frame.readUInt32BE(5),
        payload: frame.subarray(headBytes),
      });
    }
  }

  #onFrame({ type, flags, stream, payload }: Frame): void {
    if (type === frameType.settings && (flags & flag.acknowledge) === 0) this.#onSettings(payload);
    if (type !== frameType.headers) return;
    assert.equal(flags, flag.endHeaders | flag.endStream, 'neither padded nor with a priority');
    const fields: string[] = [];
    this.#decoder.decode(payload, (name, value) => {
      fields.push(`${name}: ${value}`);
    });
    this.asked.push(fields);
    const block = this.encoder.encode(this.#answers.shift() ?? [':status', '204']);
    const ends = flag.endHeaders | flag.endStream;
    this.#socket.write(frameOf(frameType.headers, ends, stream, Buffer.from(block)));
  }

  #onSettings(payload: Buffer): void {
    for (let at = 0; at + 6 <= payload.length; at += 6) {
      if (payload.readUInt16BE(at) !== headerTableSize) continue;
      this.encoder.setTableBytesMax(payload.readUInt32BE(at + 2));
    }
    this.#socket.write(frameOf(frameType.settings, flag.acknowledge, 0, Buffer.alloc(0)));
  }
}

function open(answers: readonly (readonly string[])[]): {
  readonly client: ClientHttp2Session;
  readonly server: Server;
} {
  const [near, far] = duplexPair();
  const server = new Server(far, answers);
  return { server, client: connect('http://peer', { createConnection: () => near }) };
}

/** What the client reads of the answer, names and values in turn. */
async function ask(
  client: ClientHttp2Session,
  headers: OutgoingHttpHeaders = {},
): Promise<readonly string[]> {
  const request = client.request(headers, { endStream: true });
  const [answered] = await Promise.all([
    once(request, 'response'),
    once(request.resume(), 'close'),
  ]);
  return answered[2];
}

test("requests of Node's client are read, new and repeated ones", async () => {
  const { client, server } = open([]);
  const wanted: (readonly string[])[] = [];
  for (let round = 0; round < 200; round++) {
    const path = `/api/v1/namespaces/ns-${round % 3}/secrets/${'s'.repeat(round)}`;
    const headers = {
      accept: 'application/json',
      'user-agent': 'kubectl/v1.36.0 (linux/amd64) kubernetes/0000000',
      authorization: `Bearer ${'token~'.repeat(10 + (round % 4))}`,
      'x-round': String(round % 50),
    };
    await ask(client, { ':path': path, ...headers });
    const pseudo = { ':path': path, ':method': 'GET', ':authority': 'peer:80', ':scheme': 'http' };
    const fields = Object.entries({ ...pseudo, ...headers });
    wanted.push(fields.map(([name, value]) => `${name}: ${value}`));
  }
  client.destroy();
  assert.deepEqual(server.asked.map(sorted), wanted.map(sorted));
});

function sorted(fields: readonly string[]): readonly string[] {
  return fields.toSorted();
}

test('every letter that a field may hold is read as Node codes it', async () => {
  const { client, server } = open([]);
  const letters = Array.from({ length: 256 - 0x21 }, (_, i) => 0x21 + i).filter((i) => i !== 0x7f);
  // Among short codes, so that the whole is shorter in the code than out of it.
  const values = letters.map((letter) => `a${String.fromCharCode(letter).concat('a'.repeat(20))}`);
  for (const value of values) await ask(client, { 'x-letter': value });
  client.destroy();
  const read = server.asked.map((fields) => fields.find((field) => field.startsWith('x-letter')));
  assert.deepEqual(
    read,
    values.map((value) => `x-letter: ${value}`),
  );
});

test("the names of the static table are those of Node's", async () => {
  // But for those of requests, and one that HTTP/2 has no use for.
  const names = staticNames.slice(15).filter((name) => name !== 'transfer-encoding');
  const answer = [':status', '200', ...names.flatMap((name) => [name, '0'])];
  const { client } = open([answer]);
  assert.deepEqual(await ask(client), answer);
  client.destroy();
});

test("the values of the static table are those of Node's", async () => {
  const statuses = ['200', '204', '206', '304', '400', '404', '500'];
  const { client, server } = open(statuses.map((status) => [':status', status]));
  for (const [i, status] of statuses.entries()) {
    const [method, scheme, path] =
      i % 2 === 0 ? ['GET', 'http', '/'] : ['POST', 'https', '/index.html'];
    const asked = { ':method': method, ':scheme': scheme, ':path': path, ':authority': 'peer' };
    const headers = { ...asked, 'accept-encoding': 'gzip, deflate' };
    assert.deepEqual(await ask(client, headers), [':status', status]);
    const fields = Object.entries(headers).map(([name, value]) => `${name}: ${value}`);
    assert.deepEqual(sorted(server.asked[i] ?? []), sorted(fields));
    assert.equal(new HeaderEncoder().encode([':status', status]).length, 1);
  }
  client.destroy();
});

function answerOf(round: number): readonly string[] {
  const uid = (digit: number): string => `7f2c1e5a-0000-4000-8000-${String(digit).repeat(12)}`;
  return [
    ':status',
    ['200', '201', '404', '409'][round % 4] ?? '',
    'audit-id',
    `${uid(round % 10)}${round}`,
    'cache-control',
    'no-cache, private',
    'content-type',
    `application/${'json'.repeat(1 + (round % 3))}`,
    'x-kubernetes-pf-flowschema-uid',
    uid(round % 7),
    'x-kubernetes-pf-prioritylevel-uid',
    uid(round % 5),
    'set-cookie',
    `a=${round}`,
    'x-long',
    String(round % 20).repeat(round),
    'content-length',
    '0',
  ];
}

test("answers are read by Node's client, through all that goes on in the table", async () => {
  const answers = Array.from({ length: 200 }, (_, round) => answerOf(round));
  const { client } = open(answers);
  for (const answer of answers) assert.deepEqual(await ask(client), answer);
  client.destroy();
});

test("answers are read while Node's client changes what its table may hold", async () => {
  const sizes = [4096, 200, 0, 70, 1000, 65_536, 300, 4096];
  const answers = Array.from({ length: 10 * sizes.length }, (_, round) => answerOf(round % 4));
  const { client } = open(answers);
  for (const [i, size] of sizes.entries()) {
    const told = once(client, 'localSettings');
    client.settings({ headerTableSize: size });
    await told;
    for (const answer of answers.slice(10 * i, 10 * i + 10)) {
      assert.deepEqual(await ask(client), answer, `a table of ${size} bytes`);
    }
  }
  client.destroy();
});
