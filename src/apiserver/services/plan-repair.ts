/**
 * What is wrong between Services and the books of their addresses and ports, and what to do about
 * it, as a pure decision.
 *
 * A crash between two steps of a write leaves an address that nobody has, or (after an upgrade, or
 * when somebody has deleted an IPAddress by hand) a Service whose address is not written down. What
 * is young may belong to a write on its way and is left alone. The event texts are upstream's.
 */
import type { KubeObject } from '#api/object.ts';
import type { Service } from '#resources/types/core-v1.ts';
import type { IPAddress } from '#resources/types/networking-v1.ts';
import { familyLabel, managerLabel, managerName, type Owner, refersTo } from './addresses.ts';
import { familyOf } from './ip-families.ts';
import { heldBy, ownerOf } from './service-allocator.ts';

export interface StoredPort {
  readonly port: number;
  readonly owner: Owner;
}

export interface RepairFacts {
  readonly services: readonly Service[];
  readonly addresses: readonly IPAddress[];
  readonly ports: readonly StoredPort[];
  /** Whether some ServiceCIDR has it. */
  readonly isInRange: (address: string) => boolean;
  /** Ports that were without a Service at the last look too. */
  readonly strayBefore: ReadonlySet<number>;
}

export interface Complaint {
  readonly about: KubeObject;
  readonly reason: string;
  readonly message: string;
}

export type RepairAction =
  | { readonly do: 'record address'; readonly address: string; readonly owner: Owner }
  | { readonly do: 'replace address'; readonly address: string; readonly owner: Owner }
  | { readonly do: 'remove address'; readonly address: string }
  | { readonly do: 'record port'; readonly port: number; readonly owner: Owner }
  | { readonly do: 'remove port'; readonly port: number };

export interface RepairPlan {
  readonly actions: readonly RepairAction[];
  readonly complaints: readonly Complaint[];
  /** Ports without a Service; removed at the next look, if they still are. */
  readonly strays: ReadonlySet<number>;
}

/** As long as a write may be on its way. */
const graceMs = 60_000;

export function planRepair(facts: RepairFacts, nowMs: number): RepairPlan {
  const actions: RepairAction[] = [];
  const complaints: Complaint[] = [];
  const services = new Map(facts.services.map((service) => [keyOf(ownerOf(service)), service]));
  const known = new Map(facts.addresses.map((one) => [one.metadata.name ?? '', one]));
  for (const service of facts.services) {
    for (const address of heldBy(service.spec).addresses) {
      const found = judgeService(facts, services, { service, address, stored: known.get(address) });
      if (found.action !== undefined) actions.push(found.action);
      if (found.complaint !== undefined) complaints.push(found.complaint);
    }
  }
  for (const address of facts.addresses) {
    const complaint = judgeAddress(services, address, nowMs);
    if (complaint === undefined) continue;
    complaints.push(complaint);
    actions.push({ do: 'remove address', address: address.metadata.name ?? '' });
  }
  const { portActions, strays } = judgePorts(facts, services);
  return { actions: [...actions, ...portActions], complaints, strays };
}

interface Judged {
  readonly service: Service;
  readonly address: string;
  readonly stored: IPAddress | undefined;
}

type Services = ReadonlyMap<string, Service>;

interface Judgement {
  readonly action?: RepairAction;
  readonly complaint?: Complaint;
}

function judgeService(facts: RepairFacts, services: Services, judged: Judged): Judgement {
  const { service, address, stored } = judged;
  const owner = ownerOf(service);
  const at = `[${familyOf(address)}]`;
  const complaint = (reason: string, message: string): Complaint => ({
    about: service,
    reason,
    message,
  });
  if (!facts.isInRange(address)) {
    const text = `Cluster IP ${at}: ${address} is not within any configured Service CIDR; please recreate service`;
    return { complaint: complaint('ClusterIPOutOfRange', text) };
  }
  if (stored === undefined) {
    const text = `Cluster IP ${at}: ${address} is not allocated; repairing`;
    return {
      action: { do: 'record address', address, owner },
      complaint: complaint('ClusterIPNotAllocated', text),
    };
  }
  const replace = { do: 'replace address', address, owner } as const;
  const reference = stored.spec?.parentRef;
  if (!refersTo(reference, owner)) {
    const { group = '', resource, namespace = '', name = '' } = reference ?? {};
    const other =
      group === '' && resource === 'services' ? services.get(`${namespace}/${name}`) : undefined;
    if (other !== undefined && heldBy(other.spec).addresses.includes(address)) {
      const text = `Cluster IP ${at}:${address} was assigned to multiple services; please recreate service`;
      return { complaint: complaint('ClusterIPAlreadyAllocated', text) };
    }
    const text = `the ClusterIP ${at}: ${address} for Service ${owner.namespace}/${owner.name} has a wrong reference; repairing`;
    return { action: replace, complaint: complaint('ClusterIPNotAllocated', text) };
  }
  const { labels = {} } = stored.metadata;
  const isMarked =
    labels[familyLabel] === familyOf(address) && labels[managerLabel] === managerName;
  return isMarked ? {} : { action: replace };
}

/** Why an address of ours has to go; undefined where it may stay. */
function judgeAddress(
  services: Services,
  address: IPAddress,
  nowMs: number,
): Complaint | undefined {
  const { name = '', labels = {}, creationTimestamp = '' } = address.metadata;
  if (labels[managerLabel] !== managerName) return undefined;
  const {
    group = '',
    resource,
    namespace = '',
    name: service = '',
  } = address.spec?.parentRef ?? {};
  const complaint = (reason: string, message: string): Complaint => ({
    about: address,
    reason,
    message,
  });
  if (group !== '' || resource !== 'services') {
    const text = `IPAddress ${name} appears to have been modified, not referencing a Service: cleaning up`;
    return complaint('IPAddressNotAllocated', text);
  }
  const found = services.get(`${namespace}/${service}`);
  if (found !== undefined && heldBy(found.spec).addresses.includes(name)) return undefined;
  if (nowMs - Date.parse(creationTimestamp) <= graceMs) return undefined;
  const of = `IPAddress: ${name} for Service ${namespace}/${service}`;
  return found === undefined
    ? complaint('IPAddressNotAllocated', `${of} appears to have leaked: cleaning up`)
    : complaint('IPAddressWrongReference', `${of} has a wrong reference; cleaning up`);
}

function judgePorts(
  { services: all, ports, strayBefore }: RepairFacts,
  services: Services,
): { readonly portActions: readonly RepairAction[]; readonly strays: ReadonlySet<number> } {
  const actions: RepairAction[] = [];
  const stored = new Set(ports.map(({ port }) => port));
  for (const service of all) {
    for (const port of heldBy(service.spec).ports) {
      if (!stored.has(port)) actions.push({ do: 'record port', port, owner: ownerOf(service) });
      stored.add(port);
    }
  }
  const strays = new Set<number>();
  for (const { port, owner } of ports) {
    const service = services.get(keyOf(owner));
    if (service !== undefined && heldBy(service.spec).ports.includes(port)) continue;
    if (strayBefore.has(port)) actions.push({ do: 'remove port', port });
    else strays.add(port);
  }
  return { portActions: actions, strays };
}

function keyOf({ namespace, name }: Owner): string {
  return `${namespace}/${name}`;
}
