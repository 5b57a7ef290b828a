/**
 * Defaults of Services, and what an update carries over from the stored object.
 *
 * Addresses and node ports are given out by the API server's allocator; what an update leaves out
 * keeps the value that was given out before, and what a change of type makes meaningless goes.
 */
import { jsonEqual } from '#kit/json-equal.ts';
import { fillIn, mapItems, without } from '#resources/fill-in.ts';
import type { Service, ServicePort, ServiceSpec } from '#resources/types/core-v1.ts';

/** Three hours. */
const affinityTimeoutSeconds = 10_800;

export function setServiceDefaults(service: Service): Service {
  let spec = fillIn<ServiceSpec>(service.spec ?? {}, {
    sessionAffinity: 'None',
    type: 'ClusterIP',
  });
  spec = withAffinityConfig(spec);
  if (spec.ports !== undefined) spec = { ...spec, ports: mapItems(spec.ports, setPortDefaults) };
  if (spec.type !== 'ExternalName' && spec.internalTrafficPolicy === undefined) {
    spec = { ...spec, internalTrafficPolicy: 'Cluster' };
  }
  if (isExternallyAccessible(spec)) spec = fillIn(spec, { externalTrafficPolicy: 'Cluster' });
  if (spec.type === 'LoadBalancer') spec = fillIn(spec, { allocateLoadBalancerNodePorts: true });
  return spec === service.spec ? service : { ...service, spec };
}

function withAffinityConfig(spec: ServiceSpec): ServiceSpec {
  if (spec.sessionAffinity === 'None') return without(spec, 'sessionAffinityConfig');
  if (spec.sessionAffinity !== 'ClientIP') return spec;
  if (spec.sessionAffinityConfig?.clientIP?.timeoutSeconds !== undefined) return spec;
  return {
    ...spec,
    sessionAffinityConfig: { clientIP: { timeoutSeconds: affinityTimeoutSeconds } },
  };
}

function setPortDefaults(port: ServicePort): ServicePort {
  const next = fillIn(port, { protocol: 'TCP' });
  // Zero and the empty name both mean: the same as the port.
  return next.targetPort ? next : { ...next, targetPort: port.port };
}

export function isExternallyAccessible({ type, externalIPs = [] }: ServiceSpec): boolean {
  return (
    type === 'LoadBalancer' ||
    type === 'NodePort' ||
    (type === 'ClusterIP' && externalIPs.length > 0)
  );
}

export function needsClusterIP({ type }: ServiceSpec): boolean {
  return type !== 'ExternalName';
}

export function needsNodePort({ type, allocateLoadBalancerNodePorts }: ServiceSpec): boolean {
  return (
    type === 'NodePort' || (type === 'LoadBalancer' && allocateLoadBalancerNodePorts !== false)
  );
}

export function needsHealthCheckNodePort({ type, externalTrafficPolicy }: ServiceSpec): boolean {
  return type === 'LoadBalancer' && externalTrafficPolicy === 'Local';
}

/** `clusterIP` and the first of `clusterIPs` say the same; the first fills the second. */
export function agreeClusterIPs(spec: ServiceSpec, old: ServiceSpec | undefined): ServiceSpec {
  const { clusterIP, clusterIPs = [] } = spec;
  if (clusterIP && clusterIPs.length === 0) return { ...spec, clusterIPs: [clusterIP] };
  if (old === undefined || clusterIP === old.clusterIP) return spec;
  // The update changed the one and left the other as it was: follow the change.
  if (!jsonEqual(clusterIPs, old.clusterIPs ?? [])) return spec;
  return clusterIP
    ? { ...spec, clusterIPs: [clusterIP] }
    : without(spec, 'clusterIP', 'clusterIPs');
}

/** Fills in what was given out before and the update does not mention. */
export function keepAllocated(next: ServiceSpec, old: ServiceSpec): ServiceSpec {
  let spec = next;
  if (needsClusterIP(old) && needsClusterIP(spec)) {
    if (!spec.clusterIP && (spec.clusterIPs ?? []).length === 0 && old.clusterIP) {
      spec = { ...spec, clusterIP: old.clusterIP };
    }
    if ((spec.clusterIPs ?? []).length === 0 && spec.clusterIP === old.clusterIP) {
      spec = fillIn(spec, { clusterIPs: old.clusterIPs });
    }
    spec = fillIn(spec, { ipFamilyPolicy: old.ipFamilyPolicy, ipFamilies: old.ipFamilies });
  }
  if (needsNodePort(old) && needsNodePort(spec)) spec = keepNodePorts(spec, old);
  if (needsHealthCheckNodePort(old) && needsHealthCheckNodePort(spec)) {
    if (!spec.healthCheckNodePort && old.healthCheckNodePort) {
      spec = { ...spec, healthCheckNodePort: old.healthCheckNodePort };
    }
  }
  return dropMeaningless(spec, old);
}

function keepNodePorts(spec: ServiceSpec, old: ServiceSpec): ServiceSpec {
  const before = new Map((old.ports ?? []).map(({ name = '', nodePort }) => [name, nodePort]));
  const taken = new Set((spec.ports ?? []).map(({ nodePort }) => nodePort ?? 0));
  const ports = mapItems(spec.ports ?? [], (port) => {
    const known = before.get(port.name ?? '');
    if (port.nodePort || !known || taken.has(known)) return port;
    taken.add(known);
    return { ...port, nodePort: known };
  });
  return ports === spec.ports ? spec : { ...spec, ports };
}

/** A change of type takes away what only the old type had, unless the update set it anew. */
function dropMeaningless(next: ServiceSpec, old: ServiceSpec): ServiceSpec {
  let spec = next;
  if (needsClusterIP(old) && !needsClusterIP(spec)) {
    if (spec.clusterIP === old.clusterIP) spec = without(spec, 'clusterIP', 'clusterIPs');
    if (jsonEqual(spec.ipFamilies, old.ipFamilies)) spec = without(spec, 'ipFamilies');
    if (spec.ipFamilyPolicy === old.ipFamilyPolicy) spec = without(spec, 'ipFamilyPolicy');
  }
  const nodePorts = ({ ports = [] }: ServiceSpec) => ports.map(({ nodePort }) => nodePort ?? 0);
  const lostNodePorts =
    needsNodePort(old) && spec.type !== 'NodePort' && spec.type !== 'LoadBalancer';
  if (lostNodePorts && jsonEqual(nodePorts(spec), nodePorts(old))) {
    spec = { ...spec, ports: mapItems(spec.ports ?? [], (port) => without(port, 'nodePort')) };
  }
  const lostHealthCheck = needsHealthCheckNodePort(old) && !needsHealthCheckNodePort(spec);
  if (lostHealthCheck && spec.healthCheckNodePort === old.healthCheckNodePort) {
    spec = without(spec, 'healthCheckNodePort');
  }
  if (old.type === 'LoadBalancer' && spec.type !== 'LoadBalancer') {
    if (spec.allocateLoadBalancerNodePorts === old.allocateLoadBalancerNodePorts) {
      spec = without(spec, 'allocateLoadBalancerNodePorts');
    }
    if (spec.loadBalancerClass === old.loadBalancerClass) spec = without(spec, 'loadBalancerClass');
  }
  const lostExternal = isExternallyAccessible(old) && !isExternallyAccessible(spec);
  if (lostExternal && spec.externalTrafficPolicy === old.externalTrafficPolicy) {
    spec = without(spec, 'externalTrafficPolicy');
  }
  if (spec.type === 'ExternalName' && spec.internalTrafficPolicy === old.internalTrafficPolicy) {
    spec = without(spec, 'internalTrafficPolicy');
  }
  return spec;
}
