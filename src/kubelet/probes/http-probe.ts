/**
 * HTTP and TCP requests of probes and lifecycle hooks.
 *
 * A connection per try, no keep-alive, certificates unchecked (a probe asks whether somebody is
 * there, not who), the body unread: the status decides.
 */
import { connect } from 'node:net';
import type { Clock } from '#kit/clock.ts';
import { httpRequest, httpsRequest } from '#kit/http-request.ts';
import type { HTTPGetAction } from '#resources/types/core-v1.ts';

export interface ProbeResult {
  readonly result: 'success' | 'failure' | 'unknown';
  readonly message: string;
}

export interface ProbeLimits {
  readonly clock: Clock;
  readonly timeoutMs: number;
  readonly signal: AbortSignal;
}

export interface HttpTarget {
  readonly host: string;
  readonly port: number;
}

export function httpProbe(
  action: HTTPGetAction,
  { host, port }: HttpTarget,
  { clock, timeoutMs, signal }: ProbeLimits,
): Promise<ProbeResult> {
  const secure = action.scheme === 'HTTPS';
  const path = action.path === undefined || action.path === '' ? '/' : action.path;
  const url = `${secure ? 'https' : 'http'}://${host.includes(':') ? `[${host}]` : host}:${port}`;
  return new Promise((resolve) => {
    const finish = (result: ProbeResult['result'], message: string): void => {
      cancelTimer();
      signal.removeEventListener('abort', onAbort);
      resolve({ result, message });
      request.destroy();
    };
    const options = {
      host,
      port,
      path: path.startsWith('/') ? path : `/${path}`,
      method: 'GET',
      agent: false,
      headers: probeHeaders(action),
      rejectUnauthorized: false,
    };
    const request = (secure ? httpsRequest : httpRequest)(options, (response) => {
      const status = response.statusCode ?? 0;
      if (status >= 200 && status < 400) {
        finish('success', '');
        return;
      }
      // The body may be long or never end; the status has decided already.
      finish('failure', `HTTP probe failed with statuscode: ${status}`);
    });
    request.on('error', (error) => {
      finish('failure', `Get "${url}${options.path}": ${dialText(error, host, port)}`);
    });
    const onAbort = (): void => finish('unknown', 'the probe was cancelled');
    const cancelTimer = clock.after(timeoutMs, () => {
      const text = 'context deadline exceeded (Client.Timeout exceeded while awaiting headers)';
      finish('failure', `Get "${url}${options.path}": ${text}`);
    });
    signal.addEventListener('abort', onAbort, { once: true });
    request.end();
  });
}

function probeHeaders(action: HTTPGetAction): Readonly<Record<string, string | string[]>> {
  const headers: Record<string, string | string[]> = {
    'user-agent': 'kube-probe/1.36',
    accept: '*/*',
    connection: 'close',
  };
  const given = new Map<string, string[]>();
  for (const { name, value } of action.httpHeaders ?? []) {
    const key = name.toLowerCase();
    given.set(key, [...(given.get(key) ?? []), value]);
  }
  for (const [key, values] of given) headers[key] = values.length === 1 ? values.join() : values;
  return headers;
}

/** As Go says it, because people search for these words. */
function dialText(error: NodeJS.ErrnoException, host: string, port: number): string {
  const where = `dial tcp ${host.includes(':') ? `[${host}]` : host}:${port}`;
  if (error.code === 'ECONNREFUSED') return `${where}: connect: connection refused`;
  if (error.code === 'EHOSTUNREACH') return `${where}: connect: no route to host`;
  return error.code === 'ECONNRESET' ? 'EOF' : error.message;
}

export function tcpProbe(
  { host, port }: HttpTarget,
  { clock, timeoutMs, signal }: ProbeLimits,
): Promise<ProbeResult> {
  return new Promise((resolve) => {
    const finish = (result: ProbeResult['result'], message: string): void => {
      cancelTimer();
      signal.removeEventListener('abort', onAbort);
      socket.destroy();
      resolve({ result, message });
    };
    const socket = connect({ host, port }, () => finish('success', ''));
    socket.on('error', (error) => finish('failure', dialText(error, host, port)));
    const onAbort = (): void => finish('unknown', 'the probe was cancelled');
    const cancelTimer = clock.after(timeoutMs, () =>
      finish('failure', `dial tcp ${host}:${port}: i/o timeout`),
    );
    signal.addEventListener('abort', onAbort, { once: true });
  });
}
