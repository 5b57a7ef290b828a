/**
 * How many requests a component has sent, how they were answered and how long that took, under
 * upstream's names. Watches count when they begin.
 *
 * Whoever wants to know puts `observed` around the transport of a client.
 */
import type { Clock } from '#kit/clock.ts';
import { Family } from '#kit/metric-family.ts';
import type { Transport } from '#kit/transport.ts';

export class RequestFigures {
  readonly #clock: Clock;
  readonly #host: string;
  readonly #requests = new Family('counter', {
    name: 'rest_client_requests_total',
    help: 'Requests sent, by how they were answered.',
    labels: ['code', 'host', 'method'],
  });
  readonly #seconds = new Family('histogram', {
    name: 'rest_client_request_duration_seconds',
    help: 'Seconds until requests were answered.',
    labels: ['host', 'verb'],
    buckets: [0.005, 0.025, 0.1, 0.25, 0.5, 1, 2, 4, 8, 15, 30, 60],
  });

  /** `host` as in a URL, with its port. */
  constructor({ clock }: { readonly clock: Clock }, { host }: { readonly host: string }) {
    this.#clock = clock;
    this.#host = host;
  }

  observed(transport: Transport): Transport {
    return {
      send: async (request, options) => {
        const { method } = request;
        const sinceMs = this.#clock.monotonic();
        // What upstream calls a request that got no answer.
        let code = '<error>';
        try {
          const response = await transport.send(request, options);
          code = String(response.status);
          return response;
        } finally {
          const seconds = (this.#clock.monotonic() - sinceMs) / 1000;
          this.#requests.add([code, this.#host, method], 1);
          this.#seconds.observe([this.#host, method], seconds);
        }
      },
    };
  }

  format(): string {
    return this.#requests.format() + this.#seconds.format();
  }
}
