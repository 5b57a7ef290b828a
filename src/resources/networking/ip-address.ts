/**
 * IPAddress and ServiceCIDR: an address that is taken, named by itself, and a range from which
 * Services get theirs. Nothing allocates by them yet: the API server keeps its own account
 * (`apiserver/services/`).
 */
import { isIP, SocketAddress } from 'node:net';
import { type FieldError, invalid, required } from '#api/field-error.ts';
import { nameProblems, subdomainProblems } from '#api/names.ts';
import { defineResource, type Resource } from '#api/resource.ts';
import { parseAddress, parseNetwork } from '#kit/ip-network.ts';
import { jsonEqual } from '#kit/json-equal.ts';
import { ageColumn, nameColumn } from '../columns.ts';
import { parseBlock, validateBlock } from '../ip-block.ts';
import { sameShapeView } from '../legacy-view.ts';
import { statusAlone } from '../status-update.ts';
import { textColumn } from '../text-column.ts';
import type { IPAddress, ServiceCIDR } from '../types/networking-v1.ts';
import { hubView } from '../view.ts';

const blocksMax = 2;

export function ipAddressResource(): Resource {
  const view = hubView<IPAddress>({
    group: 'networking.k8s.io',
    version: 'v1',
    definition: 'io.k8s.api.networking.v1.IPAddress',
  });
  return defineResource<IPAddress>({
    kind: 'IPAddress',
    plural: 'ipaddresses',
    singular: 'ipaddress',
    shortNames: ['ip'],
    categories: [],
    namespaced: false,
    storagePrefix: 'ipaddresses',
    views: [view, sameShapeView(view, { version: 'v1beta1' })],
    hasStatus: false,
    specChanged: () => false,
    // An IPv6 address is no DNS name; validation below says what it is.
    nameRule: 'pathSegment',
    validate: validateIPAddress,
    validateUpdate: (next, old) =>
      jsonEqual(next.spec?.parentRef, old.spec?.parentRef)
        ? []
        : [invalid('spec.parentRef', next.spec?.parentRef, 'field is immutable')],
    columns: [
      nameColumn(),
      textColumn({
        name: 'ParentRef',
        description: 'Who has the address.',
        cell: ({ spec }) => {
          const { group = '', resource, namespace = '', name } = spec.parentRef;
          const of = group === '' ? resource : `${resource}.${group}`;
          return [of.toLowerCase(), ...(namespace === '' ? [] : [namespace]), name].join('/');
        },
      }),
    ],
  });
}

const noAddress = 'must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)';

function validateIPAddress({ metadata, spec }: IPAddress): FieldError[] {
  const { name = '', generateName = '' } = metadata;
  const errors: FieldError[] = [];
  if (generateName !== '') errors.push(invalid('metadata.generateName', generateName, noAddress));
  const version = isIP(name);
  if (name === '') {
    // The checks of metadata ask for one.
  } else if (version === 0) {
    errors.push(invalid('metadata.name', name, noAddress));
  } else if (canonicalAddress(name, version === 4 ? 'ipv4' : 'ipv6') !== name) {
    errors.push(invalid('metadata.name', name, 'must be a canonical format IP address'));
  }
  const parent = spec?.parentRef;
  if (parent === undefined || parent === null) return [...errors, required('spec.parentRef')];
  for (const problem of parent.group ? subdomainProblems(parent.group) : []) {
    errors.push(invalid('spec.parentRef.group', parent.group, problem));
  }
  for (const key of ['resource', 'name', 'namespace'] as const) {
    const value = parent[key] ?? '';
    const field = `spec.parentRef.${key}`;
    if (value === '') {
      if (key !== 'namespace') errors.push(required(field));
      continue;
    }
    for (const problem of nameProblems(value, 'pathSegment', { generated: false })) {
      errors.push(invalid(field, value, problem));
    }
  }
  return errors;
}

function canonicalAddress(address: string, family: 'ipv4' | 'ipv6'): string {
  return new SocketAddress({ address, family }).address;
}

export function serviceCIDRResource(): Resource {
  const view = hubView<ServiceCIDR>({
    group: 'networking.k8s.io',
    version: 'v1',
    definition: 'io.k8s.api.networking.v1.ServiceCIDR',
  });
  return defineResource<ServiceCIDR>({
    kind: 'ServiceCIDR',
    plural: 'servicecidrs',
    singular: 'servicecidr',
    shortNames: [],
    categories: [],
    namespaced: false,
    storagePrefix: 'servicecidrs',
    metadataRechecked: 'change',
    views: [view, sameShapeView(view, { version: 'v1beta1' })],
    hasStatus: true,
    specChanged: () => false,
    prepareForCreate: (range) => ({ ...range, status: {} }),
    prepareForUpdate: (next, old) => ({ ...next, status: old.status }),
    prepareForStatusUpdate: statusAlone,
    validate: validateServiceCIDR,
    updateJudgedAlone: true,
    validateUpdate: validateServiceCIDRUpdate,
    columns: [
      nameColumn(),
      textColumn({
        name: 'CIDRs',
        description: 'Blocks of addresses.',
        cell: ({ spec }) => (spec?.cidrs ?? []).join(','),
      }),
      ageColumn(),
    ],
  });
}

function validateServiceCIDR({ spec }: ServiceCIDR): FieldError[] {
  const cidrs = spec?.cidrs ?? [];
  if (cidrs.length === 0) return [required('spec.cidrs', 'at least one CIDR required')];
  if (cidrs.length > blocksMax) {
    // Upstream shows the whole of the spec here.
    return [invalid('spec.cidrs', { cidrs }, 'may only hold up to 2 values')];
  }
  const errors = cidrs.flatMap((cidr, index) => validateRange(cidr, `spec.cidrs[${index}]`));
  const families = cidrs.map((cidr) => parseBlock(cidr)?.family);
  if (errors.length === 0 && cidrs.length === blocksMax && families[0] === families[1]) {
    const detail =
      'may specify no more than one IP for each IP family, i.e 192.168.0.0/24 and 2001:db8::/64';
    errors.push(invalid('spec.cidrs', cidrs, detail));
  }
  return errors;
}

function validateRange(cidr: string, field: string): FieldError[] {
  const network = parseNetwork(cidr);
  const [address = ''] = cidr.split('/');
  if (network === undefined || parseAddress(address)?.value === network.base) {
    return validateBlock(cidr, field);
  }
  return [invalid(field, cidr, 'must not have bits set beyond the prefix length')];
}

/** What is given out stays; a second family may be added. */
function validateServiceCIDRUpdate(next: ServiceCIDR, old: ServiceCIDR): FieldError[] {
  const now = next.spec?.cidrs ?? [];
  const was = old.spec?.cidrs ?? [];
  const immutable = 'field is immutable';
  const isGrown = was.length === 1 && now.length === blocksMax;
  if (now.length !== was.length && !isGrown) {
    return [invalid('spec.cidrs', next.spec?.cidrs ?? null, immutable)];
  }
  const changed = was.flatMap((cidr, index) =>
    cidr === now[index] ? [] : [invalid(`spec.cidrs[${index}]`, now[index], immutable)],
  );
  return isGrown ? [...changed, ...validateServiceCIDR(next)] : changed;
}
