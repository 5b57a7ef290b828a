/**
 * Each request that a component sends, in its log: what `-v 6` asks for. Watches are told when they
 * begin. Each program puts this around the transport of its client.
 */
import type { Clock } from '#kit/clock.ts';
import type { Logger } from '#kit/log.ts';
import type { Transport } from '#kit/transport.ts';

/** The transport itself where nobody asked for it. */
export function logRequests(
  transport: Transport,
  { clock, log }: { readonly clock: Clock; readonly log: Logger },
  { logsRequests }: { readonly logsRequests: boolean },
): Transport {
  if (!logsRequests) return transport;
  return {
    send: async (request, options) => {
      const sinceMs = clock.monotonic();
      const tell = (outcome: object): void => {
        const { method: verb, path } = request;
        const milliseconds = Math.round(clock.monotonic() - sinceMs);
        log.trace('request sent', { verb, path, ...outcome, milliseconds });
      };
      try {
        const response = await transport.send(request, options);
        tell({ status: response.status });
        return response;
      } catch (error) {
        tell({ error });
        throw error;
      }
    },
  };
}
