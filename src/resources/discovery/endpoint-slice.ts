/**
 * EndpointSlice: addresses behind a Service, at most 1,000 a slice, with their conditions. Written
 * by the endpoint slice controller (and by people, for Services without a selector).
 */
import { type FieldError, invalid, notSupported, required, tooMany } from '#api/field-error.ts';
import { labelProblems, qualifiedNameProblems, subdomainProblems } from '#api/names.ts';
import { defineResource, type Resource } from '#api/resource.ts';
import { jsonEqual } from '#kit/json-equal.ts';
import { ageColumn, nameColumn } from '../columns.ts';
import { fillIn, mapItems, nullWhereEmpty, without } from '../fill-in.ts';
import { ipWarnings, parseAddress, validateCanonicalIP, validateIP } from '../ip-syntax.ts';
import type { Endpoint, EndpointPort, EndpointSlice } from '../types/discovery-v1.ts';
import { hubView } from '../view.ts';

const endpointsMax = 1000;
const portsMax = 20_000;
const addressesMax = 100;

const addressTypes = ['FQDN', 'IPv4', 'IPv6'];
const protocols = ['SCTP', 'TCP', 'UDP'];

export function endpointSliceResource(): Resource {
  return defineResource<EndpointSlice>({
    kind: 'EndpointSlice',
    plural: 'endpointslices',
    singular: 'endpointslice',
    shortNames: [],
    categories: [],
    namespaced: true,
    storagePrefix: 'endpointslices',
    metadataRechecked: 'whole',
    views: [
      hubView<EndpointSlice>({
        group: 'discovery.k8s.io',
        version: 'v1',
        definition: 'io.k8s.api.discovery.v1.EndpointSlice',
        setDefaults: setEndpointSliceDefaults,
      }),
    ],
    hasStatus: false,
    specChanged: () => false,
    prepareForCreate: (slice) => withGeneration(withoutTopology(slice), 1),
    prepareForUpdate,
    validate: validateEndpointSlice,
    validateUpdate: (next, old) =>
      next.addressType === old.addressType
        ? []
        : [invalid('addressType', next.addressType, 'field is immutable')],
    warnings: ({ addressType, endpoints }) => [
      ...(addressType === 'FQDN' ? ['spec.addressType: FQDN endpoints are deprecated'] : []),
      ...(endpoints ?? []).flatMap(({ addresses }, index) =>
        (addresses ?? []).flatMap((ip, at) =>
          ipWarnings(ip, `endpoints[${index}].addresses[${at}]`),
        ),
      ),
    ],
    columns: [
      nameColumn(),
      {
        name: 'AddressType',
        type: 'string',
        description: 'Kind of the addresses.',
        priority: 0,
        cell: ({ addressType }) => addressType,
      },
      {
        name: 'Ports',
        type: 'string',
        description: 'Ports of each endpoint.',
        priority: 0,
        cell: ({ ports }) =>
          upToThree((ports ?? []).map((port) => String(port.port ?? (port.name || '*')))),
      },
      {
        name: 'Endpoints',
        type: 'string',
        description: 'Addresses of the endpoints.',
        priority: 0,
        cell: ({ endpoints }) => upToThree((endpoints ?? []).flatMap(({ addresses }) => addresses)),
      },
      ageColumn(),
    ],
  });
}

function upToThree(texts: readonly string[]): string {
  const shown = texts.slice(0, 3).join(',');
  if (texts.length > 3) return `${shown} + ${texts.length - 3} more...`;
  return shown === '' ? '<unset>' : shown;
}

function setEndpointSliceDefaults(slice: EndpointSlice): EndpointSlice {
  // What is null has been shown as such; see `WireFacts`.
  if (!slice.ports) return slice;
  const ports = mapItems(slice.ports, (port) =>
    fillIn(port.name === undefined ? { ...port, name: '' } : port, { protocol: 'TCP' }),
  );
  return ports === slice.ports ? slice : { ...slice, ports };
}

/** Topology has fields of its own now; the old map is not kept. */
function withGeneration(slice: EndpointSlice, generation: number): EndpointSlice {
  return { ...slice, metadata: { ...slice.metadata, generation } };
}

/** Labels count as well, and so does what is not kept. */
function prepareForUpdate(next: EndpointSlice, old: EndpointSlice): EndpointSlice {
  const counted = ({ metadata, ...rest }: EndpointSlice) => ({ ...rest, labels: metadata.labels });
  const changed = !jsonEqual(counted(nullWhereEmpty(next, 'endpoints', 'ports')), counted(old));
  const { generation = 0 } = old.metadata;
  return withGeneration(withoutTopology(next), generation + (changed ? 1 : 0));
}

function withoutTopology(slice: EndpointSlice): EndpointSlice {
  if (!slice.endpoints) return slice;
  const endpoints = mapItems(slice.endpoints, (one) => without(one, 'deprecatedTopology'));
  const kept = endpoints === slice.endpoints ? slice : { ...slice, endpoints };
  return nullWhereEmpty(kept, 'endpoints', 'ports');
}

function validateEndpointSlice(slice: EndpointSlice): FieldError[] {
  const errors: FieldError[] = [];
  const { addressType } = slice;
  const endpoints = slice.endpoints ?? [];
  const ports = slice.ports ?? [];
  if (!addressType) errors.push(required('addressType'));
  else if (!addressTypes.includes(addressType)) {
    errors.push(notSupported('addressType', addressType, addressTypes));
  }
  if (endpoints.length > endpointsMax) {
    errors.push(tooMany('endpoints', endpoints.length, endpointsMax));
    return errors;
  }
  for (const [index, endpoint] of endpoints.entries()) {
    errors.push(...validateEndpoint(endpoint, addressType, `endpoints[${index}]`));
  }
  if (ports.length > portsMax) errors.push(tooMany('ports', ports.length, portsMax));
  const names = new Set<string>();
  for (const [index, port] of ports.entries()) {
    errors.push(...validatePort(port, names, `ports[${index}]`));
  }
  return errors;
}

function validateEndpoint(endpoint: Endpoint, addressType: string, field: string): FieldError[] {
  const errors: FieldError[] = [];
  const { addresses = [], hostname, nodeName } = endpoint;
  if (addresses.length === 0)
    errors.push(required(`${field}.addresses`, 'must contain at least 1 address'));
  if (addresses.length > addressesMax) {
    errors.push(tooMany(`${field}.addresses`, addresses.length, addressesMax));
  }
  for (const [index, address] of addresses.entries()) {
    errors.push(...validateAddress(address, addressType, `${field}.addresses[${index}]`));
  }
  for (const problem of nodeName ? subdomainProblems(nodeName) : []) {
    errors.push(invalid(`${field}.nodeName`, nodeName, problem));
  }
  for (const problem of hostname ? labelProblems(hostname) : []) {
    errors.push(invalid(`${field}.hostname`, hostname, problem));
  }
  return errors;
}

function validateAddress(address: string, addressType: string, field: string): FieldError[] {
  const list = field.replace(/\[\d+\]$/, '');
  const isVersion = (version: 4 | 6): FieldError[] =>
    parseAddress(address)?.version === version
      ? []
      : [invalid(list, address, `must be an IPv${version} address`)];
  const orUse = (errors: FieldError[], version: 4 | 6): FieldError[] =>
    errors.length > 0 ? errors : isVersion(version);
  switch (addressType) {
    case 'IPv4':
      return orUse(validateIP(address, field), 4);
    case 'IPv6':
      return orUse(validateCanonicalIP(address, field), 6);
    case 'FQDN':
      return subdomainProblems(address).map((problem) => invalid(field, address, problem));
    default:
      return [];
  }
}

function validatePort(port: EndpointPort, names: Set<string>, field: string): FieldError[] {
  const errors: FieldError[] = [];
  const name = port.name ?? '';
  if (name !== '') {
    for (const problem of labelProblems(name)) errors.push(invalid(`${field}.name`, name, problem));
  }
  if (names.has(name)) {
    errors.push({
      type: 'FieldValueDuplicate',
      field: `${field}.name`,
      badValue: name,
      detail: '',
    });
  }
  names.add(name);
  if (!port.protocol) errors.push(required(`${field}.protocol`));
  else if (!protocols.includes(port.protocol)) {
    errors.push(notSupported(`${field}.protocol`, port.protocol, protocols));
  }
  if (port.appProtocol) {
    for (const problem of qualifiedNameProblems(port.appProtocol)) {
      errors.push(invalid(`${field}.appProtocol`, port.appProtocol, problem));
    }
  }
  return errors;
}
