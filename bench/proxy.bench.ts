/**
 * The service proxy's table with 10,000 services of three endpoints (1,000 and no comparison when
 * small) in a network namespace of its own: planning, loading, changing one service; and the same
 * content as one chain per endpoint, for comparison. `npm run bench -- proxy`.
 *
 * Goals: load within 3 s, one change within 150 ms (about 1.2 s and 20 ms on an idle machine), and
 * load at least 4 times faster than chains.
 */
import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { systemClock } from '#kit/clock.ts';
import { silentLog } from '#kit/log.ts';
import { mustRun } from '#kit/run-command.ts';
import { runServiceProxy } from '#proxy';
import { endpointSlices, services } from '#resources/kinds.ts';
import type { Service } from '#resources/types/core-v1.ts';
import type { EndpointSlice } from '#resources/types/discovery-v1.ts';
import { FakeInformers } from '#test/fake-informers.ts';

const clock = systemClock();
const { signal } = new AbortController();
const timeoutMs = 120_000;
const endpointsEach = 3;

export default async function run({ small }: { readonly small: boolean }): Promise<void> {
  if (process.getuid?.() !== 0 || process.platform !== 'linux') {
    console.log('  left out: needs root on Linux');
    return;
  }
  const count = small ? 1_000 : 10_000;
  await using place = await openPlace();
  const maps = await measureProxy(place, count);
  const missed = [
    ...print(`${count} services, load (plan, format, nft)`, maps.loadMs, small ? 1_500 : 3_000),
    ...print('one endpoint of one service changes', maps.changeMs, 150),
  ];
  // Chains grow worse with their number, so a small run says nothing about them.
  if (small) return;
  const chainsMs = await measureChains(place, count);
  const ratio = chainsMs / maps.loadMs;
  console.log(
    `  ${'the same as chains'.padEnd(44)} ${chainsMs.toFixed(0)} ms, ${ratio.toFixed(1)} times`,
  );
  if (missed.length > 0) throw new Error(missed.join('; '));
  if (ratio < 4) throw new Error(`maps load only ${ratio.toFixed(1)} times faster than chains`);
}

/** What is missed, if it is. */
function print(what: string, ms: number, goalMs: number): readonly string[] {
  console.log(`  ${what.padEnd(44)} ${ms.toFixed(1)} ms (goal ${goalMs})`);
  return ms > goalMs ? [`${what}: ${ms.toFixed(1)} ms, goal ${goalMs}`] : [];
}

interface Place extends AsyncDisposable {
  /** Applies a file in the namespace. */
  nft(text: string): Promise<void>;
}

async function openPlace(): Promise<Place> {
  const folder = mkdtempSync(join(tmpdir(), 'coracle-bench-'));
  const child = spawn('unshare', ['--net', 'sh', '-c', 'echo ready; exec sleep 600'], {
    stdio: ['ignore', 'pipe', 'ignore'],
  });
  await new Promise((resolve) => child.stdout.once('data', resolve));
  const file = join(folder, 'rules.nft');
  return {
    nft: async (text) => {
      writeFileSync(file, text);
      const args = [`--net=/proc/${child.pid}/ns/net`, 'nft', '-f', file];
      await mustRun('nsenter', args, { signal, timeoutMs });
    },
    [Symbol.asyncDispose]: async () => {
      const exit = new Promise((resolve) => child.once('exit', resolve));
      child.kill('SIGKILL');
      await exit;
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

async function measureProxy(
  place: Place,
  count: number,
): Promise<{ readonly loadMs: number; readonly changeMs: number }> {
  const informers = new FakeInformers();
  let applied = Promise.withResolvers<void>();
  const stop = new AbortController();
  const proxy = runServiceProxy(
    {
      ...{ informers, clock, log: silentLog },
      nft: async (text) => {
        await place.nft(text);
        applied.resolve();
      },
      flows: { list: async () => [], forget: async () => {} },
    },
    {
      ...{ nodeName: 'node-1', clusterId: 'bench', clusterCIDR: '10.42.0.0/16' },
      signal: stop.signal,
    },
  );
  for (let i = 0; i < count; i++) {
    informers.put(services, serviceOf(i));
    informers.put(endpointSlices, sliceOf(i, 0));
  }
  const loadStartMs = clock.monotonic();
  informers.finishList();
  await applied.promise;
  const loadMs = clock.monotonic() - loadStartMs;
  const changes: number[] = [];
  for (let i = 1; i <= 15; i++) {
    applied = Promise.withResolvers<void>();
    const startMs = clock.monotonic();
    informers.put(endpointSlices, sliceOf(7, i));
    await applied.promise;
    changes.push(clock.monotonic() - startMs);
  }
  stop.abort(new Error('measured'));
  await proxy;
  return { loadMs, changeMs: changes.sort((a, b) => a - b)[7] ?? 0 };
}

/** Verdict map, a chain per service, a chain per endpoint. */
async function measureChains(place: Place, count: number): Promise<number> {
  const chains: string[] = [];
  const places: string[] = [];
  for (let i = 0; i < count; i++) {
    const targets = endpointsOf(i, 0);
    for (const [index, address] of targets.entries()) {
      chains.push(`chain end-${i}-${index} {\n ip protocol tcp dnat to ${address}:8080\n}`);
    }
    const goto = targets.map((_, index) => `${index} : goto end-${i}-${index}`).join(', ');
    const rule = `numgen random mod ${targets.length} vmap { ${goto} }`;
    chains.push(`chain service-${i} {\n ${rule}\n}`);
    places.push(`${addressOf(i)} . tcp . 80 : goto service-${i}`);
  }
  const type = 'type ipv4_addr . inet_proto . inet_service : verdict';
  const map = `map places {\n ${type}\n elements = { ${places.join(', ')} }\n}`;
  const startMs = clock.monotonic();
  await place.nft(`table ip chains {\n${chains.join('\n')}\n${map}\n}\n`);
  return clock.monotonic() - startMs;
}

function addressOf(i: number): string {
  return `10.43.${i >> 8}.${i & 255}`;
}

function endpointsOf(i: number, shift: number): readonly string[] {
  return Array.from({ length: endpointsEach }, (_, index) => {
    const n = (i * endpointsEach + index + shift * 7) % 60_000;
    return `10.42.${n >> 8}.${n & 255}`;
  });
}

function serviceOf(i: number): Service {
  return {
    apiVersion: 'v1',
    kind: 'Service',
    metadata: { namespace: 'default', name: `service-${i}` },
    spec: { clusterIP: addressOf(i), ports: [{ port: 80, protocol: 'TCP' }] },
  };
}

function sliceOf(i: number, shift: number): EndpointSlice {
  return {
    apiVersion: 'discovery.k8s.io/v1',
    kind: 'EndpointSlice',
    metadata: {
      ...{ namespace: 'default', name: `service-${i}` },
      labels: { 'kubernetes.io/service-name': `service-${i}` },
    },
    addressType: 'IPv4',
    endpoints: endpointsOf(i, shift).map((address) => ({ addresses: [address] })),
    ports: [{ name: '', port: 8080, protocol: 'TCP' }],
  };
}
