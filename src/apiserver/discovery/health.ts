/**
 * `/healthz`, `/livez`, `/readyz`: one list of named checks, each of which can be asked alone
 * (`/readyz/ping`), left out (`?exclude=ping`) or listed (`?verbose`).
 *
 * When the server closes, `shutdown` makes readyz fail first, so that nobody new is sent here.
 */
import type { ServerResponse } from '../request.ts';

export interface HealthCheck {
  readonly name: string;
  /** Readiness may fail while the server is alive. */
  readonly only?: 'readyz';
  /** What a new start would not mend. */
  readonly except?: 'livez';
  readonly isHealthy: () => boolean;
}

export class Health {
  readonly #checks: readonly HealthCheck[];

  constructor(checks: readonly HealthCheck[]) {
    this.#checks = [{ name: 'ping', isHealthy: () => true }, ...checks];
  }

  /** Undefined when there is no such check. */
  answer(path: string, query: URLSearchParams): ServerResponse | undefined {
    const [, endpoint = '', ...rest] = path.split('/');
    const checks = this.#checks.filter(
      ({ only, except }) => (only === undefined || only === endpoint) && except !== endpoint,
    );
    const name = rest.join('/');
    if (name === '') return report(endpoint, checks, query);
    const found = checks.filter((check) => check.name === name);
    return found.length === 0 ? undefined : report(endpoint, found, query);
  }
}

function report(
  endpoint: string,
  checks: readonly HealthCheck[],
  query: URLSearchParams,
): ServerResponse {
  const excluded = new Set(query.getAll('exclude').filter((name) => name !== ''));
  const lines: string[] = [];
  let healthy = true;
  for (const { name, isHealthy } of checks) {
    if (excluded.delete(name)) {
      lines.push(`[+]${name} excluded: ok`);
      continue;
    }
    const good = isHealthy();
    healthy &&= good;
    lines.push(good ? `[+]${name} ok` : `[-]${name} failed: reason withheld`);
  }
  if (excluded.size > 0) {
    const names = [...excluded].map((name) => JSON.stringify(name)).join(', ');
    lines.push(`warn: some health checks cannot be excluded: no matches for ${names}`);
  }
  if (!healthy) return text(500, `${lines.join('\n')}\n${endpoint} check failed\n`);
  if (!query.has('verbose')) return text(200, 'ok');
  return text(200, `${lines.join('\n')}\n${endpoint} check passed\n`);
}

function text(status: number, body: string): ServerResponse {
  return {
    status,
    headers: {
      'content-type': 'text/plain; charset=utf-8',
      'x-content-type-options': 'nosniff',
    },
    body: Buffer.from(body),
  };
}
