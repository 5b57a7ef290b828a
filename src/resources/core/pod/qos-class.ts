/**
 * Quality of service of a pod, from the requests and limits of its containers for cpu and memory:
 * Guaranteed where every container limits both and requests as much, BestEffort where none says
 * anything, Burstable otherwise. Eviction order and memory protection depend on it.
 */
import { compareQuantities } from '#api/quantity.ts';
import type { PodSpec } from '#resources/types/core-v1.ts';

export type QosClass = 'Guaranteed' | 'Burstable' | 'BestEffort';

const counted = ['cpu', 'memory'] as const;

export function qosClassOf(spec: PodSpec): QosClass {
  const all =
    spec.resources === undefined
      ? [...spec.containers, ...(spec.initContainers ?? [])].map(({ resources }) => resources ?? {})
      : [spec.resources];
  let says = false;
  let guaranteed = true;
  for (const { requests = {}, limits = {} } of all) {
    for (const name of counted) {
      const request = positive(requests[name]);
      const limit = positive(limits[name]);
      if (request !== undefined || limit !== undefined) says = true;
      const equal =
        limit !== undefined && (request === undefined || compareQuantities(request, limit) === 0);
      if (!equal) guaranteed = false;
    }
  }
  if (!says) return 'BestEffort';
  return guaranteed ? 'Guaranteed' : 'Burstable';
}

function positive(amount: string | undefined): string | undefined {
  return amount === undefined || compareQuantities(amount, '0') <= 0 ? undefined : amount;
}
