/**
 * The address families of a Service in a cluster of one family, IPv4. Pure.
 *
 * What else hangs together in a Service (its type, what an update leaves out, what a change of type
 * takes away) is the kind's own (`resources/core/service/defaults.ts`) and done before this.
 * `service-allocator.ts` calls this and then takes addresses and ports from their ranges.
 */
import { needsClusterIP } from '#resources/core/service/defaults.ts';
import type { ServiceSpec } from '#resources/types/core-v1.ts';

/** A headless Service without selector may be of any family. */
export function normalizeFamilies(spec: ServiceSpec): ServiceSpec {
  if (!needsClusterIP(spec)) return spec;
  const { selector = {}, clusterIP = '' } = spec;
  const free = clusterIP === 'None' && Object.keys(selector).length === 0;
  const policy = spec.ipFamilyPolicy ?? (free ? 'RequireDualStack' : 'SingleStack');
  const families = spec.ipFamilies ?? [];
  const defaults = free && policy !== 'SingleStack' ? ['IPv4', 'IPv6'] : ['IPv4'];
  return {
    ...spec,
    ipFamilyPolicy: policy,
    ipFamilies: families.length === 0 ? defaults : families,
    ...(clusterIP === 'None' ? { clusterIPs: ['None'] } : {}),
  };
}
