/**
 * HTTP and TCP requests of probes and lifecycle hooks.
 *
 * A connection per try, no keep-alive, certificates unchecked (a probe asks whether somebody is
 * there, not who), the body unread: the status decides. Redirects are followed on the same host;
 * one that leads elsewhere is a success with a warning.
 */
import { connect } from 'node:net';
import type { Readable } from 'node:stream';
import type { Clock } from '#kit/clock.ts';
import { httpRequest, httpsRequest } from '#kit/http-request.ts';
import type { HTTPGetAction } from '#resources/types/core-v1.ts';

const redirectsMax = 10;
const bodyCharactersMax = 10 * 1024;

export interface ProbeResult {
  /** Success with a warning: where somebody should look. */
  readonly result: 'success' | 'warning' | 'failure' | 'unknown';
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

/** Who asks, and what counts: a probe looks at the status, a hook only wants to be heard. */
export type Purpose = 'probe' | 'lifecycle';

interface Place extends HttpTarget {
  readonly secure: boolean;
  /** With what is asked, as on the request line. */
  readonly path: string;
}

interface Answer {
  readonly status: number;
  readonly location: string | undefined;
  /** Of a redirect, as far as it is told. */
  readonly body: string;
}

/** Redirects are followed on the same host: another one could be anything. */
export async function httpProbe(
  action: HTTPGetAction,
  { host, port }: HttpTarget,
  limits: ProbeLimits,
  purpose: Purpose = 'probe',
): Promise<ProbeResult> {
  const { path = '' } = action;
  const secure = action.scheme === 'HTTPS';
  let place: Place = { host, port, secure, path: path.startsWith('/') ? path : `/${path}` };
  const untilMs = limits.clock.monotonic() + limits.timeoutMs;
  for (let asked = 1; ; asked++) {
    const answer = await ask(place, headersFor(action, purpose), { ...limits, untilMs });
    if ('result' in answer) return answer;
    const next = redirectOf(place, answer);
    if (next === undefined || next.host !== host) return resultOf(answer, purpose);
    if (asked === redirectsMax) {
      return {
        result: 'failure',
        message: `Get "${answer.location}": stopped after ${redirectsMax} redirects`,
      };
    }
    place = next;
  }
}

function redirectOf({ secure, host, port, path }: Place, answer: Answer): Place | undefined {
  const { status, location } = answer;
  if (location === undefined || ![301, 302, 303, 307, 308].includes(status)) return undefined;
  const from = `${secure ? 'https' : 'http'}://${written(host)}:${port}${path}`;
  if (!URL.canParse(location, from)) return undefined;
  const url = new URL(location, from);
  const isSecure = url.protocol === 'https:';
  return {
    host: url.hostname.replace(/^\[|\]$/g, ''),
    port: url.port === '' ? (isSecure ? 443 : 80) : Number(url.port),
    secure: isSecure,
    path: url.pathname + url.search,
  };
}

function resultOf({ status, body }: Answer, purpose: Purpose): ProbeResult {
  if (purpose === 'lifecycle') return { result: 'success', message: '' };
  // The body may be long or never end; the status has decided already.
  if (status < 200 || status >= 400) {
    return { result: 'failure', message: `HTTP probe failed with statuscode: ${status}` };
  }
  if (status < 300) return { result: 'success', message: '' };
  return { result: 'warning', message: `Probe terminated redirects, Response body: ${body}` };
}

/** As it stands before a port. */
export function written(host: string): string {
  return host.includes(':') ? `[${host}]` : host;
}

/** One request; a result is that there was no answer. */
function ask(
  { secure, host, port, path }: Place,
  headers: Readonly<Record<string, string | string[]>>,
  { clock, untilMs, signal }: ProbeLimits & { readonly untilMs: number },
): Promise<Answer | ProbeResult> {
  const url = `${secure ? 'https' : 'http'}://${written(host)}:${port}`;
  return new Promise((resolve) => {
    const finish = (answer: Answer | ProbeResult): void => {
      cancelTimer();
      signal.removeEventListener('abort', onAbort);
      resolve(answer);
      request.destroy();
    };
    const fail = (text: string): void =>
      finish({ result: 'failure', message: `Get "${url}${path}": ${text}` });
    const options = {
      ...{ host, port, path, headers },
      method: 'GET',
      agent: false,
      rejectUnauthorized: false,
    };
    const request = (secure ? httpsRequest : httpRequest)(options, (response) => {
      const status = response.statusCode ?? 0;
      const { location } = response.headers;
      const end = (body: string): void => finish({ status, location, body });
      if (status >= 300 && status < 400) readStart(response, end);
      else end('');
    });
    request.on('error', (error) => fail(dialText(error, host, port)));
    const onAbort = (): void => finish({ result: 'unknown', message: 'the probe was cancelled' });
    const cancelTimer = clock.after(Math.max(untilMs - clock.monotonic(), 0), () =>
      fail('context deadline exceeded (Client.Timeout exceeded while awaiting headers)'),
    );
    signal.addEventListener('abort', onAbort, { once: true });
    request.end();
  });
}

/** Some kilobytes of a body that may never end. */
function readStart(response: Readable, end: (text: string) => void): void {
  let text = '';
  response.setEncoding('utf8');
  response.on('data', (part: string) => {
    text += part;
    if (text.length >= bodyCharactersMax) end(text.slice(0, bodyCharactersMax));
  });
  response.once('end', () => end(text));
}

function headersFor(
  action: HTTPGetAction,
  purpose: Purpose,
): Readonly<Record<string, string | string[]>> {
  const headers: Record<string, string | string[]> = {
    'user-agent': `kube-${purpose}/1.36`,
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

const plainAnswer = 'http: server gave HTTP response to HTTPS client';

export function isPlainAnswer({ result, message }: ProbeResult): boolean {
  return result === 'failure' && message.endsWith(plainAnswer);
}

/** As Go says it, because people search for these words. */
function dialText(error: NodeJS.ErrnoException, host: string, port: number): string {
  const where = `dial tcp ${written(host)}:${port}`;
  if (error.code === 'ECONNREFUSED') return `${where}: connect: connection refused`;
  if (error.code === 'EHOSTUNREACH') return `${where}: connect: no route to host`;
  if (error.code === 'ERR_SSL_WRONG_VERSION_NUMBER' || error.code === 'EPROTO') return plainAnswer;
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
      finish('failure', `dial tcp ${written(host)}:${port}: i/o timeout`),
    );
    signal.addEventListener('abort', onAbort, { once: true });
  });
}
