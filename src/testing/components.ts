/**
 * Everything of a test cluster that meets the others only through the API: controllers, scheduler
 * and hollow nodes, each under the identity that it has in `coracle up`, here all on one thread.
 *
 * The start and the end of each is a Scope. `testing.ts` starts them and asks whether the cluster
 * can be used; what fails for good is thrown to the test by `throwIfFailed` and `stop`.
 */
import type { ApiServer } from '#apiserver';
import { type Client, type Informers, openClient, openInformers } from '#client';
import { runControllers } from '#controllers';
import { type HollowDelays, type HollowFailures, type HollowTaint, runHollowNodes } from '#hollow';
import type { Clock } from '#kit/clock.ts';
import type { Logger } from '#kit/log.ts';
import type { Random } from '#kit/random.ts';
import { Scope } from '#kit/scope.ts';
import type { Identity } from '#kit/transport.ts';
import type { KeyPair } from '#kit/x509.ts';
import { nodes, serviceAccounts } from '#resources/kinds.ts';
import type { Node } from '#resources/types/core-v1.ts';
import { runScheduler } from '#scheduler';

export interface NodeOptions {
  readonly name: string;
  readonly labels?: Readonly<Record<string, string>> | undefined;
  /** As `{ cpu: '2', memory: '4Gi', pods: '10' }`; what is not named is as usual. */
  readonly capacity?: Readonly<Record<string, string>> | undefined;
  /** How long its pods take to start, to become ready, to stop. */
  readonly delays?: Partial<HollowDelays> | undefined;
  /** How often starts fail, images cannot be pulled, containers crash or are not ready. */
  readonly failures?: Partial<HollowFailures> | undefined;
  readonly taints?: readonly HollowTaint[] | undefined;
}

/** Disposing of it is a node that dies: it leaves its objects behind and says nothing more. */
export interface RunningNode extends AsyncDisposable {
  readonly name: string;
}

export interface ComponentsDeps {
  readonly server: ApiServer;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Logger;
}

const identities = {
  controllers: { name: 'system:kube-controller-manager', groups: ['system:authenticated'] },
  scheduler: { name: 'system:kube-scheduler', groups: ['system:authenticated'] },
  hollow: { name: 'system:hollow-nodes', groups: ['system:masters', 'system:authenticated'] },
} as const satisfies Readonly<Record<string, Identity>>;

export interface ControlOptions {
  readonly clusterCIDR: string;
  readonly rootCA: string;
  readonly issuer: KeyPair;
}

export class Components {
  readonly #deps: ComponentsDeps;
  readonly #options: ControlOptions;
  readonly #scope = new Scope(new AbortController().signal);
  readonly #client: Client;
  readonly #informers: Informers;
  #nodesStarted = 0;

  constructor(deps: ComponentsDeps, options: ControlOptions) {
    this.#deps = deps;
    this.#options = options;
    this.#client = this.#clientOf(identities.controllers, 'kube-controller-manager');
    this.#informers = openInformers({ ...deps, client: this.#client });
  }

  startControl(): void {
    const { clock, random, log } = this.#deps;
    const shared = { informers: this.#informers, clock, random };
    const scheduler = this.#clientOf(identities.scheduler, 'kube-scheduler');
    this.#scope.spawn((signal) => this.#informers.run(signal));
    this.#scope.spawn((signal) =>
      runControllers(
        { ...shared, client: this.#client, log: log.child({ component: 'controllers' }) },
        { ...this.#options, signal },
      ),
    );
    this.#scope.spawn((signal) =>
      runScheduler(
        { ...shared, client: scheduler, log: log.child({ component: 'scheduler' }) },
        { signal },
      ),
    );
  }

  /** Many alike, `hollow-0` and so on, in one loop. */
  startNodes(count: number): void {
    this.#nodesStarted += count;
    this.#scope.spawn((signal) => runHollowNodes(this.#hollowDeps(), { count, signal }));
  }

  startNode({ name, ...options }: NodeOptions): RunningNode {
    const firstIndex = this.#nodesStarted;
    this.#nodesStarted += 1;
    const own = new AbortController();
    const ended = Promise.withResolvers<void>();
    this.#scope.spawn(async (parent) => {
      const scope = new Scope(parent);
      own.signal.addEventListener('abort', () => scope.abort(own.signal.reason), { once: true });
      scope.spawn((signal) =>
        runHollowNodes(this.#hollowDeps(), { ...options, names: [name], firstIndex, signal }),
      );
      await scope.join().finally(() => ended.resolve());
    });
    return {
      name,
      [Symbol.asyncDispose]: async () => {
        own.abort(new Error(`node ${name} dies`));
        await ended.promise;
      },
    };
  }

  /** So many nodes take pods, and pods find their ServiceAccount in `default`. */
  isUsable(nodeCount: number): boolean {
    if (this.#informers.of(serviceAccounts).get('default/default') === undefined) return false;
    let usable = 0;
    for (const node of this.#informers.of(nodes).list()) if (takesPods(node)) usable += 1;
    return usable >= nodeCount;
  }

  isNodeUsable(name: string): boolean {
    const node = this.#informers.of(nodes).get(name);
    return node !== undefined && takesPods(node);
  }

  /** What a component ended with, when one has. */
  throwIfFailed(): void {
    this.#scope.signal.throwIfAborted();
  }

  async stop(): Promise<void> {
    this.#scope.abort(new Error('the test cluster stops'));
    await this.#scope.join();
  }

  #hollowDeps() {
    const { clock, random, log } = this.#deps;
    const client = this.#clientOf(identities.hollow, 'hollow-node');
    return { client, clock, random, log: log.child({ component: 'hollow' }) };
  }

  #clientOf(identity: Identity, userAgent: string): Client {
    const { server, clock } = this.#deps;
    return openClient({ transport: server.direct(identity), clock, userAgent });
  }
}

function takesPods({ status, spec }: Node): boolean {
  const isReady = status?.conditions?.some((one) => one.type === 'Ready' && one.status === 'True');
  return isReady === true && !spec?.taints?.some(({ key }) => key.startsWith(notReadyPrefix));
}

/** Set on a node while it registers or is not heard of: `not-ready`, `unreachable`. */
const notReadyPrefix = 'node.kubernetes.io/';
