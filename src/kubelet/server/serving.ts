/**
 * How a node's server may be told to serve: TLS, what is switched off, streams that rest, and a
 * second port without TLS that tells figures to everybody. Upstream's fields of a
 * `KubeletConfiguration`; what is not said is as upstream has it. `server.ts` acts on it.
 */
import type { IncomingMessage, ServerResponse } from 'node:http';
import { aborted } from '#kit/aborted.ts';
import { createHttpServer } from '#kit/http-request.ts';
import type { AccessOptions } from './access.ts';
import { readAddress } from './address.ts';

export interface Serving {
  readonly access?: Partial<AccessOptions> | undefined;
  /** As Node names them. */
  readonly tls?: TlsOptions | undefined;
  /** False: no logs, exec, attach, port-forward and run. */
  readonly debugging?: boolean | undefined;
  /** False: no files of `/var/log`. */
  readonly systemLogs?: boolean | undefined;
  /** True: what services of the machine log is told to who asks for it. */
  readonly logQueries?: boolean | undefined;
  /** A stream on which nothing moves for so long is ended. */
  readonly streamIdleMs?: number | undefined;
  /** Without TLS and without asking who it is; 0: none. */
  readonly readOnlyPort?: number | undefined;
}

export interface TlsOptions {
  readonly minVersion?: 'TLSv1' | 'TLSv1.1' | 'TLSv1.2' | 'TLSv1.3' | undefined;
  /** With colons between. */
  readonly ciphers?: string | undefined;
  readonly ecdhCurve?: string | undefined;
}

export const streamIdleMsDefault = 4 * 3_600_000;

const debugPaths = new Set([
  ...['run', 'exec', 'attach', 'portForward', 'containerLogs', 'runningpods', 'logs', 'debug'],
]);
const readOnlyPaths = /^\/(healthz(\/\w+)?|pods|stats(\/\w+)?|metrics(\/\w+)?)\/?$/;

/** What is said for what is switched off; undefined: it is not. */
export function switchedOff({ debugging, systemLogs }: Serving, path: string): string | undefined {
  const first = path.split('/')[1] ?? '';
  if (debugging === false && debugPaths.has(first)) return 'Debug endpoints are disabled.\n';
  return systemLogs === false && first === 'logs' ? 'logs endpoint is disabled.\n' : undefined;
}

/** Serves what `answer` says, for the paths that tell figures; undefined: no such port. */
export async function serveReadOnly(
  { host, port }: { readonly host: string; readonly port: number },
  answer: (request: IncomingMessage, response: ServerResponse) => void,
): Promise<((signal: AbortSignal) => Promise<void>) | undefined> {
  if (port === 0) return undefined;
  const server = createHttpServer((request, response) => {
    const path = readAddress(request)?.path;
    if (path === undefined || readOnlyPaths.test(path)) {
      answer(request, response);
      return;
    }
    const off = switchedOff({ debugging: false }, path);
    response.writeHead(off === undefined ? 404 : 405, { 'content-type': 'text/plain' });
    response.end(off ?? '404 page not found\n');
  });
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(port, host, resolve);
  });
  return async (signal) => {
    await aborted(signal);
    server.closeAllConnections();
    await new Promise<void>((resolve) => server.close(() => resolve()));
  };
}
