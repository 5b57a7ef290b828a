/**
 * Probes of many pods, each every second: a server of ours is asked by all of them and notes when.
 * Drift is how far the mean pause of a pod is from a second; late is the longest pause of any.
 */
import { createServer } from 'node:http';
import { systemClock } from '#kit/clock.ts';
import type { BenchNode } from './bench-node.ts';

const clock = systemClock();
const { signal } = new AbortController();

export async function measureProbes(
  node: BenchNode,
  options: {
    readonly count: number;
    readonly lastsMs: number;
    print(what: string, value: number, goal: number | undefined, unit: string): void;
  },
): Promise<void> {
  const asked = new Map<string, number[]>();
  const server = createServer((request, response) => {
    const times = asked.get(request.url ?? '') ?? [];
    times.push(clock.monotonic());
    asked.set(request.url ?? '', times);
    response.end('ok');
  });
  await new Promise<void>((resolve) => server.listen(0, () => resolve()));
  const address = server.address();
  const port = typeof address === 'object' && address !== null ? address.port : 0;
  const names = Array.from({ length: options.count }, (_, index) => `probed-${index}`);
  const httpGet = (name: string) => ({ host: node.nodeIP, port, path: `/${name}` });
  await node.start(names, (name) => {
    const [container] = idleContainers();
    // On a machine that is too busy to answer in time it is the pace that is measured, no restarts.
    const livenessProbe = { httpGet: httpGet(name), periodSeconds: 1, failureThreshold: 1000 };
    return { containers: [{ ...container, livenessProbe }] };
  });
  // Until all have been asked once.
  while (asked.size < options.count) await clock.sleep(50, { signal });
  const before = node.use();
  asked.clear();
  const begin = clock.monotonic();
  await clock.sleep(options.lastsMs, { signal });
  const lasted = clock.monotonic() - begin;
  const after = node.use();
  const { print } = options;
  const all = [...asked.values()];
  const drifts = all.map((times) => Math.abs(mean(pauses(times)) - 1000));
  const fewest = Math.min(...all.map(({ length }) => length));
  print(`${options.count} probes a second: of each, at least`, fewest, undefined, '');
  print('probes: drift of the worst, for each', Math.max(...drifts), 5, 'ms');
  print('probes: longest pause', Math.max(...all.flatMap(pauses)), undefined, 'ms');
  print(
    'kubelet processor while probing',
    (100 * (after.cpuMs - before.cpuMs)) / lasted,
    undefined,
    '%',
  );
  if (all.length < options.count) throw new Error('a pod was not probed');
  await node.removeAll(names);
  server.closeAllConnections();
  server.close();
}

function idleContainers() {
  return [
    {
      name: 'main',
      image: 'localhost/busybox:1.35',
      command: ['sh', '-c', 'trap exit TERM; sleep 86400 & wait'],
    },
  ] as const;
}

function pauses(times: readonly number[]): readonly number[] {
  return times.slice(1).map((time, index) => time - (times[index] ?? time));
}

function mean(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}
