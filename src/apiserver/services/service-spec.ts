/**
 * The fields of a Service that hang together: type, addresses, families, node ports.
 *
 * Pure. Fills in what follows from other fields, keeps on an update what the server had allocated
 * and the client left out, and drops what the type no longer needs. `service-allocator.ts` then
 * takes addresses and ports from their ranges.
 */
import type { ServicePort, ServiceSpec } from '#resources/types/core-v1.ts';

export function needsClusterIP({ type = 'ClusterIP' }: ServiceSpec): boolean {
  return type === 'ClusterIP' || type === 'NodePort' || type === 'LoadBalancer';
}

export function needsNodePort({ type, allocateLoadBalancerNodePorts }: ServiceSpec): boolean {
  if (type === 'NodePort') return true;
  return type === 'LoadBalancer' && allocateLoadBalancerNodePorts !== false;
}

export function needsHealthCheckPort({ type, externalTrafficPolicy }: ServiceSpec): boolean {
  return type === 'LoadBalancer' && externalTrafficPolicy === 'Local';
}

/** What a client that sends a whole object without the allocated fields would otherwise lose. */
export function keepAllocated(next: ServiceSpec, old: ServiceSpec | undefined): ServiceSpec {
  const single = withClusterIPs(next, old);
  if (old === undefined) return dropUnneeded(single, undefined);
  let kept = single;
  if (needsClusterIP(kept) && needsClusterIP(old) && (kept.clusterIP ?? '') === '') {
    kept = {
      ...kept,
      ...(old.clusterIP === undefined ? {} : { clusterIP: old.clusterIP }),
      ...(old.clusterIPs === undefined ? {} : { clusterIPs: old.clusterIPs }),
    };
  }
  if (needsNodePort(kept) && needsNodePort(old)) {
    kept = { ...kept, ports: keepNodePorts(kept.ports ?? [], old.ports ?? []) };
  }
  if (needsHealthCheckPort(kept) && needsHealthCheckPort(old)) {
    kept = { healthCheckNodePort: old.healthCheckNodePort, ...kept };
  }
  return dropUnneeded(kept, old);
}

/** `clusterIP` and the first of `clusterIPs` say the same; who sets one means both. */
function withClusterIPs(next: ServiceSpec, old: ServiceSpec | undefined): ServiceSpec {
  const { clusterIP = '', clusterIPs = [] } = next;
  if (clusterIP !== '' && clusterIPs.length === 0) return { ...next, clusterIPs: [clusterIP] };
  if (clusterIP === '' && clusterIPs[0] !== undefined && clusterIPs[0] !== old?.clusterIPs?.[0]) {
    return { ...next, clusterIP: clusterIPs[0] };
  }
  // An old client changed the single field and passed the list through.
  const changed = old !== undefined && clusterIP !== '' && clusterIP !== old.clusterIP;
  return changed && clusterIPs[0] === old.clusterIP ? { ...next, clusterIPs: [clusterIP] } : next;
}

function keepNodePorts(
  next: readonly ServicePort[],
  old: readonly ServicePort[],
): readonly ServicePort[] {
  const same = (a: ServicePort, b: ServicePort): boolean =>
    a.port === b.port && (a.protocol ?? 'TCP') === (b.protocol ?? 'TCP');
  const asked = new Set(next.map(({ nodePort = 0 }) => nodePort));
  return next.map((port) => {
    if ((port.nodePort ?? 0) !== 0) return port;
    const nodePort = old.find((other) => same(port, other))?.nodePort ?? 0;
    return nodePort === 0 || asked.has(nodePort) ? port : { ...port, nodePort };
  });
}

/** After a change of type, what only the old type had. */
function dropUnneeded(spec: ServiceSpec, old: ServiceSpec | undefined): ServiceSpec {
  let kept = spec;
  if (old !== undefined && !needsClusterIP(kept) && needsClusterIP(old)) {
    const { clusterIP, clusterIPs, ipFamilies, ipFamilyPolicy, ...rest } = kept;
    // Only when the client passed them through; a new wish is left for validation to refuse.
    if ((clusterIP ?? old.clusterIP) === old.clusterIP) kept = rest;
  }
  if (old !== undefined && needsNodePort(old) && !usesNodePorts(kept)) {
    const ports = (kept.ports ?? []).map((port) => {
      const { nodePort, ...rest } = port;
      const passedThrough = (old.ports ?? []).some((other) => other.nodePort === nodePort);
      return passedThrough ? rest : port;
    });
    kept = { ...kept, ports };
  }
  if (needsHealthCheckPort(kept) || old === undefined || !needsHealthCheckPort(old)) return kept;
  const { healthCheckNodePort: _port, ...rest } = kept;
  return rest;
}

function usesNodePorts({ type }: ServiceSpec): boolean {
  return type === 'NodePort' || type === 'LoadBalancer';
}

/** A cluster of one family: IPv4. A headless Service without selector may be of any family. */
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
