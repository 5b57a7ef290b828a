/**
 * Hollow nodes: they behave like kubelets to the API and run nothing. Thousands fit in one process,
 * for scale work, for simulation and for machines where no container can run.
 *
 * Each node registers itself, renews its Lease and keeps its Ready condition true (`heartbeat.ts`).
 * Pods bound to it go through the states that a real one shows: creating, initialized, running,
 * ready, restarted, ended, terminating (`pods.ts` performs what `plan.ts` decides). What runs is
 * remembered only here: a process that begins anew starts its pods anew, as a machine does after a
 * reboot, and pods that must not run twice have failed.
 *
 * Commands whose end is plain (`sleep 5`, `sh -c 'exit 1'`) end so (`command.ts`). Annotations of a
 * pod: `hollow.coracle.dev/run-seconds` ends its containers after that time, with the code of
 * `hollow.coracle.dev/exit-code` (default 0). See docs/hollow-nodes.md.
 */
import { type Client, openInformers } from '#client';
import { assert } from '#kit/assert.ts';
import type { Clock } from '#kit/clock.ts';
import type { Logger } from '#kit/log.ts';
import type { Random } from '#kit/random.ts';
import { Scope } from '#kit/scope.ts';
import { runHeartbeats } from './heartbeat.ts';
import { type HollowNode, planNodes } from './node.ts';
import { runPods } from './pods.ts';

export interface HollowDeps {
  readonly client: Client;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Logger;
}

export interface HollowOptions {
  readonly signal: AbortSignal;
  /** How many nodes, named `hollow-0`, `hollow-1`, …; default 1. */
  readonly count?: number | undefined;
  /** Stem of their names; default `hollow-`. */
  readonly prefix?: string | undefined;
  /** Names instead of a number. */
  readonly names?: readonly string[] | undefined;
  /** Number of the first node, from which name and addresses follow; default 0. */
  readonly firstIndex?: number | undefined;
  readonly capacity?: Readonly<Record<string, string>> | undefined;
  readonly labels?: Readonly<Record<string, string>> | undefined;
  readonly taints?: readonly HollowTaint[] | undefined;
  /** Values of `topology.kubernetes.io/zone`, given to the nodes in turn. */
  readonly zones?: readonly string[] | undefined;
  readonly delays?: Partial<HollowDelays> | undefined;
  readonly failures?: Partial<HollowFailures> | undefined;
  /** Pods of Jobs end well after this long, where nothing says otherwise; default: never. */
  readonly jobSeconds?: number | undefined;
}

export interface HollowTaint {
  readonly key: string;
  readonly value?: string | undefined;
  readonly effect: string;
}

export interface HollowDelays {
  /** From seeing the pod to its containers running. */
  readonly startMs: number;
  /** From running to ready. */
  readonly readyMs: number;
  /** From the wish to delete to the end of the containers, if the grace period is not shorter. */
  readonly stopMs: number;
}

export interface HollowFailures {
  /** Share of container starts that end at once, with code 1. */
  readonly starts: number;
  /** Share of pods whose images cannot be pulled at first. */
  readonly pulls: number;
  /** Images that are nowhere: pods that name one of them wait for it for ever. */
  readonly missingImages: readonly string[];
  /** How often a running container crashes, with code 1. */
  readonly crashesPerHour: number;
  /** How often a ready container is not ready for 5 s. */
  readonly flapsPerHour: number;
}

export const limits = {
  /** Nodes of one process. */
  nodesMax: 10_000,
} as const;

const defaultDelays: HollowDelays = { startMs: 200, readyMs: 0, stopMs: 200 };
const noFailures: HollowFailures = {
  starts: 0,
  pulls: 0,
  missingImages: [],
  crashesPerHour: 0,
  flapsPerHour: 0,
};
const defaultCapacity = {
  cpu: '8',
  memory: '32Gi',
  'ephemeral-storage': '100Gi',
  pods: '110',
} as const;

export async function runHollowNodes(deps: HollowDeps, options: HollowOptions): Promise<void> {
  const { count = 1, firstIndex = 0, prefix = 'hollow-' } = options;
  assert(count <= limits.nodesMax, `a process has at most ${limits.nodesMax} hollow nodes`);
  const names =
    options.names ?? Array.from({ length: count }, (_, index) => `${prefix}${firstIndex + index}`);
  const nodes = planNodes({
    names,
    firstIndex,
    capacity: { ...defaultCapacity, ...options.capacity },
    labels: options.labels ?? {},
    taints: options.taints ?? [],
    zones: options.zones ?? [],
  });
  const informers = openInformers(deps);
  const scope = new Scope(options.signal);
  const only = onlyNode(nodes);
  runHeartbeats({ ...deps, informers, scope }, { nodes, only });
  runPods(
    { ...deps, informers, scope },
    {
      nodes,
      only,
      delays: { ...defaultDelays, ...options.delays },
      failures: { ...noFailures, ...options.failures },
      jobSeconds: options.jobSeconds,
    },
  );
  scope.spawn((signal) => informers.run(signal));
  await scope.join();
}

/** A single node watches what is its own; many share one watch of everything. */
function onlyNode(nodes: ReadonlyMap<string, HollowNode>): string | undefined {
  const [first, second] = nodes.keys();
  return second === undefined ? first : undefined;
}
