/**
 * `/healthz`, `/livez`, `/readyz`: one list of named checks, each of which can be asked alone
 * (`/readyz/ping`), left out (`?exclude=ping`) or listed (`?verbose`).
 *
 * When the server closes, `shutdown` makes readyz fail first, so that nobody new is sent here.
 */
import { familyHead } from '#kit/metric-family.ts';
import type { ServerResponse } from '../request.ts';

export interface HealthCheck {
  readonly name: string;
  /** Readiness may fail while the server is alive. */
  readonly only?: 'readyz';
  /** What a new start would not mend. */
  readonly except?: 'livez';
  readonly isHealthy: () => boolean;
}

const endpoints = ['healthz', 'livez', 'readyz'] as const;
type Endpoint = (typeof endpoints)[number];

export class Health {
  readonly #checks: readonly HealthCheck[];

  constructor(checks: readonly HealthCheck[]) {
    const always = { isHealthy: () => true };
    this.#checks = [{ name: 'ping', ...always }, { name: 'log', ...always }, ...checks];
  }

  /** Undefined when there is no such check. */
  answer(path: string, query: URLSearchParams): ServerResponse | undefined {
    const [, asked = '', ...rest] = path.split('/');
    const endpoint = endpoints.find((known) => known === asked);
    if (endpoint === undefined) return undefined;
    const checks = this.#of(endpoint);
    if (rest.length === 0) return report(endpoint, checks, query);
    const name = rest.join('/');
    const found = checks.find((check) => check.name === name);
    if (found === undefined) return undefined;
    if (found.isHealthy()) return text(200, 'ok', plainHeaders);
    return text(500, `internal server error: ${name} failed: reason withheld\n`);
  }

  /** Every path that can be asked. */
  paths(): readonly string[] {
    return endpoints.flatMap((endpoint) => [
      `/${endpoint}`,
      ...this.#of(endpoint).map(({ name }) => `/${endpoint}/${name}`),
    ]);
  }

  /** The checks as figures, for `/metrics/slis`. */
  format(): string {
    const figures = endpoints.flatMap((type) =>
      this.#of(type).map(({ name, isHealthy }) => ({ name, type, isHealthy })),
    );
    figures.sort((a, b) => (a.name < b.name ? -1 : a.name > b.name ? 1 : 0));
    const family = 'kubernetes_healthcheck';
    const head = familyHead(family, 'gauge', 'Whether a check is well, at this moment.');
    const lines = figures.map(
      ({ name, type, isHealthy }) =>
        `${family}{name="${name}",type="${type}"} ${isHealthy() ? 1 : 0}`,
    );
    return [...head, ...lines, ''].join('\n');
  }

  #of(endpoint: Endpoint): readonly HealthCheck[] {
    return this.#checks.filter(
      ({ only, except }) => (only === undefined || only === endpoint) && except !== endpoint,
    );
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

const plainHeaders = { 'content-type': 'text/plain; charset=utf-8' };
const guardedHeaders = { ...plainHeaders, 'x-content-type-options': 'nosniff' };

function text(
  status: number,
  body: string,
  headers: ServerResponse['headers'] = guardedHeaders,
): ServerResponse {
  return { status, headers, body: Buffer.from(body) };
}
