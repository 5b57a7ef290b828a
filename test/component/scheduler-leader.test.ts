/**
 * Schedulers as programs beside an API server, under a virtual clock: several of which one leads,
 * one that is told not to elect, and one that is started before the server.
 */
import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { openClient, openInformers } from '#client';
import { runControllers } from '#controllers';
import { silentLog } from '#kit/log.ts';
import { seededRandom } from '#kit/random.ts';
import { Scope } from '#kit/scope.ts';
import type { Transport } from '#kit/transport.ts';
import { VirtualClock } from '#kit/virtual-clock.ts';
import { leases, nodes, pods, replicaSets } from '#resources/kinds.ts';
import type { Node, Pod } from '#resources/types/core-v1.ts';
import { readConfiguration, runSchedulerAsLeader, SchedulerMetrics } from '#scheduler';
import { covers, superseded } from '#test/covers.ts';
import { openTestServer, type TestServer } from '#test/fixtures.ts';

const head = 'apiVersion: kubescheduler.config.k8s.io/v1\nkind: KubeSchedulerConfiguration\n';

class World {
  readonly clock: VirtualClock;
  readonly server: TestServer;
  readonly signal: AbortSignal;
  readonly #scope: Scope;
  readonly #metrics = new Map<string, SchedulerMetrics>();

  constructor(server: TestServer, clock: VirtualClock, scope: Scope) {
    this.server = server;
    this.clock = clock;
    this.#scope = scope;
    this.signal = scope.signal;
  }

  static async open(context: TestContext): Promise<World> {
    const clock = new VirtualClock();
    const server = await openTestServer({ clock });
    const scope = new Scope(new AbortController().signal);
    context.after(async () => {
      scope.abort(new Error('the test is over'));
      await scope.join();
      await server[Symbol.asyncDispose]();
    });
    const world = new World(server, clock, scope);
    const client = world.client();
    const allocatable = { cpu: '4', memory: '8Gi', pods: '110' };
    const node: Node = {
      apiVersion: 'v1',
      kind: 'Node',
      metadata: { name: 'n1' },
      status: { capacity: allocatable, allocatable },
    };
    await client.create(nodes, node, world);
    const path = '/api/v1/namespaces/default/serviceaccounts';
    await server.request('POST', path, { metadata: { name: 'default' } });
    return world;
  }

  client(transport: Transport = this.server.transport) {
    return openClient({ transport, clock: this.clock });
  }

  /** Starts a scheduler; the function ends it, as a crash would. */
  async run(
    identity: string,
    source: string,
    transport: Transport = this.server.transport,
  ): Promise<() => void> {
    const client = this.client(transport);
    const metrics = new SchedulerMetrics();
    this.#metrics.set(identity, metrics);
    const deps = { client, clock: this.clock, random: seededRandom(1), log: silentLog, metrics };
    const informers = openInformers(deps);
    const { leaderElection: election, ...configured } = await readConfiguration(source);
    const stop = new AbortController();
    this.#scope.spawn(async (signal) => {
      const both = AbortSignal.any([signal, stop.signal]);
      const own = new Scope(both);
      own.spawn((inner) => informers.run(inner));
      const options = { ...configured, election, identity };
      own.spawn((inner) =>
        runSchedulerAsLeader({ ...deps, informers }, { ...options, signal: inner }),
      );
      await own.join().catch((error: unknown) => assert.ok(both.aborted, String(error)));
    });
    await this.clock.advance(100);
    return () => stop.abort(new Error('it is ended'));
  }

  /** Starts the controllers. */
  async runControllers(transport: Transport): Promise<void> {
    const deps = {
      client: this.client(transport),
      clock: this.clock,
      random: seededRandom(2),
      log: silentLog,
    };
    const informers = openInformers(deps);
    this.#scope.spawn((signal) => informers.run(signal));
    const options = { clusterCIDR: '10.42.0.0/16', rootCA: '' };
    this.#scope.spawn((signal) => runControllers({ ...deps, informers }, { ...options, signal }));
    await this.clock.advance(100);
  }

  async add(name: string): Promise<void> {
    const containers = [{ name: 'c', image: 'web:1' }];
    // Nobody removes the taint of a new node here.
    const tolerations = [{ operator: 'Exists' }];
    const pod: Pod = {
      apiVersion: 'v1',
      kind: 'Pod',
      metadata: { name, namespace: 'default' },
      spec: { containers, tolerations },
    };
    await this.client().create(pods, pod, this);
    await this.clock.advance(1_000);
  }

  async nodeOf(name: string): Promise<string | undefined> {
    return (await this.client().get(pods, { namespace: 'default', name }, this)).spec?.nodeName;
  }

  /** Whether a scheduler says that it leads; undefined where it says nothing of it. */
  leads(identity: string): string | undefined {
    const text = this.#metrics.get(identity)?.format() ?? '';
    return /^leader_election_master_status\{name="my-scheduler"\} (\d)$/m.exec(text)?.[1];
  }

  async holder(name: string): Promise<string | undefined> {
    const { signal } = this;
    const { items } = await this.client().list(leases, { namespace: 'kube-system', signal });
    return items.find(({ metadata }) => metadata.name === name)?.spec?.holderIdentity;
  }
}

test('of two schedulers one leads; when it ends, the other goes on', async (t) => {
  superseded('SCH-074', {
    by: 'v1.24',
    now: 'a Lease, named by resourceName and resourceNamespace of the configuration',
  });
  const world = await World.open(t);
  const source = `${head}leaderElection: {resourceName: my-scheduler}\n`;
  const end = await world.run('first', source);
  await world.run('second', source);
  assert.equal(await world.holder('my-scheduler'), 'first');
  assert.deepEqual([world.leads('first'), world.leads('second')], ['1', '0']);
  await world.add('a');
  assert.equal(await world.nodeOf('a'), 'n1');
  end();
  await world.clock.advance(30_000);
  assert.equal(await world.holder('my-scheduler'), 'second');
  assert.deepEqual([world.leads('first'), world.leads('second')], ['0', '1']);
  await world.add('b');
  assert.equal(await world.nodeOf('b'), 'n1');
});

test('a scheduler that is told not to elect takes no Lease', async (t) => {
  covers('HA-004');
  const world = await World.open(t);
  await world.run('alone', `${head}leaderElection: {leaderElect: false}\n`);
  await world.add('a');
  assert.equal(await world.nodeOf('a'), 'n1');
  assert.equal(await world.holder('kube-scheduler'), undefined);
  await world.run('elects', `${head}leaderElection: {leaderElect: true}\n`);
  assert.equal(await world.holder('kube-scheduler'), 'elects');
});

test('started before the API server, scheduler and controllers wait for it', async (t) => {
  covers('SCH-002');
  const world = await World.open(t);
  let up = false;
  const transport: Transport = {
    send: (request, options) =>
      up
        ? world.server.transport.send(request, options)
        : Promise.reject(new Error('connect ECONNREFUSED')),
  };
  await world.run('early', `${head}leaderElection: {leaderElect: false}\n`, transport);
  await world.runControllers(transport);
  await world.add('a');
  const labels = { app: 'web' };
  const tolerations = [{ operator: 'Exists' }];
  const template = {
    metadata: { labels },
    spec: { containers: [{ name: 'c', image: 'web:1' }], tolerations },
  };
  const set = {
    apiVersion: 'apps/v1',
    kind: 'ReplicaSet',
    metadata: { namespace: 'default', name: 'web' },
    spec: { replicas: 2, selector: { matchLabels: labels }, template },
  };
  await world.client().create(replicaSets, set, world);
  const places = async (): Promise<readonly (string | undefined)[]> => {
    const { items } = await world
      .client()
      .list(pods, { namespace: 'default', signal: world.signal });
    return items.map(({ spec }) => spec?.nodeName);
  };
  await world.clock.advance(60_000);
  assert.deepEqual(await places(), [undefined]);
  up = true;
  await world.clock.advance(60_000);
  assert.deepEqual(await places(), ['n1', 'n1', 'n1']);
});
