/**
 * Figures that need no counting: they are there when somebody asks for `/metrics`. Stored objects
 * by kind, addresses and ports of Services that are taken and free, and the process itself.
 */
import { buildFigures } from '#api/version.ts';
import { familyHead, gaugeLines } from '#kit/metric-family.ts';
import { processFigures } from '#kit/process-figures.ts';
import type { Parts } from '../parts.ts';
import { prefixOf, registryRoot } from '../registry.ts';
import { isWithin, spanOf } from '../services/addresses.ts';
import { portPrefix } from '../services/node-ports.ts';
import { serviceRanges } from '../services/service-allocator.ts';

type FigureParts = Pick<Parts, 'store' | 'catalog' | 'clock' | 'options'>;

export function formatFigures(parts: FigureParts): string {
  const lines = [...objects(parts), ...allocations(parts), ...ownFigures(parts.clock.now())];
  return lines.map((line) => `${line}\n`).join('');
}

function* objects({ store, catalog }: FigureParts): Iterable<string> {
  const counts = [...catalog.resources].map((resource) => ({
    group: resource.views[0]?.group ?? '',
    resource: resource.plural,
    count: store.count(prefixOf(resource, '')),
  }));
  const name = 'apiserver_resource_objects';
  yield* familyHead(name, 'gauge', 'Stored objects of each kind.');
  for (const { group, resource, count } of counts) {
    yield `${name}{group="${group}",resource="${resource}"} ${count}`;
  }
  const old = 'apiserver_storage_objects';
  yield* familyHead(old, 'gauge', 'The same under its older name.');
  for (const { group, resource, count } of counts) {
    const full = group === '' ? resource : `${resource}.${group}`;
    yield `${old}{resource="${full}"} ${count}`;
  }
}

function* allocations({ store, options }: FigureParts): Iterable<string> {
  const prefix = `${registryRoot}ipaddresses/`;
  const names = store.list({ prefix }).entries.map(({ key }) => key.slice(prefix.length));
  const ranges = serviceRanges(options).map((cidr) => {
    const span = spanOf(cidr);
    const taken = span === undefined ? 0 : names.filter((name) => isWithin([span], name)).length;
    const free = Number(span?.size ?? 0n) - taken;
    return { cidr, taken, free };
  });
  const allocator = 'kube_apiserver_clusterip_allocator';
  yield* familyHead(`${allocator}_allocated_ips`, 'gauge', 'Addresses of Services that are taken.');
  for (const { cidr, taken } of ranges) {
    yield `${allocator}_allocated_ips{cidr="${cidr}"} ${taken}`;
  }
  yield* familyHead(`${allocator}_available_ips`, 'gauge', 'Addresses of Services that are free.');
  for (const { cidr, free } of ranges) yield `${allocator}_available_ips{cidr="${cidr}"} ${free}`;
  const { first, last } = options.nodePortRange;
  const ports = store.count(portPrefix);
  const name = 'kube_apiserver_nodeport_allocator';
  yield* gaugeLines(`${name}_allocated_ports`, 'Ports of nodes that are taken.', ports);
  yield* gaugeLines(`${name}_available_ports`, 'Ports that are free.', last - first + 1 - ports);
}

/** Of the process, and which version this is. */
function* ownFigures(nowMs: number): Iterable<string> {
  yield* processFigures(nowMs);
  yield* buildFigures();
}
