/**
 * A connection to a bus of D-Bus, as who this process is: calls with answers, and signals.
 *
 * `openDBus` finds out who we are to the bus (`AUTH EXTERNAL`: the kernel tells it our user), says
 * hello, and from then on answers are told apart by serial numbers. A peer that is no bus, as
 * systemd's own socket, is spoken to without the hello. Messages: `dbus-message.ts`. The kubelet
 * asks systemd for slices with it.
 */
import { connect, type Socket } from 'node:net';
import type { Clock } from './clock.ts';
import { type DBusMessage, type DBusValue, decodeMessage, encodeMessage } from './dbus-message.ts';

export interface DBusCall {
  readonly destination: string;
  readonly path: string;
  readonly interface: string;
  readonly member: string;
  /** Of the values: `ssa(sv)`. */
  readonly signature?: string;
  readonly body?: readonly DBusValue[];
}

export interface DBus extends Disposable {
  /** What the other side answers; throws `DBusError` with what it refuses. */
  call(call: DBusCall, options: { readonly signal: AbortSignal }): Promise<readonly DBusValue[]>;
  readonly isClosed: boolean;
}

export interface DBusOptions {
  readonly socketPath: string;
  /** Behind the socket is a bus, not a single peer. */
  readonly isBus: boolean;
  readonly userId: number;
  readonly onSignal: (message: DBusMessage) => void;
  readonly signal: AbortSignal;
}

export class DBusError extends Error {
  /** As `org.freedesktop.systemd1.NoSuchUnit`. */
  readonly errorName: string;

  constructor(errorName: string, text: string) {
    super(text === '' ? errorName : text);
    this.errorName = errorName;
  }
}

export const limits = { callMs: 30_000, greetingBytes: 4096 } as const;

const bus = {
  destination: 'org.freedesktop.DBus',
  path: '/org/freedesktop/DBus',
  interface: 'org.freedesktop.DBus',
} as const;

export async function openDBus(
  { clock }: { readonly clock: Clock },
  options: DBusOptions,
): Promise<DBus> {
  const socket = await connected(options);
  const rest = await authenticate(socket, options, clock);
  const connection = new Connection(clock, socket, options.onSignal);
  try {
    connection.receive(rest);
    if (options.isBus) await connection.call({ ...bus, member: 'Hello' }, options);
    return connection;
  } catch (error) {
    connection[Symbol.dispose]();
    throw error;
  }
}

/** To be told signals of somebody: `type='signal',sender='…'`. */
export async function addMatch(
  connection: DBus,
  rule: string,
  options: { readonly signal: AbortSignal },
): Promise<void> {
  await connection.call({ ...bus, member: 'AddMatch', signature: 's', body: [rule] }, options);
}

function connected({ socketPath, signal }: DBusOptions): Promise<Socket> {
  return new Promise((resolve, reject) => {
    signal.throwIfAborted();
    const socket = connect(socketPath);
    const abort = (): void => {
      socket.destroy();
      reject(signal.reason);
    };
    const fail = (error: Error): void => {
      signal.removeEventListener('abort', abort);
      reject(error);
    };
    signal.addEventListener('abort', abort, { once: true });
    socket.once('error', fail);
    socket.once('connect', () => {
      signal.removeEventListener('abort', abort);
      socket.off('error', fail);
      resolve(socket);
    });
  });
}

/** One line each way; what comes after the answer belongs to messages. */
function authenticate(
  socket: Socket,
  { userId, signal }: DBusOptions,
  clock: Clock,
): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    let received = Buffer.alloc(0);
    const end = (): void => {
      late();
      signal.removeEventListener('abort', abort);
      socket.off('data', read).off('close', closed).off('error', closed);
    };
    const refuse = (error: unknown): void => {
      end();
      // One that breaks while it is given up has nobody else to tell.
      socket.on('error', () => {}).destroy();
      reject(error);
    };
    const fail = (why: string): void => refuse(new Error(`the bus does not let us in: ${why}`));
    const abort = (): void => refuse(signal.reason);
    const late = clock.after(limits.callMs, () => fail('no answer'));
    const closed = (): void => fail('it has closed the connection');
    const read = (bytes: Buffer): void => {
      received = Buffer.concat([received, bytes]);
      const length = received.indexOf('\r\n');
      if (length < 0 && received.length < limits.greetingBytes) return;
      const answer = received.subarray(0, Math.max(length, 0)).toString('latin1');
      if (!answer.startsWith('OK ')) {
        fail(answer);
        return;
      }
      end();
      socket.write('BEGIN\r\n');
      resolve(received.subarray(length + 2));
    };
    signal.addEventListener('abort', abort, { once: true });
    socket.on('data', read).once('close', closed).once('error', closed);
    socket.write(`\0AUTH EXTERNAL ${Buffer.from(String(userId)).toString('hex')}\r\n`);
  });
}

interface Waiting {
  readonly resolve: (body: readonly DBusValue[]) => void;
  readonly reject: (error: unknown) => void;
}

class Connection implements DBus {
  readonly #clock: Clock;
  readonly #socket: Socket;
  readonly #onSignal: DBusOptions['onSignal'];
  /** By the serial number of the call. */
  readonly #waiting = new Map<number, Waiting>();
  #received: Buffer = Buffer.alloc(0);
  #serial = 0;
  isClosed = false;

  constructor(clock: Clock, socket: Socket, onSignal: DBusOptions['onSignal']) {
    this.#clock = clock;
    this.#socket = socket;
    this.#onSignal = onSignal;
    socket.on('data', (bytes: Buffer) => this.receive(bytes));
    socket.on('error', (error) => this.#close(error));
    socket.on('close', () => this.#close(new Error('the bus has closed the connection')));
    // It holds nobody up who wants to end.
    socket.unref();
  }

  async call(
    { signature, body = [], ...call }: DBusCall,
    { signal }: { readonly signal: AbortSignal },
  ): Promise<readonly DBusValue[]> {
    signal.throwIfAborted();
    if (this.isClosed) throw new Error('the connection to the bus is closed');
    const serial = ++this.#serial;
    const { promise, resolve, reject } = Promise.withResolvers<readonly DBusValue[]>();
    this.#waiting.set(serial, { resolve, reject });
    const late = this.#clock.after(limits.callMs, () =>
      reject(new Error(`${call.member}: no answer within ${limits.callMs / 1000} s`)),
    );
    const abort = (): void => reject(signal.reason);
    signal.addEventListener('abort', abort, { once: true });
    try {
      this.#socket.write(encodeMessage({ type: 'call', serial, ...call, signature, body }));
      return await promise;
    } finally {
      late();
      signal.removeEventListener('abort', abort);
      this.#waiting.delete(serial);
    }
  }

  receive(bytes: Buffer): void {
    this.#received = this.#received.length === 0 ? bytes : Buffer.concat([this.#received, bytes]);
    try {
      for (;;) {
        const decoded = decodeMessage(this.#received);
        if (decoded === undefined) return;
        this.#received = this.#received.subarray(decoded.length);
        this.#take(decoded.message);
      }
    } catch (error) {
      this.#socket.destroy();
      this.#close(error);
    }
  }

  #take(message: DBusMessage): void {
    if (message.type === 'signal') this.#onSignal(message);
    const waiting = this.#waiting.get(message.replySerial ?? 0);
    if (message.type === 'return') waiting?.resolve(message.body);
    if (message.type !== 'error') return;
    const [text] = message.body;
    const { errorName = '' } = message;
    waiting?.reject(new DBusError(errorName, typeof text === 'string' ? text : ''));
  }

  #close(error: unknown): void {
    this.isClosed = true;
    for (const { reject } of this.#waiting.values()) reject(error);
    this.#waiting.clear();
  }

  [Symbol.dispose](): void {
    this.#socket.destroy();
  }
}
