/**
 * Where `pods/NAME/proxy` and `services/NAME/proxy` lead: from the name in the path to an address.
 *
 * The name may carry a scheme and a port, `https:web:443`. Of a pod the port is a number, and
 * without one its first container port; of a Service it is one of its ports by name or number, and
 * then one ready endpoint out of its EndpointSlices is taken by chance. Reads the store only;
 * `kubelet-proxy.ts` sends the request there.
 */
import { badRequest, notFound, serviceUnavailable } from '#api/errors.ts';
import type { Random } from '#kit/random.ts';
import type { Pod, Service } from '#resources/types/core-v1.ts';
import type { EndpointSlice } from '#resources/types/discovery-v1.ts';
import type { Store } from '#store';
import { storedObject, storedObjects } from '../registry.ts';
import type { ResourceInfo } from '../request.ts';

export interface ProxyTarget {
  readonly scheme: 'http' | 'https';
  readonly host: string;
  readonly port: number;
  /** What follows `/proxy`, with the query, as it was sent. */
  readonly path: string;
}

interface Deps {
  readonly store: Store;
  readonly random: Random;
}

interface NameParts {
  readonly scheme: 'http' | 'https';
  readonly name: string;
  readonly port: string;
}

export function findProxyTarget(deps: Deps, info: ResourceInfo, rawPath: string): ProxyTarget {
  const { rest } = splitProxyPath(rawPath);
  const parts = parseProxyName(info.name);
  if (parts === undefined) throw badRequest(`invalid ${info.plural} request ${quote(info.name)}`);
  const { scheme } = parts;
  const at =
    info.plural === 'pods'
      ? podAddress(deps, info.namespace, parts)
      : serviceAddress(deps, info.namespace, parts);
  return { scheme, ...at, path: rest.startsWith('/') ? rest : `/${rest}` };
}

const proxyPrefix =
  /^\/+api\/+v1\/+(?:nodes|namespaces\/+[^/?]+\/+(?:pods|services))\/+[^/?]+\/+proxy(?=[/?]|$)/;

/** `/api/v1/namespaces/x/pods/y/proxy/a/b?c`: the prefix up to `/proxy`, and what follows it. */
export function splitProxyPath(path: string): { readonly prefix: string; readonly rest: string } {
  const prefix = proxyPrefix.exec(path)?.[0] ?? path;
  return { prefix, rest: path.slice(prefix.length) };
}

/** `name`, `name:port`, `scheme:name:port`; the last two parts may be empty. */
export function parseProxyName(text: string): NameParts | undefined {
  const parts = text.split(':');
  const [first = '', second = '', third = ''] = parts;
  if (parts.length <= 2) {
    return first === '' ? undefined : { scheme: 'http', name: first, port: second };
  }
  if (parts.length > 3 || second === '' || !/^(https?)?$/.test(first)) return undefined;
  return { scheme: first === 'https' ? 'https' : 'http', name: second, port: third };
}

interface Address {
  readonly host: string;
  readonly port: number;
}

function podAddress({ store }: Deps, namespace: string, { name, port }: NameParts): Address {
  const pod = storedObject<Pod>(store, `pods/${namespace}/${name}`);
  if (pod === undefined) throw notFound({ group: '', resource: 'pods' }, name);
  const host = pod.status?.podIP ?? '';
  if (host === '') throw badRequest('address not allowed');
  if (port !== '') return { host, port: portNumber(port, name) };
  const first = pod.spec?.containers.flatMap(({ ports = [] }) => ports)[0]?.containerPort;
  return { host, port: first ?? 80 };
}

function portNumber(text: string, name: string): number {
  const port = Number(text);
  if (/^\d+$/.test(text) && port > 0 && port < 65_536) return port;
  throw badRequest(`invalid pod request ${quote(`${name}:${text}`)}`);
}

function serviceAddress(deps: Deps, namespace: string, { name, port }: NameParts): Address {
  const { store, random } = deps;
  const service = storedObject<Service>(store, `services/specs/${namespace}/${name}`);
  if (service === undefined) throw notFound({ group: '', resource: 'services' }, name);
  const portName = servicePortName(service, port);
  const found: Address[] = [];
  for (const slice of storedObjects<EndpointSlice>(store, `endpointslices/${namespace}/`)) {
    if (slice.metadata.labels?.['kubernetes.io/service-name'] !== name) continue;
    found.push(...sliceAddresses(slice, portName));
  }
  const chosen = found[random.integer(Math.max(found.length, 1))];
  if (chosen === undefined) {
    throw serviceUnavailable(`no endpoints available for service ${quote(name)}`);
  }
  return chosen;
}

function servicePortName({ metadata, spec }: Service, port: string): string {
  const { ports = [] } = spec ?? {};
  if (port === '') return ports.length === 1 ? (ports[0]?.name ?? '') : '';
  const named = ports.find((each) => each.name === port);
  const numbered = /^\d+$/.test(port) ? ports.find((each) => each.port === Number(port)) : named;
  const found = named ?? numbered;
  if (found !== undefined) return found.name ?? '';
  const what = /^\d+$/.test(port) ? `no service port ${port}` : `no service port ${quote(port)}`;
  throw serviceUnavailable(`${what} found for service ${quote(metadata.name ?? '')}`);
}

function sliceAddresses({ ports, endpoints }: EndpointSlice, portName: string): Address[] {
  const port = ports?.find(({ name }) => (name ?? '') === portName)?.port;
  if (port === undefined) return [];
  return (endpoints ?? [])
    .filter(({ conditions }) => conditions?.ready !== false)
    .flatMap(({ addresses }) => addresses.map((host) => ({ host, port })));
}

function quote(text: string): string {
  return JSON.stringify(text);
}
