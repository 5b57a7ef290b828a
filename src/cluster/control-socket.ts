/**
 * How `coracle down`, `status` and a second `up` talk to a running cluster: one JSON request and
 * one JSON answer over a Unix socket in the data dir. Whoever can listen there is the running one,
 * so there is no pid file that could lie after a crash.
 */
import { rmSync } from 'node:fs';
import { createConnection, createServer, type Server, type Socket } from 'node:net';
import { join } from 'node:path';
import type { Clock } from '#kit/clock.ts';
import { messageOf } from '#kit/error-message.ts';

export interface ClusterStatus {
  readonly version: string;
  readonly pid: number;
  readonly startedAt: string;
  readonly server: string;
  readonly components: readonly ComponentStatus[];
}

export interface ComponentStatus {
  readonly name: string;
  readonly state: 'starting' | 'ready' | 'failed';
  readonly detail: string;
}

export type ControlRequest =
  | { readonly do: 'status' }
  /** Copies the store to a file; answered when the copy is whole. */
  | { readonly do: 'backup'; readonly file: string }
  /** A value as it is kept, in base64. */
  | { readonly do: 'stored'; readonly key: string }
  /** Removes a value that cannot be read; no other. */
  | { readonly do: 'removeUnreadable'; readonly key: string }
  /** Answered when the cluster has stopped. */
  | { readonly do: 'stop'; readonly leavePods: boolean };

const limits = {
  requestBytesMax: 8192,
  answerMs: 5_000,
  stopMs: 300_000,
  backupMs: 1_800_000,
} as const;

/** How long an answer may take. */
function limitOf(request: ControlRequest): number {
  if (request.do === 'stop') return limits.stopMs;
  return request.do === 'backup' ? limits.backupMs : limits.answerMs;
}

function controlSocketPath(dataDir: string): string {
  return join(dataDir, 'control.sock');
}

/** Listens; undefined when another process already does. */
export async function openControlSocket(
  dataDir: string,
  answer: (request: ControlRequest) => Promise<unknown>,
): Promise<AsyncDisposable | undefined> {
  const path = controlSocketPath(dataDir);
  for (let attempt = 0; attempt < 2; attempt++) {
    const server = await listen(path, answer);
    if (server !== undefined) {
      return {
        [Symbol.asyncDispose]: () => new Promise((resolve) => server.close(() => resolve())),
      };
    }
    if (await isListening(path)) return undefined;
    // Left behind by a process that was killed.
    rmSync(path, { force: true });
  }
  return undefined;
}

/**
 * Sends one request; undefined when no cluster runs from this data dir. What the cluster could not
 * do is thrown.
 */
export async function askCluster(
  clock: Clock,
  dataDir: string,
  request: ControlRequest,
): Promise<unknown | undefined> {
  const socket = createConnection(controlSocketPath(dataDir));
  const limitMs = limitOf(request);
  const cancel = clock.after(limitMs, () =>
    socket.destroy(new Error(`the running cluster did not answer within ${limitMs / 1000} s`)),
  );
  try {
    return await exchange(socket, request);
  } finally {
    cancel();
    socket.destroy();
  }
}

function exchange(socket: Socket, request: ControlRequest): Promise<unknown | undefined> {
  return new Promise((resolve, reject) => {
    let text = '';
    socket.once('connect', () => socket.write(`${JSON.stringify(request)}\n`));
    socket.on('data', (chunk) => {
      text += chunk.toString('utf8');
    });
    socket.once('end', () => {
      const answer = text === '' ? undefined : JSON.parse(text);
      if (typeof answer?.failed === 'string') reject(new Error(answer.failed));
      else resolve(answer);
    });
    socket.once('error', (error: NodeJS.ErrnoException) => {
      if (error.code === 'ENOENT' || error.code === 'ECONNREFUSED') resolve(undefined);
      else reject(error);
    });
  });
}

function listen(
  path: string,
  answer: (request: ControlRequest) => Promise<unknown>,
): Promise<Server | undefined> {
  const server = createServer((socket) => {
    let text = '';
    socket.on('error', () => socket.destroy());
    socket.on('data', (chunk) => {
      text += chunk.toString('utf8');
      if (text.length > limits.requestBytesMax) socket.destroy();
      if (!text.endsWith('\n')) return;
      answer(JSON.parse(text)).then(
        (value) => socket.end(JSON.stringify(value)),
        (error: unknown) => {
          const failed = messageOf(error);
          socket.end(JSON.stringify({ failed }));
        },
      );
    });
  });
  return new Promise((resolve, reject) => {
    server.once('error', (error: NodeJS.ErrnoException) => {
      if (error.code === 'EADDRINUSE') resolve(undefined);
      else reject(error);
    });
    server.listen(path, () => resolve(server));
  });
}

function isListening(path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = createConnection(path);
    socket.once('connect', () => {
      socket.destroy();
      resolve(true);
    });
    socket.once('error', () => resolve(false));
  });
}
