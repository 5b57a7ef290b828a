/**
 * The people of a simulated cluster, as one user whose requests are repeated until they are
 * answered, so that every wish counts in the end. Each wish is a line of the trace.
 *
 * An actor is one sort of thing that they do: it makes its first objects before the faults begin,
 * does one step at a time while they last, undoes what it holds back when they are over, and says
 * at any moment what is still missing from what was wished.
 */
import { ApiError, isReason } from '#api/errors.ts';
import type { KindOf } from '#api/kind-of.ts';
import type { KubeObject } from '#api/object.ts';
import type { Client, DeleteOptions, PatchType } from '#client';
import type { Clock } from '#kit/clock.ts';
import type { Random } from '#kit/random.ts';
import { namespaces } from '#resources/kinds.ts';
import type { Deployment, ReplicaSet } from '#resources/types/apps-v1.ts';
import type { Pod, PodSpec, PodTemplateSpec } from '#resources/types/core-v1.ts';
import { ConnectionLost } from '../faults.ts';
import { oneOf } from '../options.ts';
import type { WorldEvent } from '../trace.ts';
import type { Truth } from '../truth.ts';

export interface Actor {
  readonly begin: (signal: AbortSignal) => Promise<void>;
  readonly step: (signal: AbortSignal) => Promise<void>;
  readonly settle?: (signal: AbortSignal) => Promise<void>;
  /** What is not yet as wished; empty when nothing is. */
  readonly missing: () => readonly string[];
}

export interface UserDeps {
  readonly client: Client;
  readonly clock: Clock;
  readonly random: Random;
  readonly truth: Truth;
  readonly observe: (event: WorldEvent) => void;
}

interface At {
  readonly namespace?: string | undefined;
  readonly name: string;
}

export class User {
  readonly truth: Truth;
  readonly random: Random;
  readonly clock: Clock;
  readonly client: Client;
  readonly observe: (event: WorldEvent) => void;
  #made = 0;

  constructor(deps: UserDeps) {
    this.truth = deps.truth;
    this.random = deps.random;
    this.clock = deps.clock;
    this.client = deps.client;
    this.observe = deps.observe;
  }

  /** `job-7`: a name that nobody has had before. */
  nextName(stem: string): string {
    this.#made += 1;
    return `${stem}-${this.#made}`;
  }

  between(least: number, most: number): number {
    return least + this.random.integer(most - least + 1);
  }

  happens(share: number): boolean {
    return this.random.fraction() < share;
  }

  choose<T>(choices: readonly T[]): T {
    return oneOf(this.random, choices);
  }

  note(text: string): void {
    this.observe({ what: 'note', text: `user: ${text}` });
  }

  async createNamespace(name: string, signal: AbortSignal): Promise<void> {
    await this.create(
      namespaces,
      { apiVersion: 'v1', kind: 'Namespace', metadata: { name } },
      signal,
    );
  }

  /** One with this name is there afterwards. */
  async create<T extends KubeObject>(
    kind: KindOf<T>,
    object: T,
    signal: AbortSignal,
  ): Promise<void> {
    this.note(`create ${kind.kind} ${object.metadata.name}`);
    await this.insist(signal, async () => {
      try {
        await this.client.create(kind, object, { signal });
      } catch (error) {
        if (!isReason(error, 'AlreadyExists')) throw error;
      }
    });
  }

  /** Nothing happens to what is gone. */
  async patch<T extends KubeObject>(
    kind: KindOf<T>,
    at: At,
    patch: object,
    options: { readonly signal: AbortSignal; readonly type?: PatchType },
  ): Promise<void> {
    this.note(`patch ${kind.kind} ${at.name} ${JSON.stringify(patch)}`);
    const { signal, type = 'merge' } = options;
    await this.insist(signal, async () => {
      try {
        await this.client.patch(kind, at, patch, { type, signal });
      } catch (error) {
        if (!isReason(error, 'NotFound')) throw error;
      }
    });
  }

  async delete<T extends KubeObject>(
    kind: KindOf<T>,
    at: At,
    options: DeleteOptions & { readonly signal: AbortSignal },
  ): Promise<void> {
    this.note(`delete ${kind.kind} ${at.name} ${options.propagationPolicy ?? ''}`);
    await this.insist(options.signal, async () => {
      try {
        await this.client.delete(kind, at, options);
      } catch (error) {
        if (!isReason(error, 'NotFound') && !isReason(error, 'Conflict')) throw error;
      }
    });
  }

  /** Asks, once, why one of these pods waits; whoever asks for a pod that does gets an answer. */
  async askWhy(all: Iterable<Pod>, signal: AbortSignal): Promise<void> {
    const waiting = [...all].filter(({ spec }) => !spec?.nodeName);
    if (waiting.length === 0) return;
    const { name, namespace } = this.choose(waiting).metadata;
    this.note(`why ${name}`);
    const { apiVersion, kind } = { apiVersion: 'scheduling.coracle.dev/v1', kind: placement.kind };
    const review = { apiVersion, kind, metadata: { namespace }, spec: { pod: name } };
    try {
      const { status } = await this.client.create<Review>(placement, review, { signal });
      const { state, message, smallestChange } = status ?? {};
      this.note(`${name}: ${state}: ${message}`);
      if (state !== 'Unschedulable' || smallestChange !== undefined) return;
    } catch (error) {
      signal.throwIfAborted();
      if (error instanceof ConnectionLost || isReason(error, 'NotFound')) return;
      if (error instanceof Error && error.name === 'DeadlineExceeded') return;
      throw error;
    }
    throw new Error(`nobody says what would let ${name} run`);
  }

  async insist(signal: AbortSignal, request: () => Promise<void>): Promise<void> {
    for (;;) {
      try {
        await request();
        return;
      } catch (error) {
        signal.throwIfAborted();
        if (!(error instanceof ConnectionLost) && !(error instanceof ApiError)) throw error;
        this.note(`again after ${error.message}`);
        await this.clock.sleep(1_000, { signal });
      }
    }
  }
}

interface Review extends KubeObject {
  readonly spec: { readonly pod: string | undefined };
  readonly status?: {
    readonly state: string;
    readonly message: string;
    readonly smallestChange?: object | undefined;
  };
}

const placement: KindOf<Review> = {
  group: 'scheduling.coracle.dev',
  version: 'v1',
  kind: 'PlacementReview',
  plural: 'placementreviews',
  namespaced: true,
};

/** A container that asks for this much. */
export function containersOf(cpu: string): readonly { name: string; image: string }[] {
  return [{ name: 'c', image: 'web:1', ...{ resources: { requests: { cpu } } } }];
}

export function deploymentOf(
  metadata: { readonly namespace: string; readonly name: string },
  replicas: number,
  spec: PodSpec,
): Deployment {
  const labels = { app: metadata.name };
  const template = { metadata: { labels }, spec };
  const wanted = { replicas, selector: { matchLabels: labels }, template };
  return { apiVersion: 'apps/v1', kind: 'Deployment', metadata, spec: wanted };
}

/** A set of equal pods, which it selects by some of their labels. */
export function replicaSetOf(
  metadata: { readonly namespace: string; readonly name: string },
  {
    replicas,
    labels,
    template,
  }: {
    readonly replicas: number;
    readonly labels: Readonly<Record<string, string>>;
    readonly template: PodTemplateSpec;
  },
): ReplicaSet {
  const spec = { replicas, selector: { matchLabels: labels }, template };
  return { apiVersion: 'apps/v1', kind: 'ReplicaSet', metadata, spec };
}
