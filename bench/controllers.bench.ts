/**
 * The controllers at work, as seen from outside: a Deployment of 1,000 replicas until all pods are
 * bound on 100 nodes; 1,000 Deployments rolled at once; a namespace with 10,000 objects deleted;
 * 5,000 nodes and 10,000 pods from nothing to Running; and a cluster with 1,000 nodes that does
 * nothing. `npm run bench -- controllers`.
 *
 * Every write goes through the API over HTTPS and is on the disk (FULL) before it is answered.
 * Goal: 20 s for the 5,000 nodes and 10,000 pods. `--small` runs everything at a twentieth and
 * misses no goal.
 */
import type { KindOf } from '#api/kind-of.ts';
import type { KubeObject } from '#api/object.ts';
import { type Client, openInformers } from '#client';
import { silentLog } from '#kit/log.ts';
import { systemRandom } from '#kit/random.ts';
import {
  configMaps,
  deployments,
  events,
  namespaces,
  nodes,
  pods,
  serviceAccounts,
} from '#resources/kinds.ts';
import type { Deployment } from '#resources/types/apps-v1.ts';
import type { Pod } from '#resources/types/core-v1.ts';
import { clock, Program } from './cluster-program.ts';

const { signal } = new AbortController();
const namespace = 'default';
const goalSeconds = 20;
const limitMs = 10 * 60_000;
/** Requests of ours at the same time. */
const parallel = 64;

export default async function run({ small }: { readonly small: boolean }): Promise<void> {
  const sized = (count: number): number => (small ? Math.ceil(count / 20) : count);
  {
    await using program = await Program.open(signal);
    program.startNodes(sized(100));
    await nodesReady(program, sized(100));
    await oneLargeDeployment(program, sized(1000));
    await manyDeployments(program, sized(1000));
    await namespaceDeletion(program, sized(10_000));
  }
  {
    await using program = await Program.open(signal);
    program.startNodes(sized(1000));
    await nodesReady(program, sized(1000));
    await idle(program, { nodeCount: sized(1000), forMs: small ? 5_000 : 60_000 });
  }
  await using program = await Program.open(signal);
  const seconds = await nodesAndPods(program, { nodeCount: sized(5000), podCount: sized(10_000) });
  if (!small && seconds > goalSeconds) {
    throw new Error(`nodes and pods took ${seconds.toFixed(1)} s; the goal is ${goalSeconds} s`);
  }
}

async function oneLargeDeployment(program: Program, replicas: number): Promise<void> {
  const { client } = program;
  await measured(program, `Deployment of ${replicas}, all bound`, replicas, async () => {
    await client.create(deployments, deployment('large', replicas), { signal });
    await until('all pods are bound', async () => {
      const bound = await client.list(pods, { namespace, metadataOnly: true, ...unbound, signal });
      return bound.items.length === 0 && (await countOf(client, pods)) >= replicas;
    });
  });
  await client.delete(deployments, { namespace, name: 'large' }, { signal });
  await until('its pods are gone', async () => (await countOf(client, pods)) === 0);
}

const unbound = { fieldSelector: 'spec.nodeName=' } as const;

async function manyDeployments(program: Program, count: number): Promise<void> {
  const { client } = program;
  const names = Array.from({ length: count }, (_, index) => `many-${index}`);
  await inParallel(names, (name) => client.create(deployments, deployment(name, 1), { signal }));
  const allUpdated = async (generation: number): Promise<boolean> => {
    const { items } = await client.list(deployments, { namespace, signal });
    return items.every(({ status, spec }) => {
      const { observedGeneration, updatedReplicas, availableReplicas, replicas } = status ?? {};
      const wanted = spec?.replicas ?? 1;
      const isSeen = (observedGeneration ?? 0) >= generation;
      return isSeen && [updatedReplicas, availableReplicas, replicas].every((n) => n === wanted);
    });
  };
  await until('all are available', () => allUpdated(1));
  await measured(program, `${count} Deployments rolled at once`, count, async () => {
    const spec = { template: { metadata: { annotations: { roll: 'now' } } } };
    await inParallel(names, (name) =>
      client.patch(deployments, { namespace, name }, { spec }, { type: 'merge', signal }),
    );
    await until('all are rolled', () => allUpdated(2));
  });
}

async function namespaceDeletion(program: Program, count: number): Promise<void> {
  const { client } = program;
  const name = 'crowded';
  const metadata = { name };
  await client.create(namespaces, { apiVersion: 'v1', kind: 'Namespace', metadata }, { signal });
  const names = Array.from({ length: count }, (_, index) => `thing-${index}`);
  await inParallel(names, (thing) => {
    const at = { namespace: name, name: thing };
    const made = { apiVersion: 'v1', kind: 'ConfigMap', metadata: at, data: { a: 'b' } };
    return client.create(configMaps, made, { signal });
  });
  await measured(program, `namespace with ${count} objects deleted`, count, async () => {
    await client.delete(namespaces, { name }, { signal });
    await until('the namespace is gone', async () => {
      const { items } = await client.list(namespaces, { signal });
      return items.every((one) => one.metadata.name !== name);
    });
  });
}

async function nodesAndPods(
  program: Program,
  { nodeCount, podCount }: { readonly nodeCount: number; readonly podCount: number },
): Promise<number> {
  const { client } = program;
  await until('pods can be made', async () => {
    const { items } = await client.list(serviceAccounts, { namespace, signal });
    return items.some(({ metadata }) => metadata.name === 'default');
  });
  const what = `${nodeCount} nodes and ${podCount} pods, until all run`;
  return measured(program, what, podCount, async () => {
    program.startNodes(nodeCount);
    const indexes = Array.from({ length: podCount }, (_, index) => index);
    const running = countRunning(program, podCount);
    await inParallel(indexes, (index) => {
      const metadata = { namespace, name: `pod-${index}` };
      const spec = { containers: [{ name: 'c', image: 'web' }] };
      return client.create(pods, { apiVersion: 'v1', kind: 'Pod', metadata, spec }, { signal });
    });
    await running;
  });
}

/** Resolves when so many pods run; by a watch, which costs the server little. */
async function countRunning({ client }: Program, count: number): Promise<void> {
  const stop = new AbortController();
  const deps = { client, clock, random: systemRandom(), log: silentLog };
  const informers = openInformers(deps);
  const seen = new Set<string>();
  const { promise, resolve } = Promise.withResolvers<void>();
  const see = ({ metadata, status }: Pod): void => {
    if (status?.phase === 'Running') seen.add(metadata.uid ?? '');
    if (seen.size >= count) resolve();
  };
  // Only those: to look on must cost little.
  const running = { fieldSelector: 'status.phase=Running' };
  informers.of(pods, running).addHandler({ onAdd: see, onUpdate: see });
  const ended = informers.run(stop.signal).catch((error: unknown) => {
    if (error !== stop.signal.reason) throw error;
  });
  await promise;
  stop.abort(new Error('counted'));
  await ended;
}

async function idle(
  program: Program,
  { nodeCount, forMs }: { readonly nodeCount: number; readonly forMs: number },
): Promise<void> {
  // The nodes' leases are made in the first ten seconds.
  await clock.sleep(Math.min(forMs, 12_000), { signal });
  const before = program.use;
  await clock.sleep(forMs, { signal });
  const after = program.use;
  for (const part of ['server', 'nodes'] as const) {
    const share = ((after[part].cpuMs - before[part].cpuMs) / forMs) * 100;
    const memory = after[part].pssMiB.toFixed(0);
    print(
      `idle with ${nodeCount} nodes: ${part}`,
      `${share.toFixed(1)} % CPU, ${memory} MiB (PSS)`,
    );
  }
}

/** Does it, and prints time, and per unit: writes, Events and processor time of all processes. */
async function measured(
  program: Program,
  what: string,
  units: number,
  task: () => Promise<void>,
): Promise<number> {
  const revision = await revisionOf(program.client);
  const eventsBefore = await countOf(program.client, events);
  const before = program.use;
  const startMs = clock.monotonic();
  await task();
  const seconds = (clock.monotonic() - startMs) / 1000;
  const after = program.use;
  const per = (amount: number): string => (amount / units).toFixed(2);
  const writes = (await revisionOf(program.client)) - revision;
  const told = (await countOf(program.client, events)) - eventsBefore;
  const serverMs = after.server.cpuMs - before.server.cpuMs;
  const nodesMs = after.nodes.cpuMs - before.nodes.cpuMs;
  const cpu = `CPU ms ${per(serverMs)} server, ${per(nodesMs)} nodes`;
  print(what, `${seconds.toFixed(1)} s; each: ${per(writes)} writes, ${per(told)} Events, ${cpu}`);
  return seconds;
}

function print(what: string, figures: string): void {
  console.log(`  ${what}: ${figures}`);
}

async function nodesReady({ client }: Program, count: number): Promise<void> {
  await until('the nodes are ready', async () => {
    const { items } = await client.list(nodes, { signal });
    const ready = items.filter(({ status, spec }) => {
      const isReady = status?.conditions?.some(
        (one) => one.type === 'Ready' && one.status === 'True',
      );
      return isReady && (spec?.taints ?? []).length === 0;
    });
    return ready.length >= count;
  });
}

async function until(what: string, check: () => Promise<boolean>): Promise<void> {
  const endMs = clock.monotonic() + limitMs;
  while (!(await check())) {
    if (clock.monotonic() > endMs) throw new Error(`${what}: not within ${limitMs} ms`);
    await clock.sleep(100, { signal });
  }
}

async function inParallel<T>(
  items: readonly T[],
  task: (item: T) => Promise<unknown>,
): Promise<void> {
  const rest = items.values();
  const work = async (): Promise<void> => {
    for (const item of rest) await task(item);
  };
  await Promise.all(Array.from({ length: parallel }, work));
}

async function revisionOf(client: Client): Promise<number> {
  const { resourceVersion } = await client.list(namespaces, { limit: 1, signal });
  return Number(resourceVersion);
}

async function countOf<T extends KubeObject>(client: Client, kind: KindOf<T>): Promise<number> {
  const { items } = await client.list(kind, { metadataOnly: true, signal });
  return items.length;
}

function deployment(name: string, replicas: number): Deployment {
  const labels = { app: name };
  return {
    apiVersion: 'apps/v1',
    kind: 'Deployment',
    metadata: { name, namespace },
    spec: {
      replicas,
      selector: { matchLabels: labels },
      template: { metadata: { labels }, spec: { containers: [{ name: 'c', image: 'web' }] } },
    },
  };
}
