/**
 * What a pod offers to the Services that select it: addresses and ports. Pure.
 *
 * Shared by the controllers of EndpointSlices and of the older Endpoints, so that both say the
 * same. A port with a text as its target is looked up by name in the pod's containers, of the init
 * containers only in those that go on running. Behaviour: kubernetes.io, "Service".
 */
import { isIPv6 } from 'node:net';
import { mapMatches } from '#api/selectors.ts';
import type { Container, Pod, Service, ServicePort } from '#resources/types/core-v1.ts';
import type { EndpointPort } from '#resources/types/discovery-v1.ts';
import { conditionOf } from '../pod-state.ts';
import { isSameValue } from '../same-value.ts';

/** The pod's address of this family. */
export function addressOf(pod: Pod, family: string): string | undefined {
  const { podIP, podIPs } = pod.status ?? {};
  const addresses = podIPs?.map(({ ip }) => ip) ?? (podIP === undefined ? [] : [podIP]);
  return addresses.find((address) => isIPv6(address) === (family === 'IPv6'));
}

/** The name that DNS gives the pod below the Service, where there is one. */
export function hostnameOf(pod: Pod, service: Service): string | undefined {
  const { hostname = '', subdomain } = pod.spec ?? {};
  return hostname !== '' && subdomain === service.metadata.name ? hostname : undefined;
}

export interface OfferedPort extends EndpointPort {
  readonly name: string;
  readonly port: number;
  readonly protocol: string;
}

export function portsOf(service: Service, pod: Pod): readonly OfferedPort[] {
  const ports: OfferedPort[] = [];
  for (const servicePort of service.spec?.ports ?? []) {
    const port = targetPortOf(servicePort, pod);
    // A pod without a port of that name serves the others all the same.
    if (port === undefined) continue;
    const { name = '', protocol = 'TCP', appProtocol } = servicePort;
    ports.push({ name, port, protocol, ...(appProtocol === undefined ? {} : { appProtocol }) });
  }
  return ports;
}

function targetPortOf(servicePort: ServicePort, pod: Pod): number | undefined {
  const { targetPort, port, protocol = 'TCP' } = servicePort;
  if (targetPort === undefined || targetPort === 0 || targetPort === '') return port;
  if (typeof targetPort === 'number') return targetPort;
  const { containers = [], initContainers = [] } = pod.spec ?? {};
  const sidecars = initContainers.filter(({ restartPolicy }) => restartPolicy === 'Always');
  const serving: readonly Container[] = [...containers, ...sidecars];
  for (const container of serving) {
    for (const { name, containerPort, protocol: other = 'TCP' } of container.ports ?? []) {
      if (name === targetPort && other === protocol) return containerPort;
    }
  }
  return undefined;
}

/** Whether an endpoint could have changed; most updates of a pod are about something else. */
export function isRelevant(pod: Pod, old: Pod): boolean {
  return (
    conditionOf(pod, 'Ready')?.status !== conditionOf(old, 'Ready')?.status ||
    pod.status?.phase !== old.status?.phase ||
    pod.spec?.nodeName !== old.spec?.nodeName ||
    pod.metadata.deletionTimestamp !== old.metadata.deletionTimestamp ||
    !isSameValue(pod.status?.podIPs, old.status?.podIPs) ||
    pod.status?.podIP !== old.status?.podIP ||
    !isSameValue(pod.metadata.labels, old.metadata.labels)
  );
}

/** What the selector says; undefined where the Service has none and others give its endpoints. */
export function selectorOf({ spec }: Service): Readonly<Record<string, string>> | undefined {
  const { selector } = spec ?? {};
  return selector === undefined || Object.keys(selector).length === 0 ? undefined : selector;
}

/** The Services, of those given, that select the pod. */
export function* servicesOf(pod: Pod, services: Iterable<Service>): Generator<Service> {
  for (const service of services) {
    const selector = selectorOf(service);
    if (selector !== undefined && mapMatches(selector, pod.metadata.labels)) yield service;
  }
}
