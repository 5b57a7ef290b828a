/**
 * Endpoints: the addresses behind a Service in one object, as they were listed before there were
 * EndpointSlices. Still written for those who read them; deprecated in name.
 */
import { isIP } from 'node:net';
import { type FieldError, invalid, notSupported, required } from '#api/field-error.ts';
import { labelProblems, qualifiedNameProblems, subdomainProblems } from '#api/names.ts';
import { defineResource, type Resource } from '#api/resource.ts';
import { jsonEqual } from '#kit/json-equal.ts';
import { ageColumn, nameColumn } from '../columns.ts';
import { changeMember, fillIn, mapItems } from '../fill-in.ts';
import { ipWarnings, validateEndpointIP, validateIP } from '../ip-syntax.ts';
import type { EndpointAddress, EndpointPort, EndpointSubset, Endpoints } from '../types/core-v1.ts';
import { protocols, validatePort } from '../value-validation.ts';
import { hubView } from '../view.ts';

const shownMax = 3;

export function endpointsResource(): Resource {
  return defineResource<Endpoints>({
    kind: 'Endpoints',
    plural: 'endpoints',
    singular: 'endpoints',
    shortNames: ['ep'],
    categories: [],
    namespaced: true,
    storagePrefix: 'services/endpoints',
    views: [
      hubView<Endpoints>({
        group: '',
        version: 'v1',
        definition: 'io.k8s.api.core.v1.Endpoints',
        setDefaults: setEndpointsDefaults,
      }),
    ],
    hasStatus: false,
    specChanged: () => false,
    allowCreateOnUpdate: true,
    validate: ({ subsets = [] }) =>
      subsets.flatMap((subset, index) => validateSubset(subset, `subsets[${index}]`)),
    warnings: ({ subsets = [] }, old) =>
      old !== undefined && jsonEqual(old.subsets, subsets) ? [] : addressWarnings(subsets),
    columns: [
      nameColumn(),
      {
        name: 'Endpoints',
        type: 'string',
        description: 'Addresses with their ports.',
        priority: 0,
        cell: formatEndpoints,
      },
      ageColumn(),
    ],
  });
}

function addressWarnings(subsets: readonly EndpointSubset[]): readonly string[] {
  return subsets.flatMap((subset, index) =>
    (['addresses', 'notReadyAddresses'] as const).flatMap((list) =>
      (subset[list] ?? []).flatMap(({ ip }, at) =>
        ipWarnings(ip, `subsets[${index}].${list}[${at}].ip`),
      ),
    ),
  );
}

function setEndpointsDefaults(endpoints: Endpoints): Endpoints {
  return changeMember(endpoints, 'subsets', (subsets) =>
    mapItems(subsets, (subset) =>
      changeMember(subset, 'ports', (ports) =>
        mapItems(ports, (port) => fillIn(port, { protocol: 'TCP' })),
      ),
    ),
  );
}

function validateSubset(subset: EndpointSubset, field: string): FieldError[] {
  const { addresses = [], notReadyAddresses = [], ports = [] } = subset;
  const errors: FieldError[] = [];
  if (addresses.length === 0 && notReadyAddresses.length === 0) {
    errors.push(required(field, 'must specify `addresses` or `notReadyAddresses`'));
  }
  for (const [index, address] of addresses.entries()) {
    errors.push(...validateAddress(address, `${field}.addresses[${index}]`));
  }
  for (const [index, address] of notReadyAddresses.entries()) {
    errors.push(...validateAddress(address, `${field}.notReadyAddresses[${index}]`));
  }
  for (const [index, port] of ports.entries()) {
    errors.push(
      ...validateEndpointPort(port, `${field}.ports[${index}]`, { named: ports.length > 1 }),
    );
  }
  return errors;
}

function validateAddress({ ip, hostname, nodeName }: EndpointAddress, field: string): FieldError[] {
  const errors: FieldError[] = [];
  const at = `${field}.ip`;
  errors.push(...validateIP(ip, at));
  if (hostname) {
    const problems = labelProblems(hostname);
    errors.push(...problems.map((text) => invalid(`${field}.hostname`, hostname, text)));
  }
  if (nodeName !== undefined) {
    const problems = subdomainProblems(nodeName);
    errors.push(...problems.map((text) => invalid(`${field}.nodeName`, nodeName, text)));
  }
  // Upstream looks twice, with different words.
  return [...errors, ...validateEndpointIP(ip ?? '', at)];
}

function validateEndpointPort(
  { name, port, protocol, appProtocol }: EndpointPort,
  field: string,
  { named }: { readonly named: boolean },
): FieldError[] {
  const errors: FieldError[] = [];
  if (name) errors.push(...labelProblems(name).map((text) => invalid(`${field}.name`, name, text)));
  else if (named) errors.push(required(`${field}.name`));
  errors.push(...validatePort(port ?? 0, `${field}.port`));
  if (!protocol) errors.push(required(`${field}.protocol`));
  else if (!protocols.includes(protocol)) {
    errors.push(notSupported(`${field}.protocol`, protocol, protocols));
  }
  if (appProtocol !== undefined) {
    const problems = qualifiedNameProblems(appProtocol);
    errors.push(...problems.map((text) => invalid(`${field}.appProtocol`, appProtocol, text)));
  }
  return errors;
}

function formatEndpoints({ subsets = [] }: Endpoints): string {
  if (subsets.length === 0) return '<none>';
  const all = subsets.flatMap(({ addresses = [], ports = [] }) => {
    if (ports.length === 0) return addresses.map(({ ip }) => ip);
    return ports.flatMap(({ port }) =>
      addresses.map(({ ip }) => (isIP(ip) === 6 ? `[${ip}]:${port}` : `${ip}:${port}`)),
    );
  });
  const shown = all.slice(0, shownMax).join(',');
  const more = all.length - shownMax;
  return more > 0 ? `${shown} + ${more} more...` : shown;
}
