/**
 * Which endpoints a port of a Service has right now, from the EndpointSlices that carry its name.
 *
 * Ready endpoints serve. Where there is none, those that are shutting down but still serve are
 * better than nobody, so that a rollout of a single replica loses no connection. Both for the
 * whole cluster and for this node alone. Where every ready endpoint says which nodes it is meant
 * for (`hints.forNodes`), and some are meant for this one, the whole cluster is those. Pure; called
 * by `service-plan.ts`.
 *
 * Behaviour: kubernetes.io, "Virtual IPs and Service Proxies", "Traffic policies" and "Traffic to
 * terminating endpoints".
 */
import type { Family } from '#kit/ip-network.ts';
import type { ServicePort } from '#resources/types/core-v1.ts';
import type { Endpoint, EndpointSlice } from '#resources/types/discovery-v1.ts';

export interface Target {
  readonly address: string;
  readonly port: number;
  /** On this node for certain, elsewhere for certain, or nobody says. */
  readonly place: 'here' | 'elsewhere' | 'unknown';
}

export interface PortTargets {
  readonly cluster: readonly Target[];
  readonly local: readonly Target[];
}

export function portTargets(
  port: ServicePort,
  slices: readonly EndpointSlice[],
  options: { readonly nodeName: string; readonly family: Family },
): PortTargets {
  const ready = new Map<string, Target>();
  const leaving = new Map<string, Target>();
  const meant = new Set<string>();
  let allHinted = true;
  for (const slice of slices) {
    if (slice.addressType !== options.family) continue;
    const number = portNumber(port, slice);
    if (number === undefined) continue;
    for (const endpoint of slice.endpoints ?? []) {
      const address = endpoint.addresses[0];
      if (address === undefined) continue;
      const state = endpointState(endpoint);
      if (state === 'silent') continue;
      const target = { address, port: number, place: placeOf(endpoint, options.nodeName) };
      const found = state === 'ready' ? ready : leaving;
      // A pod may be in two slices for a moment; knowing its place wins.
      const key = `${address}:${number}`;
      const forNodes = endpoint.hints?.forNodes ?? [];
      if (state === 'ready' && forNodes.length === 0) allHinted = false;
      if (forNodes.some(({ name }) => name === options.nodeName)) meant.add(key);
      if (found.get(key)?.place !== 'here') found.set(key, target);
    }
  }
  const here = (target: Target): boolean => target.place === 'here';
  const readyTargets = sorted(ready);
  const leavingTargets = sorted(leaving);
  const localReady = readyTargets.filter(here);
  const near = readyTargets.filter((target) => meant.has(`${target.address}:${target.port}`));
  const chosen = allHinted && near.length > 0 ? near : readyTargets;
  return {
    cluster: chosen.length > 0 ? chosen : leavingTargets,
    local: localReady.length > 0 ? localReady : leavingTargets.filter(here),
  };
}

function endpointState({ conditions }: Endpoint): 'ready' | 'leaving' | 'silent' {
  // Absent means true for ready; serving follows ready where nobody says.
  if (conditions?.ready ?? true) return 'ready';
  return conditions?.serving === true && conditions.terminating === true ? 'leaving' : 'silent';
}

function placeOf(endpoint: Endpoint, nodeName: string): Target['place'] {
  if (endpoint.nodeName === undefined) return 'unknown';
  return endpoint.nodeName === nodeName ? 'here' : 'elsewhere';
}

function portNumber(port: ServicePort, slice: EndpointSlice): number | undefined {
  const protocol = port.protocol ?? 'TCP';
  return slice.ports?.find(
    (candidate) =>
      (candidate.name ?? '') === (port.name ?? '') && (candidate.protocol ?? 'TCP') === protocol,
  )?.port;
}

/** The same order for the same endpoints, so that nothing changes where nothing has changed. */
function sorted(targets: ReadonlyMap<string, Target>): readonly Target[] {
  return [...targets.keys()].sort().flatMap((key) => targets.get(key) ?? []);
}
