/**
 * What happens on the node during a soak: pods of every sort are made and removed, containers crash
 * and come again, what is mounted changes, commands run inside and logs are read. What is done
 * follows from the seed; `scripts/soak.ts` says for how long.
 */
import { isReason } from '#api/errors.ts';
import { type Client, openClient, openHttpTransport } from '#client';
import { systemClock } from '#kit/clock.ts';
import type { Random } from '#kit/random.ts';
import { configMaps, events, pods, secrets } from '#resources/kinds.ts';
import type { Container, Pod, PodSpec, Volume } from '#resources/types/core-v1.ts';
import type { ClusterProcess } from '#test/cluster-process.ts';

const clock = systemClock();
const { signal } = new AbortController();
const image = 'localhost/busybox:1.35';
const otherImage = 'localhost/nginx:1.22';
const namespace = 'default';
const stay = 'trap exit TERM; echo begun; sleep 86400 & wait';
const pauseMs = 100;
const eventsPerRequest = 1000;
const limits = { failedInARowMax: 5 } as const;

type Sort = (name: string) => PodSpec;

export interface TrafficOptions {
  readonly random: Random;
  /** At a time; as many again may be on their way out. */
  readonly podsMax: number;
  readonly access: Parameters<typeof openHttpTransport>[0];
}

export class Traffic implements AsyncDisposable {
  readonly #cluster: ClusterProcess;
  readonly #client: Client;
  readonly #transport: ReturnType<typeof openHttpTransport>;
  readonly #random: Random;
  readonly #podsMax: number;
  readonly #living: string[] = [];
  readonly #counts = new Map<string, number>();
  #made = 0;
  #failedInARow = 0;

  private constructor(cluster: ClusterProcess, options: TrafficOptions) {
    this.#cluster = cluster;
    this.#random = options.random;
    this.#podsMax = options.podsMax;
    this.#transport = openHttpTransport(options.access);
    this.#client = openClient({ transport: this.#transport, clock });
  }

  static async open(cluster: ClusterProcess, options: TrafficOptions): Promise<Traffic> {
    const traffic = new Traffic(cluster, options);
    const metadata = { namespace, name: 'soak' };
    const map = { apiVersion: 'v1', kind: 'ConfigMap', metadata, data: { turn: '0' } };
    await traffic.#client.create(configMaps, map, { signal });
    const word = { apiVersion: 'v1', kind: 'Secret', metadata, stringData: { word: 'open' } };
    await traffic.#client.create(secrets, word, { signal });
    return traffic;
  }

  /** Pods, so far. */
  get made(): number {
    return this.#made;
  }

  summary(): string {
    const parts = [...this.#counts].sort().map(([what, count]) => `${what} ${count}`);
    return parts.join(', ');
  }

  async run(lastsMs: number): Promise<void> {
    const deadline = clock.monotonic() + lastsMs;
    while (clock.monotonic() < deadline) {
      await this.#tried(() => this.#step());
      await clock.sleep(pauseMs, { signal });
    }
  }

  /** A request that failed on a machine with no time left is told of, and the pods go on. */
  async #tried(act: () => Promise<void>): Promise<void> {
    try {
      await act();
      this.#failedInARow = 0;
    } catch (error) {
      this.#count('failed');
      this.#failedInARow += 1;
      if (this.#failedInARow > limits.failedInARowMax) throw error;
      console.log(`  failed: ${error instanceof Error ? error.message : String(error)}`);
    }
  }

  async #step(): Promise<void> {
    const chance = this.#random.fraction();
    const full = this.#living.length >= this.#podsMax;
    if (chance < 0.45 && !full) return await this.#make();
    if (chance < 0.75 || full) return await this.#remove();
    const name = this.#living[Math.floor(this.#random.fraction() * this.#living.length)];
    if (chance < 0.82) return await this.#change();
    if (name === undefined) return;
    if (chance < 0.88) return await this.#inside('exec', 'exec', name, '--', 'ls', '/');
    if (chance < 0.94) return await this.#inside('logs', 'logs', name, '--tail=5');
    await this.#inside('crash', 'exec', name, '--', 'kill', '-TERM', '1');
  }

  /** No faster than the node: what it has not removed yet is still there. */
  async #make(): Promise<void> {
    const { items } = await this.#client.list(pods, { namespace, signal });
    if (items.length >= 2 * this.#podsMax) return;
    const [sort, specOf] = this.#pick();
    const name = `soak-${this.#made++}-${sort}`;
    const spec = { terminationGracePeriodSeconds: 1, ...specOf(name) };
    const pod: Pod = { apiVersion: 'v1', kind: 'Pod', metadata: { namespace, name }, spec };
    this.#living.push(name);
    await this.#client.create(pods, pod, { signal });
    this.#count('made');
  }

  #pick(): readonly [string, Sort] {
    const all = Object.entries(sorts);
    const found = all[Math.floor(this.#random.fraction() * all.length)];
    if (found === undefined) throw new Error('there are no sorts of pods');
    return found;
  }

  async #remove(): Promise<void> {
    const index = Math.floor(this.#random.fraction() * this.#living.length);
    const name = this.#living[index];
    if (name === undefined) return;
    await this.#client.delete(pods, { namespace, name }, { signal }).catch(unlessGone);
    this.#living.splice(index, 1);
    this.#count('removed');
  }

  /** What many pods have mounted; and the image of one. */
  async #change(): Promise<void> {
    const data = { turn: String(this.#made) };
    const options = { type: 'merge', signal } as const;
    await this.#client.patch(configMaps, { namespace, name: 'soak' }, { data }, options);
    this.#count('updated');
  }

  /** It may have ended, or not begun; that is a part of life. */
  async #inside(what: string, ...args: readonly string[]): Promise<void> {
    const { code } = await this.#cluster.tryKubectl(...args);
    this.#count(code === 0 ? what : `${what} in vain`);
  }

  #count(what: string): void {
    this.#counts.set(what, (this.#counts.get(what) ?? 0) + 1);
  }

  /** Events too, which would stay for an hour each: they are objects, and no leak. */
  async removeAll(limitMs: number): Promise<void> {
    while (this.#living.length > 0) await this.#tried(() => this.#remove());
    const deadline = clock.monotonic() + limitMs;
    for (;;) {
      const { items } = await this.#client.list(pods, { namespace, signal });
      if (items.length === 0) break;
      if (clock.monotonic() > deadline) {
        const names = items.map(({ metadata }) => metadata.name).join(', ');
        throw new Error(`after ${limitMs} ms there still are ${names}`);
      }
      await clock.sleep(pauseMs, { signal });
    }
    await this.#removeEvents();
  }

  /** In parts: the answer to all at once, which are tens of thousands, is larger than we read. */
  async #removeEvents(): Promise<void> {
    const path = `/api/v1/namespaces/${namespace}/events`;
    for (;;) {
      await this.#cluster.kubectl('delete', '--raw', `${path}?limit=${eventsPerRequest}`);
      const left = await this.#client.list(events, { namespace, limit: 1, signal });
      if (left.items.length === 0) return;
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#transport[Symbol.dispose]();
  }
}

/** It never came to be, or the answer to an earlier try was lost. */
function unlessGone(error: unknown): void {
  if (!isReason(error, 'NotFound')) throw error;
}

const container = (script: string, more: Partial<Container> = {}): Container => ({
  ...{ name: 'main', image, command: ['sh', '-c', script] },
  ...more,
});

const mounted: readonly Volume[] = [
  { name: 'map', configMap: { name: 'soak' } },
  { name: 'word', secret: { secretName: 'soak' } },
  { name: 'fast', emptyDir: { medium: 'Memory', sizeLimit: '8Mi' } },
  { name: 'slow', emptyDir: {} },
  {
    name: 'all',
    projected: {
      sources: [
        { serviceAccountToken: { path: 'token', expirationSeconds: 600 } },
        { downwardAPI: { items: [{ path: 'name', fieldRef: { fieldPath: 'metadata.name' } }] } },
      ],
    },
  },
];

const sorts: Readonly<Record<string, Sort>> = {
  plain: () => ({ containers: [container(stay)] }),
  two: () => ({
    shareProcessNamespace: true,
    containers: [container(stay), container(stay, { name: 'beside', image: otherImage })],
  }),
  crashing: () => ({ containers: [container('sleep 0.5; exit 1')] }),
  once: () => ({ restartPolicy: 'Never', containers: [container('echo done')] }),
  mounting: () => ({
    volumes: mounted,
    containers: [
      container(stay, {
        volumeMounts: [
          ...mounted.map(({ name }) => ({ name, mountPath: `/${name}` })),
          { name: 'slow', mountPath: '/part', subPath: 'made/for/it' },
          { name: 'fast', mountPath: '/fast-part', subPath: 'made' },
        ],
      }),
    ],
  }),
  initial: () => ({
    initContainers: [
      container(stay, { name: 'sidecar', restartPolicy: 'Always' }),
      container('echo first', { name: 'first' }),
    ],
    containers: [container(stay)],
  }),
  probed: () => ({
    containers: [
      container(`httpd -p 8080; ${stay}`, {
        livenessProbe: { exec: { command: ['true'] }, periodSeconds: 1 },
        readinessProbe: { tcpSocket: { port: 8080 }, periodSeconds: 1 },
        lifecycle: { preStop: { exec: { command: ['sleep', '0.2'] } } },
      }),
    ],
  }),
  limited: () => ({
    containers: [container(stay, { resources: { limits: { cpu: '20m', memory: '16Mi' } } })],
  }),
  'without-image': () => ({
    containers: [container(stay, { image: 'localhost/none:1', imagePullPolicy: 'Never' })],
  }),
};
