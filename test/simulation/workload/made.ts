/**
 * The objects of one kind that an actor has made and means to keep: made under names that nobody
 * had before, up to so many, rolled, changed and deleted. What is there and is not meant to be, or
 * the other way round, is missing from what was wished.
 */
import type { KindOf } from '#api/kind-of.ts';
import type { KubeObject } from '#api/object.ts';
import type { User } from './user.ts';

export interface MadeOptions<T extends KubeObject> {
  readonly kind: KindOf<T>;
  readonly namespace: string;
  /** As many at a time, at most. */
  readonly most: number;
  readonly stem: string;
  readonly make: (metadata: Named) => T;
}

export interface Named {
  readonly namespace: string;
  readonly name: string;
}

type Policy = 'Background' | 'Foreground' | 'Orphan';

export class Made<T extends KubeObject> {
  readonly names: string[] = [];
  readonly #user: User;
  readonly #options: MadeOptions<T>;

  constructor(user: User, options: MadeOptions<T>) {
    this.#user = user;
    this.#options = options;
  }

  /** The namespace, and the first of them. */
  async begin(signal: AbortSignal): Promise<void> {
    await this.#user.createNamespace(this.#options.namespace, signal);
    await this.create(signal);
  }

  /** One more, unless there are as many as there may be. */
  async create(signal: AbortSignal, stem = this.#options.stem): Promise<void> {
    const { kind, namespace, most, make } = this.#options;
    if (this.names.length >= most) return;
    const name = this.#user.nextName(stem);
    await this.#user.create(kind, make({ namespace, name }), signal);
    this.names.push(name);
  }

  /** One of them; undefined while there is none. */
  any(): string | undefined {
    return this.names.length === 0 ? undefined : this.#user.choose(this.names);
  }

  patch(name: string, patch: object, signal: AbortSignal): Promise<void> {
    const { kind, namespace } = this.#options;
    return this.#user.patch(kind, { namespace, name }, patch, { signal });
  }

  /** A new template, and now and then one that it had before. */
  roll(name: string, signal: AbortSignal): Promise<void> {
    const user = this.#user;
    const annotations = { roll: user.choose(['a', 'b', user.random.uuid(), user.random.uuid()]) };
    return this.patch(name, { spec: { template: { metadata: { annotations } } } }, signal);
  }

  async delete(
    name: string,
    signal: AbortSignal,
    propagationPolicy: Policy = 'Background',
  ): Promise<void> {
    const { kind, namespace } = this.#options;
    this.names.splice(this.names.indexOf(name), 1);
    await this.#user.delete(kind, { namespace, name }, { propagationPolicy, signal });
  }

  /** What is there and was deleted, and what is lost, in words. */
  missing(): readonly string[] {
    const { kind, namespace } = this.#options;
    const there = new Set<string>();
    const problems: string[] = [];
    for (const { metadata } of this.#user.truth.of<KubeObject>(kind.kind, namespace)) {
      const { name = '' } = metadata;
      there.add(name);
      if (!this.names.includes(name)) problems.push(`${kind.kind} ${name} is not gone`);
    }
    for (const name of this.names) {
      if (!there.has(name)) problems.push(`${kind.kind} ${name} is lost`);
    }
    return problems;
  }
}
