/**
 * Holds back a component that asks too often: so many requests a second, and Events apart from all
 * others. What says that a node lives (its Lease, its Node) is never held back, as upstream.
 * The kubelet that runs alone sends through it (`kubeAPIQPS`, `eventRecordQPS` and the like).
 */
import type { Clock } from '#kit/clock.ts';
import { Rate, type RateLimit } from '#kit/rate.ts';
import type { PlainRequest, Transport } from '#kit/transport.ts';

export interface RequestRates {
  readonly requests: RateLimit;
  readonly events: RateLimit;
}

export function limitRequests(
  { transport, clock }: { readonly transport: Transport; readonly clock: Clock },
  rates: RequestRates,
): Transport {
  const requests = new Rate(clock, rates.requests);
  const events = new Rate(clock, rates.events);
  const rateOf = ({ method, path }: PlainRequest): Rate | undefined => {
    if (/^\/apis\/coordination\.k8s\.io\/[^/]+\/namespaces\/[^/]+\/leases\b/.test(path))
      return undefined;
    if (/^\/api\/v1\/nodes\/[^/?]+(\/status)?(\?|$)/.test(path)) return undefined;
    return method !== 'GET' && /\/events(\/[^/?]+)?(\?|$)/.test(path) ? events : requests;
  };
  return {
    send: async (request, options) => {
      await rateOf(request)?.turn(options);
      return transport.send(request, options);
    },
  };
}
