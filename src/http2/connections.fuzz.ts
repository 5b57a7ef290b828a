/**
 * Laws of connections of HTTP/2, on lives made at random from a seed: whatever a client does with
 * its windows, the server keeps to them, and every body arrives as it was sent, both ways; and what
 * a broken client sends harms nobody: its connection ends, and every stream is told.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type Random, seededRandom, systemRandom } from '#kit/random.ts';
import { Http2Peer, numbers } from '#test/http2-peer.ts';
import { type Frame, flag, frameOf, frameType, headerBlock } from '#test/raw-http2.ts';
import { setting } from './frames.ts';
import type { Http2Stream } from './http2.ts';

const seed = Number(process.env['CORACLE_SEED'] ?? systemRandom().integer(2 ** 31));
const rounds = Number(process.env['CORACLE_FUZZ_ITERATIONS'] ?? 60);

const ok = [':status', '200'];
const farAway = 2 ** 30;

interface Exchange {
  /** What the client sends and the server answers; as much of it as has been sent. */
  readonly sent: Buffer;
  readonly answer: Buffer;
  uploaded: number;
  written: number;
  window: number;
  hasHead: boolean;
  isOver: boolean;
  readonly received: Buffer[];
}

/** A client that knows what it allowed, and a server that answers in pieces. */
class Life {
  readonly #random: Random;
  readonly #peer: Http2Peer;
  readonly #exchanges = new Map<number, Exchange>();
  #nextStream = 1;
  #window: number;
  #initialWindow = 65_535;
  #frameBytesMax = 16_384;
  /** What was sent and is not acknowledged yet. */
  readonly #settings: (readonly [id: number, value: number])[] = [];
  #seen = 0;

  constructor(random: Random, peer: Http2Peer, { window = 65_535 } = {}) {
    this.#random = random;
    this.#peer = peer;
    this.#window = window;
  }

  /** Does something of what may be done. */
  async step(): Promise<void> {
    const acts = [
      () => this.#ask(),
      () => this.#upload(),
      () => this.#answer(),
      () => this.#answer(),
      () => this.#widen(),
      () => this.#change(),
      () => this.#peer.socket.pause(),
      () => this.#peer.socket.resume(),
    ];
    acts[this.#random.integer(acts.length)]?.();
    if (this.#random.integer(3) > 0) return;
    await this.#peer.settled();
    this.#look();
  }

  #ask(): void {
    if (this.#exchanges.size >= 40) return;
    const stream = this.#nextStream;
    this.#nextStream += 2;
    const length = (): number => this.#random.integer(this.#random.integer(4) === 0 ? 90_000 : 300);
    const sent = Buffer.from(this.#random.bytes(length()));
    this.#exchanges.set(stream, {
      ...{ sent, answer: Buffer.from(this.#random.bytes(length())) },
      ...{ uploaded: 0, written: 0, window: this.#initialWindow },
      ...{ hasHead: false, isOver: false, received: [] },
    });
    if (sent.length === 0) this.#peer.get(stream);
    else this.#peer.post(stream, { 'content-length': String(sent.length) });
  }

  #one(): readonly [number, Exchange] | undefined {
    const open = [...this.#exchanges].filter(([, { isOver }]) => !isOver);
    return open[this.#random.integer(Math.max(1, open.length))];
  }

  #upload(): void {
    const [stream, exchange] = this.#one() ?? [];
    if (stream === undefined || exchange === undefined) return;
    const { sent, uploaded } = exchange;
    if (uploaded === sent.length) return;
    const part = sent.subarray(uploaded, uploaded + 1 + this.#random.integer(16_384));
    exchange.uploaded += part.length;
    this.#peer.data(stream, part, { ends: exchange.uploaded === sent.length });
  }

  #answer(): void {
    const [stream, exchange] = this.#one() ?? [];
    const found = this.#peer.arrived.find((one) => one.stream.id === stream)?.stream;
    if (found === undefined || exchange === undefined || found.isReceiving) return;
    this.#write(found, exchange);
  }

  #write(stream: Http2Stream, exchange: Exchange): void {
    const { answer, written } = exchange;
    if (written > 0 && written === answer.length) return;
    if (written === 0 && this.#random.integer(2) === 0) {
      exchange.written = answer.length;
      stream.answer(ok, answer);
      if (answer.length === 0) exchange.written = 0;
      return;
    }
    if (written === 0) stream.begin(ok);
    const part = answer.subarray(written, written + 1 + this.#random.integer(50_000));
    exchange.written += part.length;
    stream.write(part);
    if (exchange.written === answer.length) stream.end();
  }

  #widen(): void {
    const bytes = 1 + this.#random.integer(this.#random.integer(2) === 0 ? 10 : 60_000);
    const [stream, exchange] = this.#one() ?? [];
    if (this.#random.integer(2) === 0 || stream === undefined || exchange === undefined) {
      this.#window += bytes;
      this.#peer.widen(0, bytes);
    } else {
      exchange.window += bytes;
      this.#peer.widen(stream, bytes);
    }
  }

  #change(): void {
    const given =
      this.#random.integer(3) > 0
        ? ([setting.initialWindowSize, this.#random.integer(100_000)] as const)
        : ([setting.frameSizeMax, 16_384 + this.#random.integer(100_000)] as const);
    this.#settings.push(given);
    this.#peer.settings(given);
  }

  #look(): void {
    const { frames } = this.#peer;
    for (; this.#seen < frames.length; this.#seen++) {
      const frame = frames[this.#seen];
      if (frame !== undefined) this.#take(frame);
    }
  }

  /** The laws: what was acknowledged holds from there on. */
  #take({ type, flags, stream, payload }: Frame): void {
    if (type === frameType.settings && (flags & flag.acknowledge) !== 0) this.#acknowledged();
    const exchange = this.#exchanges.get(stream);
    if (exchange === undefined) return;
    assert.ok(!exchange.isOver, 'nothing comes behind the end');
    assert.ok(type === frameType.windowUpdate || payload.length <= this.#frameBytesMax);
    if (type === frameType.headers) {
      assert.ok(!exchange.hasHead);
      exchange.hasHead = true;
    } else if (type === frameType.data) {
      assert.ok(exchange.hasHead);
      exchange.window -= payload.length;
      this.#window -= payload.length;
      if (payload.length > 0) assert.ok(exchange.window >= 0, `${exchange.window} of a stream`);
      assert.ok(this.#window >= 0, `${this.#window} of the connection`);
      exchange.received.push(payload);
    } else assert.equal(type, frameType.windowUpdate);
    if (type !== frameType.windowUpdate) exchange.isOver = (flags & flag.endStream) !== 0;
  }

  #acknowledged(): void {
    const [id, value] = this.#settings.shift() ?? [];
    if (id === setting.frameSizeMax) this.#frameBytesMax = value ?? 0;
    if (id !== setting.initialWindowSize || value === undefined) return;
    const more = value - this.#initialWindow;
    this.#initialWindow = value;
    for (const exchange of this.#exchanges.values()) exchange.window += more;
  }

  /** Everything is uploaded, answered and read. */
  async end(): Promise<void> {
    this.#peer.socket.resume();
    await this.#peer.settled();
    this.#look();
    this.#window += farAway;
    this.#peer.widen(0, farAway);
    for (const [stream, exchange] of this.#exchanges) {
      if (exchange.isOver) continue;
      while (exchange.uploaded < exchange.sent.length) {
        const part = exchange.sent.subarray(exchange.uploaded, exchange.uploaded + 16_384);
        exchange.uploaded += part.length;
        this.#peer.data(stream, part, { ends: exchange.uploaded === exchange.sent.length });
      }
      exchange.window += farAway;
      this.#peer.widen(stream, farAway);
      await this.#peer.settled();
      const found = this.#peer.arrived.find((one) => one.stream.id === stream)?.stream;
      assert.ok(found);
      while (!found.isAnswered) {
        this.#write(found, exchange);
        await this.#peer.settled();
      }
    }
    await this.#peer.settled();
    this.#look();
    assert.equal(this.#peer.goodbye, undefined);
    for (const [stream, exchange] of this.#exchanges) {
      const arrived = this.#peer.arrived.find((one) => one.stream.id === stream);
      assert.deepEqual(Buffer.concat(arrived?.body ?? []), exchange.sent);
      assert.deepEqual(Buffer.concat(exchange.received), exchange.answer);
      assert.deepEqual(arrived?.told, ['end', 'close']);
      assert.ok(exchange.isOver);
    }
  }
}

async function live(random: Random, options: { readonly window?: number } = {}): Promise<void> {
  const peer = await Http2Peer.open({ windowBytes: 1_000_000 });
  const life = new Life(random, peer, options);
  for (let n = 0; n < 150; n++) await life.step();
  await life.end();
}

test(`windows are kept to, and bodies arrive as they were sent (seed ${seed})`, async () => {
  for (let round = 0; round < rounds; round++) await live(seededRandom(seed + round));
});

test('canary: one byte more than the window is noticed', async () => {
  const lives = async (): Promise<void> => {
    for (let round = 0; round < 20; round++) await live(seededRandom(round), { window: 65_534 });
  };
  await assert.rejects(lives, /-1 of the connection/);
});

const head = headerBlock({
  ...{ ':method': 'POST', ':scheme': 'https', ':path': '/', ':authority': 'x' },
});

/** Most are as they should be, some of streams that are over, and few are nothing at all. */
function anyFrame(random: Random, last: number): Buffer {
  const open = Math.max(1, last - 2 * random.integer(6));
  const few = Buffer.from(random.bytes(random.integer(20)));
  const likely = [
    () => frameOf(frameType.headers, 4 + random.integer(2), last + 2, head),
    () => frameOf(frameType.headers, 4 + random.integer(2), last + 2, head),
    () => frameOf(frameType.data, random.integer(2), open, few),
    () => frameOf(frameType.data, 0, open, Buffer.alloc(random.integer(16_385))),
    () => frameOf(frameType.windowUpdate, 0, 0, numbers(1 + random.integer(1_000))),
    () => frameOf(frameType.windowUpdate, 0, open, numbers(random.integer(100_000))),
    () => frameOf(frameType.settings, 0, 0, settingsAt(random)),
    () => frameOf(frameType.resetStream, 0, open, numbers(8)),
    () => frameOf(frameType.ping, 0, 0, Buffer.alloc(8)),
  ];
  if (random.integer(100) > 0) return likely[random.integer(likely.length)]?.() ?? few;
  const stream = random.integer(4) === 0 ? random.integer(2 ** 32) : open;
  const flags = random.integer(256);
  const unlikely = [
    () => frameOf(frameType.headers, flags, last + 2, Buffer.concat([few, head])),
    () => frameOf(frameType.continuation, flags, open, few),
    () => frameOf(frameType.data, flags, open, few),
    () => frameOf(frameType.windowUpdate, 0, stream, numbers(random.integer(2 ** 31))),
    () => frameOf(random.integer(12), flags, stream, few),
  ];
  return unlikely[random.integer(unlikely.length)]?.() ?? few;
}

function settingsAt(random: Random): Buffer {
  const payload = Buffer.alloc(6);
  payload.writeUInt16BE([1, 3, 4, 4, 6][random.integer(5)] ?? 4);
  payload.writeUInt32BE(random.integer(100_000), 2);
  return payload;
}

/** Answers, now or later, or not at all. */
function answerAnyhow(random: Random): (stream: Http2Stream) => void {
  const body = Buffer.alloc(random.integer(100_000));
  const acts = [
    (stream: Http2Stream) => stream.answer(ok, body),
    (stream: Http2Stream) => stream.answer(ok, undefined),
    (stream: Http2Stream) => stream.reset(2),
    (stream: Http2Stream) => {
      stream.begin(ok);
      const go = (): void => {
        if (stream.write(Buffer.alloc(1_000)) && random.integer(30) > 0) queueMicrotask(go);
        else if (random.integer(2) === 0) stream.end();
        else stream.onceDrained(() => stream.end());
      };
      go();
    },
    () => {},
  ];
  return (stream) => acts[random.integer(acts.length)]?.(stream);
}

test(`what a broken client sends harms nobody (seed ${seed})`, async () => {
  for (let round = 0; round < 10 * rounds; round++) {
    const random = seededRandom(seed + round);
    const peer = await Http2Peer.open({ onRequest: answerAnyhow(random) });
    const count = random.integer(200);
    let last = 1;
    peer.post(last);
    for (let n = 0; n < count && !peer.isLetGo; n++) {
      const frame = anyFrame(random, last);
      if (frame[3] === frameType.headers) last = frame.readUInt32BE(5);
      const cut = random.integer(4) === 0 ? random.integer(frame.length) : 0;
      peer.write(frame.subarray(0, cut));
      peer.write(frame.subarray(cut));
      if (random.integer(10) === 0) await peer.settled();
      if (random.integer(500) === 0) peer.connection.leave();
    }
    await peer.settled();
    if (peer.goodbye !== undefined && peer.goodbye.code !== 0) assert.ok(peer.isEnded);
    peer.cut();
    await peer.settled();
    assert.ok(peer.isClosed);
    for (const { stream, told } of peer.arrived) {
      assert.ok(stream.isClosed);
      assert.equal(told.filter((event) => event === 'close').length, 1);
      assert.ok(told.filter((event) => event === 'end').length <= 1);
    }
  }
});
