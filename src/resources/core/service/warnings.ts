/**
 * What a Service says in vain, or in a way that goes: fields that its type ignores, old names.
 */
import { cidrWarnings, ipWarnings } from '#resources/ip-syntax.ts';
import type { Service, ServiceSpec } from '#resources/types/core-v1.ts';

const oldHints = 'service.kubernetes.io/topology-aware-hints';

export function serviceWarnings({ metadata, spec = {} }: Service): readonly string[] {
  const warnings: string[] = [];
  const { type, clusterIP, externalIPs = [], externalName = '' } = spec;
  if (metadata.annotations?.[oldHints] !== undefined) {
    const use = 'service.kubernetes.io/topology-mode';
    warnings.push(`annotation ${oldHints} is deprecated, please use ${use} instead`);
  }
  const clusterIPs = (spec.clusterIPs ?? []).filter((ip) => ip !== 'None');
  if (type !== 'ExternalName') {
    for (const [index, ip] of clusterIPs.entries()) {
      warnings.push(...ipWarnings(ip, `spec.clusterIPs[${index}]`));
    }
  }
  const isHeadless = type === 'ClusterIP' && clusterIP === 'None';
  if (isHeadless) {
    const ignored = 'is ignored for headless services';
    if ((spec.loadBalancerIP ?? '') !== '') warnings.push(`spec.loadBalancerIP ${ignored}`);
    if (externalIPs.length > 0) warnings.push(`spec.externalIPs ${ignored}`);
    if (spec.sessionAffinity !== 'None') warnings.push(`spec.SessionAffinity ${ignored}`);
  }
  for (const [index, ip] of externalIPs.entries()) {
    warnings.push(...ipWarnings(ip, `spec.externalIPs[${index}]`));
  }
  if (externalIPs.length > 0 && !isHeadless && type !== 'ExternalName') {
    warnings.push(
      'spec.externalIPs is deprecated and may no longer be implemented in some clusters',
    );
  }
  warnings.push(...balancerWarnings(spec));
  if (type === 'ExternalName' && externalIPs.length > 0) {
    warnings.push('spec.externalIPs is ignored when spec.type is "ExternalName"');
  }
  if (type !== 'ExternalName' && externalName !== '') {
    warnings.push('spec.externalName is ignored when spec.type is not "ExternalName"');
  }
  if (spec.trafficDistribution === 'PreferClose') {
    warnings.push('spec.trafficDistribution: "PreferClose" is deprecated; use "PreferSameZone"');
  }
  return warnings;
}

function balancerWarnings(spec: ServiceSpec): string[] {
  const { loadBalancerIP = '', loadBalancerSourceRanges = [] } = spec;
  const ranges = loadBalancerSourceRanges.flatMap((cidr, index) =>
    cidrWarnings(cidr, `spec.loadBalancerSourceRanges[${index}]`),
  );
  return [...ipWarnings(loadBalancerIP, 'spec.loadBalancerIP'), ...ranges];
}
