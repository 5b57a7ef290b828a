/**
 * What a Service counts for in a quota: itself, the node ports that it will take, and the load
 * balancer that it asks for. Ports count by intent, since they are not given out yet when a
 * creation is judged.
 */
import type { Service } from '../types/core-v1.ts';
import type { Amounts } from './amounts.ts';

export const resourcesOfService: ReadonlySet<string> = new Set([
  'services',
  'services.nodeports',
  'services.loadbalancers',
]);

export function usageOfService({ spec = {} }: Service): Amounts {
  const isBalanced = spec.type === 'LoadBalancer';
  return {
    'count/services': '1',
    services: '1',
    'services.loadbalancers': isBalanced ? '1' : '0',
    'services.nodeports': String(nodePorts(spec)),
  };
}

function nodePorts({
  type,
  ports = [],
  allocateLoadBalancerNodePorts,
}: NonNullable<Service['spec']>): number {
  if (type === 'NodePort') return ports.length;
  if (type !== 'LoadBalancer') return 0;
  if (allocateLoadBalancerNodePorts !== false) return ports.length;
  return ports.filter(({ nodePort = 0 }) => nodePort !== 0).length;
}
