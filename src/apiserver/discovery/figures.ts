/**
 * Figures that need no counting: they are there when somebody asks for `/metrics`. Stored objects
 * by kind, addresses and ports of Services that are taken and free, and the process itself.
 */
import { readdirSync, readFileSync } from 'node:fs';
import type { Parts } from '../parts.ts';
import { prefixOf, registryRoot } from '../registry.ts';
import { isWithin, spanOf } from '../services/addresses.ts';
import { portPrefix } from '../services/node-ports.ts';
import { serviceRanges } from '../services/service-allocator.ts';
import { versionDocument } from './version.ts';

type FigureParts = Pick<Parts, 'store' | 'catalog' | 'clock' | 'options'>;

export function formatFigures(parts: FigureParts): string {
  const lines = [...objects(parts), ...allocations(parts), ...processFigures(parts.clock.now())];
  return lines.map((line) => `${line}\n`).join('');
}

function* objects({ store, catalog }: FigureParts): Iterable<string> {
  const counts = [...catalog.resources].map((resource) => ({
    group: resource.views[0]?.group ?? '',
    resource: resource.plural,
    count: store.count(prefixOf(resource, '')),
  }));
  const name = 'apiserver_resource_objects';
  yield* family(name, 'gauge', 'Stored objects of each kind.');
  for (const { group, resource, count } of counts) {
    yield `${name}{group="${group}",resource="${resource}"} ${count}`;
  }
  const old = 'apiserver_storage_objects';
  yield* family(old, 'gauge', 'The same under its older name.');
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
  yield* family(`${allocator}_allocated_ips`, 'gauge', 'Addresses of Services that are taken.');
  for (const { cidr, taken } of ranges) {
    yield `${allocator}_allocated_ips{cidr="${cidr}"} ${taken}`;
  }
  yield* family(`${allocator}_available_ips`, 'gauge', 'Addresses of Services that are free.');
  for (const { cidr, free } of ranges) yield `${allocator}_available_ips{cidr="${cidr}"} ${free}`;
  const { first, last } = options.nodePortRange;
  const ports = store.count(portPrefix);
  const name = 'kube_apiserver_nodeport_allocator';
  yield* gauge(`${name}_allocated_ports`, 'Ports of nodes that are taken.', ports);
  yield* gauge(`${name}_available_ports`, 'Ports that are free.', last - first + 1 - ports);
}

/** What Prometheus expects of any process, and what is particular to Node. */
function* processFigures(nowMs: number): Iterable<string> {
  const { user, system } = process.cpuUsage();
  const seconds = (user + system) / 1e6;
  yield* family('process_cpu_seconds_total', 'counter', 'Time of processors used.');
  yield `process_cpu_seconds_total ${seconds}`;
  const { rss, heapTotal, heapUsed, external } = process.memoryUsage();
  yield* gauge('process_resident_memory_bytes', 'Memory in use.', rss);
  yield* kernelFigures();
  const began = Math.round(nowMs / 1000 - process.uptime());
  yield* gauge('process_start_time_seconds', 'When the process began, since 1970.', began);
  yield* gauge('nodejs_heap_size_total_bytes', 'Memory that is kept for objects.', heapTotal);
  yield* gauge('nodejs_heap_size_used_bytes', 'Memory of objects.', heapUsed);
  yield* gauge('nodejs_external_memory_bytes', 'Memory that objects refer to.', external);
  yield* family('nodejs_version_info', 'gauge', 'Which version of Node this runs on.');
  yield `nodejs_version_info{version="${process.version}"} 1`;
  const { major, minor, gitVersion, platform } = versionDocument();
  const labels = `git_version="${gitVersion}",major="${major}",minor="${minor}"`;
  yield* family('kubernetes_build_info', 'gauge', 'Which version this speaks.');
  yield `kubernetes_build_info{${labels},platform="${platform}"} 1`;
}

/** What the kernel says; nothing where there is no /proc. */
function* kernelFigures(): Iterable<string> {
  let open: number;
  let limits: string;
  let pages: string;
  try {
    open = readdirSync('/proc/self/fd').length - 1;
    limits = readFileSync('/proc/self/limits', 'utf8');
    pages = readFileSync('/proc/self/stat', 'utf8');
  } catch {
    return;
  }
  yield* gauge('process_open_fds', 'Files and connections that are open.', open);
  const most = /^Max open files\s+(\d+)/m.exec(limits)?.[1];
  if (most !== undefined) yield* gauge('process_max_fds', 'How many may be open.', Number(most));
  // Behind the name in brackets, which may hold anything; the 23rd field is in bytes.
  const fields = pages.slice(pages.lastIndexOf(')') + 2).split(' ');
  const size = Number(fields[20] ?? 0);
  yield* gauge('process_virtual_memory_bytes', 'Addresses that are mapped.', size);
}

function* gauge(name: string, help: string, value: number): Iterable<string> {
  yield* family(name, 'gauge', help);
  yield `${name} ${value}`;
}

export function* family(name: string, type: string, help: string): Iterable<string> {
  yield `# HELP ${name} ${help}`;
  yield `# TYPE ${name} ${type}`;
}
