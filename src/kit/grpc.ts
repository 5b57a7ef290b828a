/**
 * gRPC calls, unary and server-streaming, over a Unix socket or TCP; and servers of such calls.
 *
 * The only file that imports `@grpc/grpc-js`, and it does so when the first channel is opened:
 * processes that never speak gRPC do not pay for it. A call ends by its answer, by `timeoutMs`
 * (required, because everything that can hang has a limit) or by the signal; failures are
 * `GrpcError`s that carry the code by name. Messages come encoded and go decoded by a `Method`.
 */
import type {
  CallOptions,
  Client,
  handleServerStreamingCall,
  handleUnaryCall,
  ServiceDefinition,
  ServiceError,
  UntypedServiceImplementation,
} from '@grpc/grpc-js';
import type { Clock } from './clock.ts';
import { messageOf } from './error-message.ts';

export interface Method<Request, Response> {
  /** `/package.Service/Method`. */
  readonly path: string;
  readonly encode: (request: Request) => Uint8Array;
  readonly decode: (bytes: Uint8Array) => Response;
}

export interface CallLimits {
  readonly signal: AbortSignal;
  readonly timeoutMs: number;
}

export class GrpcError extends Error {
  /** `NOT_FOUND`, `UNAVAILABLE`, … */
  readonly code: string;
  readonly path: string;

  constructor(path: string, code: string, detail: string, options?: ErrorOptions) {
    super(detail, options);
    this.name = 'GrpcError';
    this.path = path;
    this.code = code;
  }
}

export function isGrpcCode(error: unknown, ...codes: readonly string[]): boolean {
  return error instanceof GrpcError && codes.includes(error.code);
}

export interface GrpcChannel extends Disposable {
  unary<Request, Response>(
    method: Method<Request, Response>,
    request: Request,
    limits: CallLimits,
  ): Promise<Response>;
  /** Messages as they come; ends when the server ends, throws when the call fails. */
  stream<Request, Response>(
    method: Method<Request, Response>,
    request: Request,
    options: { readonly signal: AbortSignal },
  ): AsyncIterable<Response>;
  /** Connects, and again whenever the connection is lost, and says each time which it is. */
  watchConnection(onChange: (isConnected: boolean) => void): void;
}

/** One method of a server: an answer, or a stream of them. */
export type Served = {
  /** `/package.Service/Method`. */
  readonly path: string;
  readonly decode: (bytes: Uint8Array) => unknown;
  readonly encode: (response: unknown) => Uint8Array;
} & (
  | { readonly answer: (request: unknown) => Promise<unknown> }
  | { readonly stream: (request: unknown, signal: AbortSignal) => AsyncIterable<unknown> }
);

/** Largest message taken from a server: a list of some thousand containers fits. */
const messageBytesMax = 64 * 1024 * 1024;

/** What the kernel takes for a socket's path. */
const pathBytesMax = 107;

/** The system's own words for it are those for any wrong argument. */
function checkPath(endpoint: string): void {
  const path = endpoint.startsWith('unix://') ? endpoint.slice('unix://'.length) : '';
  const bytes = Buffer.byteLength(path);
  if (bytes <= pathBytesMax) return;
  throw new Error(`a socket's path has ${pathBytesMax} bytes at most, and ${bytes} has ${path}`);
}

export async function openGrpcChannel(
  deps: { readonly clock: Clock },
  /** `unix:///path/to/socket` or `host:port`, without TLS. */
  endpoint: string,
): Promise<GrpcChannel> {
  checkPath(endpoint);
  const grpc = await import('@grpc/grpc-js');
  const client = new grpc.Client(endpoint, grpc.credentials.createInsecure(), {
    'grpc.max_receive_message_length': messageBytesMax,
    'grpc.max_send_message_length': messageBytesMax,
    'grpc.initial_reconnect_backoff_ms': 100,
    'grpc.max_reconnect_backoff_ms': 1000,
  });
  const codeName = (code: number): string => grpc.status[code] ?? String(code);
  const failure = (path: string, error: ServiceError): GrpcError =>
    new GrpcError(path, codeName(error.code), error.details || error.message, { cause: error });
  return {
    unary: (method, request, limits) => callUnary(deps, client, method, request, limits, failure),
    stream: (method, request, { signal }) => callStream(client, method, request, signal, failure),
    watchConnection: (onChange) => {
      const channel = client.getChannel();
      const look = (): void => {
        const state = channel.getConnectivityState(true);
        onChange(state === grpc.connectivityState.READY);
        channel.watchConnectivityState(state, Number.POSITIVE_INFINITY, (error) => {
          // An error: the channel was closed.
          if (error === undefined) look();
        });
      };
      look();
    },
    [Symbol.dispose]: () => client.close(),
  };
}

/** Serves until disposed. A `GrpcError` keeps its code, anything else thrown is `UNKNOWN`. */
export async function serveGrpc(
  /** `unix:///path/to/socket`. */
  endpoint: string,
  methods: readonly Served[],
): Promise<Disposable> {
  checkPath(endpoint);
  const grpc = await import('@grpc/grpc-js');
  const server = new grpc.Server({ 'grpc.max_receive_message_length': messageBytesMax });
  const definition: Record<string, ServiceDefinition[string]> = {};
  const implementation: UntypedServiceImplementation = {};
  const statusOf = (error: unknown): Failed => {
    const name = error instanceof GrpcError ? error.code : 'UNKNOWN';
    const found = Object.entries(grpc.status).find(([key]) => key === name)?.[1];
    const code = typeof found === 'number' ? found : grpc.status.UNKNOWN;
    return { code, details: messageOf(error) };
  };
  for (const method of methods) {
    definition[method.path] = {
      path: method.path,
      requestStream: false,
      responseStream: 'stream' in method,
      requestSerialize: () => Buffer.alloc(0),
      requestDeserialize: method.decode,
      responseSerialize: (value: unknown) => Buffer.from(method.encode(value)),
      responseDeserialize: () => undefined,
    };
    implementation[method.path] =
      'stream' in method ? streaming(method.stream, statusOf) : unary(method.answer, statusOf);
  }
  server.addService(definition, implementation);
  await new Promise<void>((resolve, reject) => {
    server.bindAsync(endpoint, grpc.ServerCredentials.createInsecure(), (error) => {
      if (error === null) resolve();
      else reject(error);
    });
  });
  return { [Symbol.dispose]: () => server.forceShutdown() };
}

interface Failed {
  readonly code: number;
  readonly details: string;
}

type StatusOf = (error: unknown) => Failed;

function unary(
  answer: (request: unknown) => Promise<unknown>,
  statusOf: StatusOf,
): handleUnaryCall<unknown, unknown> {
  return (call, callback) => {
    answer(call.request).then(
      (response) => callback(null, response),
      (error: unknown) => callback(statusOf(error)),
    );
  };
}

function streaming(
  stream: (request: unknown, signal: AbortSignal) => AsyncIterable<unknown>,
  statusOf: StatusOf,
): handleServerStreamingCall<unknown, unknown> {
  return (call) => {
    const ending = new AbortController();
    call.on('cancelled', () => ending.abort(new Error('the caller went away')));
    const send = async (): Promise<void> => {
      for await (const message of stream(call.request, ending.signal)) {
        if (ending.signal.aborted) return;
        call.write(message);
      }
    };
    send().then(
      () => call.end(),
      (error: unknown) => {
        if (!ending.signal.aborted) call.emit('error', statusOf(error));
      },
    );
  };
}

type Failure = (path: string, error: ServiceError) => GrpcError;

function callUnary<Request, Response>(
  deps: { readonly clock: Clock },
  client: Client,
  method: Method<Request, Response>,
  request: Request,
  { signal, timeoutMs }: CallLimits,
  failure: Failure,
): Promise<Response> {
  return new Promise((resolve, reject) => {
    if (signal.aborted) {
      reject(signal.reason);
      return;
    }
    const finish = (settle: () => void): void => {
      cancelTimer();
      signal.removeEventListener('abort', onAbort);
      settle();
    };
    const call = client.makeUnaryRequest(
      method.path,
      (value: Request) => Buffer.from(method.encode(value)),
      method.decode,
      request,
      (error, response) => {
        finish(() => {
          if (error !== null) reject(failure(method.path, error));
          else if (response === undefined) reject(emptyAnswer(method.path));
          else resolve(response);
        });
      },
    );
    const onAbort = (): void => {
      finish(() => reject(signal.reason));
      call.cancel();
    };
    const cancelTimer = deps.clock.after(timeoutMs, () => {
      const text = `no answer within ${timeoutMs} ms`;
      finish(() => reject(new GrpcError(method.path, 'DEADLINE_EXCEEDED', text)));
      call.cancel();
    });
    signal.addEventListener('abort', onAbort, { once: true });
  });
}

function emptyAnswer(path: string): GrpcError {
  return new GrpcError(path, 'INTERNAL', 'the answer had no message');
}

async function* callStream<Request, Response>(
  client: Client,
  method: Method<Request, Response>,
  request: Request,
  signal: AbortSignal,
  failure: Failure,
): AsyncIterable<Response> {
  signal.throwIfAborted();
  const options: CallOptions = {};
  const call = client.makeServerStreamRequest(
    method.path,
    (value: Request) => Buffer.from(method.encode(value)),
    method.decode,
    request,
    options,
  );
  const onAbort = (): void => call.cancel();
  signal.addEventListener('abort', onAbort, { once: true });
  try {
    // The stream yields what `decode` made; its own type does not say so.
    for await (const message of call) yield message as Response;
  } catch (error) {
    signal.throwIfAborted();
    // grpc-js rejects streams with ServiceError only.
    throw failure(method.path, error as ServiceError);
  } finally {
    signal.removeEventListener('abort', onAbort);
    call.cancel();
  }
}
