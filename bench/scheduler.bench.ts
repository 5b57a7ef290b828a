/**
 * How many pods per second get a node: pending pods, 100 hollow nodes, the real API server in this
 * process, everything on one thread. The nodes run what they get, so their status writes are part
 * of the load, as they are in a cluster. `npm run bench -- scheduler`.
 *
 * Goal: 1,326 pods per second (three times upstream's raised figure) for 2,000 pods.
 */
import { generateKeyPairSync } from 'node:crypto';
import { type ApiServer, openApiServer } from '#apiserver';
import { type Client, openClient, openInformers } from '#client';
import { runHollowNodes } from '#hollow';
import { systemClock } from '#kit/clock.ts';
import { silentLog } from '#kit/log.ts';
import { systemRandom } from '#kit/random.ts';
import { Scope } from '#kit/scope.ts';
import { namespaces, pods, serviceAccounts } from '#resources/kinds.ts';
import { openCatalog } from '#resources/resources.ts';
import type { Pod } from '#resources/types/core-v1.ts';
import { runScheduler } from '#scheduler';
import { openMemoryStore, type Store } from '#store';

const goal = 1_326;
const nodeCount = 100;
const deps = { clock: systemClock(), random: systemRandom(), log: silentLog };
const identity = { name: 'system:admin', groups: ['system:masters', 'system:authenticated'] };

export default async function run({ small }: { readonly small: boolean }): Promise<void> {
  const podCount = small ? 500 : 2_000;
  await using store = openMemoryStore(deps);
  await using server = await openServer(store);
  const clientOf = (userAgent: string): Client =>
    openClient({ transport: server.direct(identity), clock: deps.clock, userAgent });
  await using scope = new Scope(new AbortController().signal);
  const { signal } = scope;
  const hollow = { ...deps, client: clientOf('hollow') };
  scope.spawn((inner) =>
    runHollowNodes(hollow, { count: nodeCount, delays: { startMs: 0, stopMs: 0 }, signal: inner }),
  );
  await until(() => store.count('/registry/minions/') === nodeCount, signal);
  await createPods(clientOf('user'), { podCount, signal });

  const bound = countBound(store);
  const client = clientOf('scheduler');
  const informers = openInformers({ ...deps, client });
  const startedMs = deps.clock.monotonic();
  scope.spawn((inner) => informers.run(inner));
  scope.spawn((inner) => runScheduler({ ...deps, client, informers }, { signal: inner }));
  await until(() => bound.size === podCount, signal);
  const seconds = (deps.clock.monotonic() - startedMs) / 1000;
  const rate = Math.round(podCount / seconds);
  console.log(`  ${podCount} pods on ${nodeCount} nodes: ${rate}/s (goal ${goal})`);
}

function openServer(store: Store): Promise<ApiServer> {
  const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  return openApiServer(
    { ...deps, store, catalog: openCatalog() },
    {
      serviceCIDR: '10.43.0.0/16',
      nodePortRange: { first: 30_000, last: 32_767 },
      advertise: { address: '127.0.0.1', port: 6443 },
      serviceAccountKey: privateKey.export({ type: 'pkcs8', format: 'pem' }).toString(),
      serviceAccountIssuer: 'https://kubernetes.default.svc.cluster.local',
      legacyVersions: false,
    },
  );
}

async function createPods(
  client: Client,
  { podCount, signal }: { readonly podCount: number; readonly signal: AbortSignal },
): Promise<void> {
  const metadata = { name: 'bench' };
  await client.create(namespaces, { apiVersion: 'v1', kind: 'Namespace', metadata }, { signal });
  // The controllers, which would make it, do not run here.
  const account = { name: 'default', namespace: 'bench' };
  const serviceAccount = { apiVersion: 'v1', kind: 'ServiceAccount', metadata: account };
  await client.create(serviceAccounts, serviceAccount, { signal });
  const requests = { cpu: '10m', memory: '16Mi' };
  for (let first = 0; first < podCount; first += 100) {
    const some = Array.from({ length: Math.min(100, podCount - first) }, (_, index) => {
      const pod: Pod = {
        apiVersion: 'v1',
        kind: 'Pod',
        metadata: { name: `pod-${first + index}`, namespace: 'bench' },
        spec: {
          containers: [{ name: 'c', image: 'web:1', resources: { requests } }],
          // Nor does the one that removes the taint of a new node.
          tolerations: [{ operator: 'Exists' }],
        },
      };
      return client.create(pods, pod, { signal });
    });
    await Promise.all(some);
  }
}

/** Fills with the keys of pods that have a node, as the store commits them. */
function countBound(store: Store): ReadonlySet<string> {
  const bound = new Set<string>();
  store.watch(
    { prefix: '/registry/pods/', afterRevision: store.revision },
    {
      onEvents: (events) => {
        for (const { key, value } of events) {
          if (value !== undefined && Buffer.from(value).includes('"nodeName":"')) bound.add(key);
        }
      },
      onEnd: () => {},
    },
  );
  return bound;
}

async function until(condition: () => boolean, signal: AbortSignal): Promise<void> {
  const endMs = deps.clock.monotonic() + 60_000;
  while (!condition()) {
    if (deps.clock.monotonic() > endMs) throw new Error('not done within a minute');
    await deps.clock.sleep(5, { signal });
  }
}
