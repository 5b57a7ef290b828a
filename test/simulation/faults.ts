/**
 * A transport that behaves like a network: requests take time, get lost before or after they were
 * carried out, arrive long after the sender gave up, or twice; watches break off.
 *
 * Every chance comes from the seeded random, every delay from the virtual clock. Latency is always
 * there, and differs from request to request, so deliveries overtake one another as they do between
 * threads; the faults themselves can be switched off, which is when a cluster has to converge.
 */
import type { Clock } from '#kit/clock.ts';
import type { Random } from '#kit/random.ts';
import type { Scope } from '#kit/scope.ts';
import type { PlainRequest, PlainResponse, Transport } from '#kit/transport.ts';

/** Chances per request, each between 0 and 1. */
export interface FaultRates {
  /** Never carried out; the sender hears of a lost connection, or nothing at all. */
  readonly lose: number;
  /** Carried out; the sender hears of a lost connection. */
  readonly loseAnswer: number;
  /** The sender hears of a lost connection, and only later is it carried out. */
  readonly late: number;
  /** Takes up to seconds instead of milliseconds. */
  readonly delay: number;
  /** Carried out twice. */
  readonly repeat: number;
  /** A watch ends in the middle within a minute. */
  readonly breakWatch: number;
  /** Per part of a watch that it waits for up to seconds, and with it all that comes after. */
  readonly stallWatch: number;
  /** A write is carried out, and its sender dies before it hears of it. */
  readonly die: number;
}

export const noFaults: FaultRates = {
  lose: 0,
  loseAnswer: 0,
  late: 0,
  delay: 0,
  repeat: 0,
  breakWatch: 0,
  stallWatch: 0,
  die: 0,
};

export interface FaultDeps {
  readonly clock: Clock;
  readonly random: Random;
  /** Owns what is carried out after its sender gave up. */
  readonly scope: Scope;
  readonly areOn: () => boolean;
  readonly note: (text: string) => void;
  readonly onFault: (fault: keyof FaultRates, request: PlainRequest) => void;
  /** The sender's process ends. */
  readonly onDeath: () => void;
  /** Of each request as it reaches the server in the sender's own time. */
  readonly onSend: (request: PlainRequest) => void;
}

export class ConnectionLost extends Error {
  override readonly name = 'ConnectionLost';
}

const delayMsMax = 5_000;
const breakMsMax = 60_000;

export class FaultyTransport implements Transport {
  readonly #deps: FaultDeps;
  readonly #inner: Transport;
  readonly #rates: FaultRates;

  constructor(deps: FaultDeps, inner: Transport, rates: FaultRates) {
    this.#deps = deps;
    this.#inner = inner;
    this.#rates = rates;
  }

  async send(
    request: PlainRequest,
    { signal }: { readonly signal: AbortSignal },
  ): Promise<PlainResponse> {
    const rates = this.#deps.areOn() ? this.#rates : noFaults;
    await this.#latency(signal);
    if (/[?&]watch=(1|true)/.test(request.path)) return this.#watch(request, signal, rates);
    switch (this.#draw(rates, request)) {
      case 'lose':
        this.#note('lost', request);
        await this.#silence(signal);
        throw new ConnectionLost('connection reset before the request was carried out');
      case 'loseAnswer':
        this.#note('answer lost', request);
        await this.#carryOut(request, signal);
        throw new ConnectionLost('connection reset before the answer came');
      case 'late':
        this.#note('late', request);
        this.#carryOutLater(request);
        throw new ConnectionLost('connection reset');
      case 'delay':
        await this.#wait(delayMsMax, signal);
        break;
      case 'repeat':
        this.#note('repeated', request);
        await this.#carryOut(request, signal);
        break;
      case 'die':
        this.#note('sender dies', request);
        await this.#carryOut(request, signal);
        this.#deps.onDeath();
        throw new ConnectionLost('the sender is dead');
      case undefined:
        break;
    }
    this.#deps.onSend(request);
    const response = await this.#inner.send(request, { signal });
    await this.#latency(signal);
    return response;
  }

  #draw(
    rates: FaultRates,
    request: PlainRequest,
  ): Exclude<keyof FaultRates, 'breakWatch' | 'stallWatch'> | undefined {
    let chance = this.#deps.random.fraction();
    for (const fault of ['lose', 'loseAnswer', 'late', 'delay', 'repeat', 'die'] as const) {
      if (chance < rates[fault]) {
        if (fault === 'die' && request.method === 'GET') return undefined;
        this.#deps.onFault(fault, request);
        return fault;
      }
      chance -= rates[fault];
    }
    return undefined;
  }

  async #watch(
    request: PlainRequest,
    signal: AbortSignal,
    rates: FaultRates,
  ): Promise<PlainResponse> {
    const { clock, random } = this.#deps;
    const connection = new AbortController();
    const onAbort = (): void => connection.abort(signal.reason);
    signal.addEventListener('abort', onAbort, { once: true });
    const breaks = random.fraction() < rates.breakWatch;
    const cancel = breaks
      ? clock.after(random.integer(breakMsMax), () => {
          this.#note('broken off', request);
          this.#deps.onFault('breakWatch', request);
          connection.abort(new ConnectionLost('connection reset'));
        })
      : (): void => {};
    const release = (): void => {
      cancel();
      signal.removeEventListener('abort', onAbort);
    };
    try {
      const response = await this.#inner.send(request, { signal: connection.signal });
      return {
        ...response,
        body: this.#slowly(request, response.body, connection.signal, release),
      };
    } catch (error) {
      release();
      throw error;
    }
  }

  async *#slowly(
    request: PlainRequest,
    body: PlainResponse['body'],
    signal: AbortSignal,
    release: () => void,
  ): AsyncGenerator<Uint8Array> {
    try {
      for await (const part of body instanceof Uint8Array ? [body] : body) {
        await this.#latency(signal);
        await this.#stall(request, signal);
        yield part;
      }
    } finally {
      release();
    }
  }

  /** As where a program that listens is kept from its processor, or its network is crowded. */
  async #stall(request: PlainRequest, signal: AbortSignal): Promise<void> {
    const { areOn, random, onFault } = this.#deps;
    if (!areOn() || random.fraction() >= this.#rates.stallWatch) return;
    this.#note('stalled', request);
    onFault('stallWatch', request);
    await this.#wait(delayMsMax, signal);
  }

  async #carryOut(request: PlainRequest, signal: AbortSignal): Promise<void> {
    const { body } = await this.#inner.send(request, { signal });
    if (body instanceof Uint8Array) return;
    for await (const _ of body) signal.throwIfAborted();
  }

  #carryOutLater(request: PlainRequest): void {
    this.#deps.scope.spawn(async (signal) => {
      await this.#wait(delayMsMax, signal);
      try {
        await this.#carryOut(request, signal);
      } catch (error) {
        signal.throwIfAborted();
        // The server went away meanwhile: then it is lost after all.
        if (!(error instanceof ConnectionLost)) throw error;
      }
    });
  }

  /** Mostly a lost connection is noticed; now and then only the sender's own limit ends it. */
  async #silence(signal: AbortSignal): Promise<void> {
    if (this.#deps.random.fraction() < 0.9) return this.#wait(delayMsMax, signal);
    return this.#deps.clock.sleep(10 * 60_000, { signal });
  }

  async #latency(signal: AbortSignal): Promise<void> {
    const delayMs = this.#deps.random.integer(4);
    if (delayMs > 0) await this.#deps.clock.sleep(delayMs, { signal });
    else signal.throwIfAborted();
  }

  #wait(delayMsBelow: number, signal: AbortSignal): Promise<void> {
    return this.#deps.clock.sleep(this.#deps.random.integer(delayMsBelow), { signal });
  }

  #note(what: string, { method, path }: PlainRequest): void {
    this.#deps.note(`fault: ${what}: ${method} ${path}`);
  }
}
