/**
 * Names of the cluster and what they mean, straight from Services and EndpointSlices. Pure: nothing
 * is kept, each question is looked up in the informers' copies, so an answer is as new as they are.
 *
 *     web.default.svc.cluster.local            A      the cluster address, or every ready endpoint
 *     _http._tcp.web.default.svc.cluster.local SRV    port and name of the same
 *     web-0.web.default.svc.cluster.local      A      one endpoint with a host name
 *     10-42-0-7.default.pod.cluster.local      A      10.42.0.7
 *     7.0.43.10.in-addr.arpa                   PTR    web.default.svc.cluster.local
 *
 * A name that exists without such a record is answered with nothing (NOERROR), a name that does not
 * exist with NXDOMAIN: resolvers that also ask for IPv6 depend on the difference.
 *
 * Addresses of IPv6 are AAAA records of the same names. Behaviour: kubernetes.io, "DNS for Services
 * and Pods". Next in the walk: `server.ts`.
 */
import { isIP, isIPv6 } from 'node:net';
import { formatAddress, parseAddress } from '#kit/ip-network.ts';
import type { Service } from '#resources/types/core-v1.ts';
import type { Endpoint, EndpointSlice } from '#resources/types/discovery-v1.ts';
import { codes, type Question, type Record, type RecordData, types } from './wire.ts';

/** What the API knows, by the keys that names give. */
export interface RecordSource {
  service(namespace: string, name: string): Service | undefined;
  slices(namespace: string, name: string): Iterable<EndpointSlice>;
  hasNamespace(name: string): boolean;
  serviceByAddress(address: string): Service | undefined;
  slicesByAddress(address: string): Iterable<EndpointSlice>;
}

export interface Zone {
  /** `cluster.local` */
  readonly domain: string;
  /** Addresses in here have no name outside the cluster. */
  readonly isPodAddress: (address: string) => boolean;
}

export type Lookup =
  | {
      readonly kind: 'found';
      readonly code: typeof codes.ok | typeof codes.noName;
      readonly answers: readonly Record[];
      readonly additional: readonly Record[];
    }
  /** An alias whose own target has to be looked up, here or elsewhere. */
  | { readonly kind: 'alias'; readonly record: Record; readonly target: string }
  /** Not a name of the cluster. */
  | { readonly kind: 'foreign' };

export const recordTtl = 5;
const schemaVersion = '1.1.0';

export function lookUp(question: Question, zone: Zone, source: RecordSource): Lookup {
  const { name } = question;
  if (name === zone.domain) return found(question, apexRecords(zone));
  if (name.endsWith(`.${zone.domain}`)) {
    const labels = name.slice(0, -zone.domain.length - 1).split('.');
    return lookUpLabels(question, labels, zone, source);
  }
  if (/\.(in-addr|ip6)\.arpa$/.test(name)) return lookUpAddress(question, zone, source);
  return { kind: 'foreign' };
}

export function authorityRecord(zone: Zone): Record {
  return {
    name: zone.domain,
    ttl: recordTtl,
    type: 'SOA',
    server: `ns.dns.${zone.domain}`,
    mailbox: `hostmaster.${zone.domain}`,
    serial: 1,
    negativeTtl: recordTtl,
  };
}

function apexRecords(zone: Zone): readonly RecordData[] {
  return [authorityRecord(zone), { type: 'NS', target: `ns.dns.${zone.domain}` }];
}

function lookUpLabels(
  question: Question,
  labels: readonly string[],
  zone: Zone,
  source: RecordSource,
): Lookup {
  const fromEnd = labels.toReversed();
  const [root = '', namespace, name, ...rest] = fromEnd;
  if (root === 'dns-version' && namespace === undefined) {
    return found(question, [{ type: 'TXT', text: schemaVersion }]);
  }
  if (root !== 'svc' && root !== 'pod') return missing;
  if (namespace === undefined) return found(question, []);
  if (name === undefined) return source.hasNamespace(namespace) ? found(question, []) : missing;
  if (root === 'pod') {
    const address = rest.length === 0 ? dashedAddress(name) : undefined;
    if (address === undefined || !source.hasNamespace(namespace)) return missing;
    return found(question, [addressData(address)]);
  }
  const service = source.service(namespace, name);
  if (service === undefined) return missing;
  const facts = new ServiceNames(service, [...source.slices(namespace, name)], zone);
  return lookUpInService(question, rest.toReversed(), facts);
}

/** `rest` is what stands before the service's name: nothing, a host name, or `_port._protocol`. */
function lookUpInService(question: Question, rest: readonly string[], facts: ServiceNames): Lookup {
  const [first = '', second = ''] = rest;
  const external = facts.externalName();
  if (external !== undefined) {
    if (rest.length > 0) return missing;
    const record: Record = {
      ...{ name: question.name, ttl: recordTtl },
      ...{ type: 'CNAME', target: external },
    };
    return { kind: 'alias', record, target: external };
  }
  if (rest.length === 0) {
    const targets = facts.addresses();
    if (targets.length === 0 && facts.isHeadless) return missing;
    if (question.type === types.SRV) return foundServices(question, facts.services());
    return found(question, targets.map(addressData));
  }
  if (rest.length === 1) {
    const hosts = facts.endpointAddresses(first);
    return hosts.length === 0 ? missing : found(question, hosts.map(addressData));
  }
  if (rest.length === 2 && first.startsWith('_') && second.startsWith('_')) {
    const records = facts.services({ port: first.slice(1), protocol: second.slice(1) });
    return records.length === 0 ? missing : foundServices(question, records);
  }
  return missing;
}

function lookUpAddress(question: Question, zone: Zone, source: RecordSource): Lookup {
  const address = reversedAddress(question.name);
  if (address === undefined) return { kind: 'foreign' };
  const service = source.serviceByAddress(address);
  if (service !== undefined) {
    return found(question, [{ type: 'PTR', target: serviceName(service, zone) }]);
  }
  const targets = new Set<string>();
  for (const slice of source.slicesByAddress(address)) {
    const { namespace = '', labels } = slice.metadata;
    const owner = labels?.['kubernetes.io/service-name'];
    if (owner === undefined || source.service(namespace, owner) === undefined) continue;
    for (const endpoint of slice.endpoints ?? []) {
      if (endpoint.addresses[0] !== address) continue;
      targets.add(`${hostOf(endpoint)}.${owner}.${namespace}.svc.${zone.domain}`);
    }
  }
  if (targets.size > 0) {
    return found(
      question,
      Array.from(targets, (target) => ({ type: 'PTR', target })),
    );
  }
  return zone.isPodAddress(address) ? missing : { kind: 'foreign' };
}

/** `7.0.43.10.in-addr.arpa` → `10.43.0.7`; below ip6.arpa each label is one of 32 digits. */
function reversedAddress(name: string): string | undefined {
  const labels = name.split('.').toReversed().slice(2);
  const isFirst = name.endsWith('.in-addr.arpa');
  if (labels.length !== (isFirst ? 4 : 32)) return undefined;
  if (!isFirst && !labels.every((label) => /^[0-9a-f]$/.test(label))) return undefined;
  const text = isFirst ? labels.join('.') : labels.join('').replace(/.{4}(?=.)/g, '$&:');
  const address = parseAddress(text);
  return address === undefined ? undefined : formatAddress(address);
}

interface PortName {
  readonly port: string;
  readonly protocol: string;
}

interface ServiceRecord {
  readonly port: number;
  readonly target: string;
  readonly address: string;
}

/** One Service as names see it. */
class ServiceNames {
  readonly #service: Service;
  readonly #slices: readonly EndpointSlice[];
  readonly #zone: Zone;
  readonly isHeadless: boolean;

  constructor(service: Service, slices: readonly EndpointSlice[], zone: Zone) {
    this.#service = service;
    this.#slices = slices.filter(({ addressType }) => /^IPv[46]$/.test(addressType));
    this.#zone = zone;
    this.isHeadless = service.spec?.clusterIP === 'None';
  }

  externalName(): string | undefined {
    const { type, externalName } = this.#service.spec ?? {};
    if (type !== 'ExternalName' || !externalName) return undefined;
    return externalName.toLowerCase().replace(/\.$/, '');
  }

  /** Of the service's own name. */
  addresses(): readonly string[] {
    if (!this.isHeadless) return this.#clusterAddresses();
    const all = this.#readyEndpoints().flatMap(({ endpoint }) => endpoint.addresses.slice(0, 1));
    return [...new Set(all)];
  }

  /** Of endpoints with this host name, or whose address gives it: `10-42-0-7`. */
  endpointAddresses(host: string): readonly string[] {
    const all = this.#readyEndpoints()
      .filter(({ endpoint }) => hostOf(endpoint) === host)
      .flatMap(({ endpoint }) => endpoint.addresses.slice(0, 1));
    return [...new Set(all)];
  }

  /** One per port, without a cluster address one per endpoint and port. */
  services(wanted?: PortName): readonly ServiceRecord[] {
    const own = serviceName(this.#service, this.#zone);
    const matches = (name: string | undefined, protocol: string | undefined): boolean =>
      wanted === undefined ||
      ((name ?? '') === wanted.port && (protocol ?? 'TCP').toLowerCase() === wanted.protocol);
    if (!this.isHeadless) {
      return (this.#service.spec?.ports ?? [])
        .filter(({ name, protocol }) => matches(name, protocol))
        .flatMap(({ port }) =>
          this.#clusterAddresses().map((address) => ({ port, target: own, address })),
        );
    }
    return this.#readyEndpoints().flatMap(({ slice, endpoint }) =>
      (slice.ports ?? [])
        .filter(({ name, protocol }) => matches(name, protocol))
        .flatMap(({ port }) => {
          const address = endpoint.addresses[0];
          if (port === undefined || address === undefined) return [];
          return [{ port, target: `${hostOf(endpoint)}.${own}`, address }];
        }),
    );
  }

  #clusterAddresses(): readonly string[] {
    const { clusterIP = '', clusterIPs = [] } = this.#service.spec ?? {};
    const all = clusterIPs.length > 0 ? clusterIPs : [clusterIP];
    return all.filter((address) => isIP(address) !== 0);
  }

  #readyEndpoints(): readonly { readonly slice: EndpointSlice; readonly endpoint: Endpoint }[] {
    const always = this.#service.spec?.publishNotReadyAddresses === true;
    return this.#slices.flatMap((slice) =>
      (slice.endpoints ?? [])
        .filter(({ conditions }) => always || (conditions?.ready ?? true))
        .map((endpoint) => ({ slice, endpoint })),
    );
  }
}

const missing: Lookup = { kind: 'found', code: codes.noName, answers: [], additional: [] };

/** The records of the type that was asked for. */
function found(question: Question, data: readonly RecordData[]): Lookup {
  const answers = data
    .filter(({ type }) => question.type === types.ANY || types[type] === question.type)
    .map((record): Record => ({ ...record, name: question.name, ttl: recordTtl }));
  return { kind: 'found', code: codes.ok, answers, additional: [] };
}

function foundServices(question: Question, records: readonly ServiceRecord[]): Lookup {
  // The addresses of both families are behind one name.
  const unique = [
    ...new Map(records.map((each) => [`${each.target} ${each.port}`, each])).values(),
  ];
  const weight = Math.max(1, Math.floor(100 / Math.max(1, unique.length)));
  if (question.type !== types.SRV && question.type !== types.ANY) return found(question, []);
  const answers = unique.map(
    ({ port, target }): Record => ({
      ...{ name: question.name, ttl: recordTtl },
      ...{ type: 'SRV', priority: 0, weight, port, target },
    }),
  );
  const targets = new Map(records.map((record) => [`${record.target} ${record.address}`, record]));
  const additional = Array.from(
    targets.values(),
    ({ target, address }): Record => ({ name: target, ttl: recordTtl, ...addressData(address) }),
  );
  return { kind: 'found', code: codes.ok, answers, additional };
}

function addressData(address: string): RecordData {
  if (!isIPv6(address)) return { type: 'A', address };
  const { value } = parseAddress(address) ?? { value: 0n };
  return { type: 'AAAA', bytes: Buffer.from(value.toString(16).padStart(32, '0'), 'hex') };
}

function serviceName({ metadata }: Service, zone: Zone): string {
  return `${metadata.name ?? ''}.${metadata.namespace ?? ''}.svc.${zone.domain}`;
}

function hostOf({ hostname, addresses }: Endpoint): string {
  return hostname ?? (addresses[0] ?? '').replaceAll('.', '-').replaceAll(':', '-');
}

function dashedAddress(label: string): string | undefined {
  const candidates = ['.', ':'].map((mark) => parseAddress(label.replaceAll('-', mark)));
  const address = candidates.find((candidate) => candidate !== undefined);
  return address === undefined ? undefined : formatAddress(address);
}
