/**
 * Questions about the rest of the world, handed to the node's own name servers, one after the
 * other until one answers. Each question goes out from a port of its own with an id of its own,
 * and only an answer from the asked server with the same id and question counts.
 *
 * A name server that leads back to us (a node that uses cluster DNS itself) shows by our own
 * question coming in; `isOwn` recognises it, and `server.ts` answers with a failure instead of
 * going round.
 */
import { createSocket } from 'node:dgram';
import { connect, isIPv6 } from 'node:net';
import type { Clock } from '#kit/clock.ts';
import type { Random } from '#kit/random.ts';
import { AnswerCache } from './cache.ts';
import { formatQuestion, parseAnswer, type Query, type Question } from './wire.ts';

export interface Upstream {
  readonly address: string;
  readonly port: number;
}

export interface ForwarderOptions {
  readonly upstreams: readonly Upstream[];
  readonly timeoutMs: number;
  readonly concurrentMax: number;
}

export type Via = 'udp' | 'tcp';

export class Forwarder {
  readonly #deps: { readonly clock: Clock; readonly random: Random };
  readonly #options: ForwarderOptions;
  readonly #cache: AnswerCache;
  /** `id name type` of questions on their way. */
  readonly #asked = new Set<string>();

  constructor(deps: { readonly clock: Clock; readonly random: Random }, options: ForwarderOptions) {
    this.#deps = deps;
    this.#options = options;
    this.#cache = new AnswerCache(deps);
  }

  isOwn({ id, question }: Query): boolean {
    return this.#asked.has(mark(id, question));
  }

  /** The answer as it came, with an id of ours; undefined when nobody answered. */
  async ask(
    question: Question,
    options: { readonly via: Via; readonly signal: AbortSignal },
  ): Promise<Buffer | undefined> {
    const cached = this.#cache.get(question);
    if (cached !== undefined) return cached;
    if (this.#asked.size >= this.#options.concurrentMax) return undefined;
    const id = this.#deps.random.integer(65_536);
    const name = mark(id, question);
    if (this.#asked.has(name)) return undefined;
    this.#asked.add(name);
    try {
      for (const upstream of this.#options.upstreams) {
        const answer = await this.#askOne(upstream, id, question, options);
        if (answer === undefined) continue;
        this.#cache.put(question, answer);
        return answer;
      }
      return undefined;
    } finally {
      this.#asked.delete(name);
    }
  }

  #askOne(
    upstream: Upstream,
    id: number,
    question: Question,
    options: { readonly via: Via; readonly signal: AbortSignal },
  ): Promise<Buffer | undefined> {
    const request = formatQuestion(id, question);
    return new Promise((resolve) => {
      const channel = options.via === 'udp' ? openUdp : openTcp;
      const finish = (answer: Buffer | undefined): void => {
        cancel();
        options.signal.removeEventListener('abort', onAbort);
        close();
        resolve(answer);
      };
      const onAbort = (): void => finish(undefined);
      const cancel = this.#deps.clock.after(this.#options.timeoutMs, () => finish(undefined));
      options.signal.addEventListener('abort', onAbort, { once: true });
      const close = channel(upstream, request, {
        onMessage: (message) => {
          if (isAnswerTo(message, id, question)) finish(message);
        },
        onError: () => finish(undefined),
      });
    });
  }
}

interface ChannelEvents {
  readonly onMessage: (message: Buffer) => void;
  readonly onError: () => void;
}

/** Answers a function that closes it. */
function openUdp(upstream: Upstream, request: Buffer, events: ChannelEvents): () => void {
  const socket = createSocket(isIPv6(upstream.address) ? 'udp6' : 'udp4');
  let open = true;
  socket.on('message', events.onMessage);
  socket.on('error', events.onError);
  // Connected, the kernel drops what comes from anybody else.
  socket.connect(upstream.port, upstream.address, () => {
    if (open) socket.send(request);
  });
  return () => {
    if (open) socket.close();
    open = false;
  };
}

function openTcp(upstream: Upstream, request: Buffer, events: ChannelEvents): () => void {
  const socket = connect({ host: upstream.address, port: upstream.port });
  let received = Buffer.alloc(0);
  const length = Buffer.alloc(2);
  length.writeUInt16BE(request.length);
  socket.on('connect', () => socket.write(Buffer.concat([length, request])));
  socket.on('error', events.onError);
  socket.on('close', events.onError);
  socket.on('data', (chunk: Buffer) => {
    received = Buffer.concat([received, chunk]);
    if (received.length < 2) return;
    const end = 2 + received.readUInt16BE(0);
    if (received.length >= end) events.onMessage(received.subarray(2, end));
  });
  return () => socket.destroy();
}

function isAnswerTo(message: Buffer, id: number, question: Question): boolean {
  const answer = parseAnswer(message);
  if (answer === undefined || answer.id !== id) return false;
  return (
    answer.question.name === question.name &&
    answer.question.type === question.type &&
    answer.question.class === question.class
  );
}

function mark(id: number, { name, type }: Question): string {
  return `${id} ${name} ${type}`;
}

/** The name servers of a `resolv.conf`. */
export function parseUpstreams(text: string): readonly Upstream[] {
  return text.split('\n').flatMap((line) => {
    const address = /^\s*nameserver\s+([0-9a-fA-F.:]+)/.exec(line)?.[1];
    return address === undefined ? [] : [{ address, port: 53 }];
  });
}
