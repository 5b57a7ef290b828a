/**
 * gRPC calls, unary and server-streaming, over a Unix socket or TCP.
 *
 * The only file that imports `@grpc/grpc-js`, and it does so when the first channel is opened:
 * processes that never speak gRPC do not pay for it. A call ends by its answer, by `timeoutMs`
 * (required, because everything that can hang has a limit) or by the signal; failures are
 * `GrpcError`s that carry the code by name. Messages come encoded and go decoded by a `Method`.
 */
import type { CallOptions, Client, ServiceError } from '@grpc/grpc-js';
import type { Clock } from './clock.ts';

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
}

/** Largest message taken from a server: a list of some thousand containers fits. */
const messageBytesMax = 64 * 1024 * 1024;

export async function openGrpcChannel(
  deps: { readonly clock: Clock },
  /** `unix:///path/to/socket` or `host:port`, without TLS. */
  endpoint: string,
): Promise<GrpcChannel> {
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
    [Symbol.dispose]: () => client.close(),
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
