/**
 * What Prometheus expects of any process, and what is particular to Node, as lines of its format.
 *
 * For `/metrics` of the API server and of the components' own servers: where several run in one
 * process they all tell of that process.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { familyHead, gaugeLines } from './metric-family.ts';

export function* processFigures(nowMs: number): Iterable<string> {
  const { user, system } = process.cpuUsage();
  const seconds = (user + system) / 1e6;
  yield* familyHead('process_cpu_seconds_total', 'counter', 'Time of processors used.');
  yield `process_cpu_seconds_total ${seconds}`;
  const { rss, heapTotal, heapUsed, external } = process.memoryUsage();
  yield* gaugeLines('process_resident_memory_bytes', 'Memory in use.', rss);
  yield* kernelFigures();
  const began = Math.round(nowMs / 1000 - process.uptime());
  yield* gaugeLines('process_start_time_seconds', 'When the process began, since 1970.', began);
  yield* gaugeLines('nodejs_heap_size_total_bytes', 'Memory that is kept for objects.', heapTotal);
  yield* gaugeLines('nodejs_heap_size_used_bytes', 'Memory of objects.', heapUsed);
  yield* gaugeLines('nodejs_external_memory_bytes', 'Memory that objects refer to.', external);
  yield* familyHead('nodejs_version_info', 'gauge', 'Which version of Node this runs on.');
  yield `nodejs_version_info{version="${process.version}"} 1`;
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
  yield* gaugeLines('process_open_fds', 'Files and connections that are open.', open);
  const most = /^Max open files\s+(\d+)/m.exec(limits)?.[1];
  if (most !== undefined)
    yield* gaugeLines('process_max_fds', 'How many may be open.', Number(most));
  // Behind the name in brackets, which may hold anything; the 23rd field is in bytes.
  const fields = pages.slice(pages.lastIndexOf(')') + 2).split(' ');
  const size = Number(fields[20] ?? 0);
  yield* gaugeLines('process_virtual_memory_bytes', 'Addresses that are mapped.', size);
}
