/**
 * Who owns whom: trees of ConfigMaps with one owner or two, chains, circles, owners that never
 * were, and finalizers that nobody but the user knows. Deleted in the background, in the foreground
 * and with orphans left behind. What nobody wished gone has to be there in the end.
 */
import { isReason } from '#api/errors.ts';
import type { KubeObject, OwnerReference } from '#api/object.ts';
import { configMaps } from '#resources/kinds.ts';
import type { Actor, User } from './user.ts';

export const ownersNamespace = 'owned';
export const holdFinalizer = 'example.com/hold';
const namespace = ownersNamespace;
const treesMax = 6;
/** A tree younger than this may not be known to everybody yet. */
const ripeMs = 90_000;
const policies = ['Background', 'Foreground', 'Orphan'] as const;
const steps = ['plant', 'plant', 'fell', 'fell', 'release'] as const;

interface Tree {
  readonly root: string;
  readonly names: readonly string[];
  /** Of these, who is owned by the root and by another tree's root too. */
  readonly shared: string | undefined;
  readonly plantedMs: number;
  readonly circle: boolean;
}

export class Owners implements Actor {
  readonly #user: User;
  readonly #trees: Tree[] = [];
  /** Whose finalizer is still to be taken off. */
  readonly #held = new Set<string>();
  /** Must be there in the end, and must be gone. */
  readonly #kept = new Set<string>();
  readonly #gone = new Set<string>();

  constructor(user: User) {
    this.#user = user;
  }

  async begin(signal: AbortSignal): Promise<void> {
    await this.#user.createNamespace(namespace, signal);
    for (let count = 0; count < 3; count++) await this.#plant(signal);
  }

  async step(signal: AbortSignal): Promise<void> {
    const step = this.#user.choose(steps);
    switch (step) {
      case 'plant':
        if (this.#trees.length < treesMax) await this.#plant(signal);
        return;
      case 'fell':
        return this.#fell(signal);
      case 'release':
        return this.#release(signal);
      default:
        step satisfies never;
    }
  }

  async settle(signal: AbortSignal): Promise<void> {
    while (this.#held.size > 0) await this.#release(signal);
  }

  missing(): readonly string[] {
    const { truth } = this.#user;
    const problems: string[] = [];
    const there = new Set<string>();
    for (const object of truth.of<KubeObject>('ConfigMap', namespace)) {
      const { name = '', deletionTimestamp, ownerReferences = [] } = object.metadata;
      there.add(name);
      if (deletionTimestamp !== undefined) problems.push(`${name} is terminating`);
      if (this.#gone.has(name)) problems.push(`${name} is not gone`);
      const owners = ownerReferences.filter(({ uid }) => truth.has(uid));
      if (ownerReferences.length > owners.length)
        problems.push(`${name} has an owner that is gone`);
    }
    for (const name of this.#kept) if (!there.has(name)) problems.push(`${name} is lost`);
    return problems;
  }

  async #plant(signal: AbortSignal): Promise<void> {
    const user = this.#user;
    const root = user.nextName('tree');
    const circle = user.happens(0.3);
    await this.#make(root, [], signal);
    const owner = this.#reference(root);
    if (owner === undefined) return;
    const other = this.#trees.find(({ circle: bent }) => !bent && user.happens(0.3));
    const alsoBy = other === undefined ? undefined : this.#reference(other.root);
    const names = [root];
    let shared: string | undefined;
    for (let index = user.between(1, 4); index > 0; index--) {
      const name = `${root}-${index}`;
      const both = shared === undefined && alsoBy !== undefined && user.happens(0.5);
      if (both) shared = name;
      await this.#make(name, both ? [owner, alsoBy] : [owner], signal);
      names.push(name);
      const parent = this.#reference(name);
      if (user.happens(0.3) && parent !== undefined && !both) {
        await this.#make(`${name}-leaf`, [parent], signal);
        names.push(`${name}-leaf`);
      }
    }
    await this.#bend(root, { circle, names }, signal);
    for (const name of names) this.#kept.add(name);
    this.#trees.push({ root, names, shared, circle, plantedMs: user.clock.monotonic() });
  }

  /** Some trees bite their own tail; and now and then somebody refers to what never was. */
  async #bend(
    root: string,
    { circle, names }: { readonly circle: boolean; readonly names: readonly string[] },
    signal: AbortSignal,
  ): Promise<void> {
    const user = this.#user;
    const last = this.#reference(names.at(-1) ?? root);
    if (circle && last !== undefined) {
      const ownerReferences = [{ ...last, blockOwnerDeletion: true }];
      const patch = { metadata: { ownerReferences } };
      await user.patch(configMaps, { namespace, name: root }, patch, { signal });
    }
    if (!user.happens(0.2)) return;
    const nobody = { apiVersion: 'v1', kind: 'ConfigMap', name: 'nobody', uid: user.random.uuid() };
    const name = `${root}-foundling`;
    await this.#make(name, [nobody], signal);
    this.#gone.add(name);
  }

  async #make(
    name: string,
    ownerReferences: readonly OwnerReference[],
    signal: AbortSignal,
  ): Promise<void> {
    const user = this.#user;
    const held = user.happens(0.1);
    if (held) this.#held.add(name);
    const finalizers = held ? [holdFinalizer] : [];
    const metadata = { name, namespace, ownerReferences, finalizers };
    await user.create(configMaps, { apiVersion: 'v1', kind: 'ConfigMap', metadata }, signal);
  }

  #reference(name: string): OwnerReference | undefined {
    const found = this.#user.truth.find('ConfigMap', name, namespace);
    if (found?.metadata.uid === undefined) return undefined;
    const { uid } = found.metadata;
    const blockOwnerDeletion = this.#user.happens(0.5);
    return { apiVersion: 'v1', kind: 'ConfigMap', name, uid, blockOwnerDeletion };
  }

  async #fell(signal: AbortSignal): Promise<void> {
    const user = this.#user;
    const nowMs = user.clock.monotonic();
    const ripe = this.#trees.filter(({ plantedMs }) => nowMs - plantedMs >= ripeMs);
    if (ripe.length === 0) return;
    const tree = user.choose(ripe);
    this.#trees.splice(this.#trees.indexOf(tree), 1);
    const propagationPolicy = user.choose(policies);
    // A shared child lives on with its other owner, if that is to live.
    const orphans = propagationPolicy === 'Orphan';
    for (const name of tree.names) {
      const stays = name !== tree.root && (orphans || name === tree.shared);
      if (stays) continue;
      this.#kept.delete(name);
      this.#gone.add(name);
    }
    const at = { namespace, name: tree.root };
    await user.delete(configMaps, at, { propagationPolicy, signal });
    // Whose other owner is gone is not kept either; who shares with a felled tree is uncertain.
    for (const other of this.#trees)
      if (other.shared !== undefined) this.#kept.delete(other.shared);
    if (tree.shared !== undefined) this.#kept.delete(tree.shared);
  }

  async #release(signal: AbortSignal): Promise<void> {
    const [name] = this.#held;
    if (name === undefined) return;
    this.#held.delete(name);
    const user = this.#user;
    user.observe({ what: 'released', namespace, name });
    await user.insist(signal, async () => {
      // Only this finalizer: the garbage collector may have put its own beside it.
      const found = user.truth.find('ConfigMap', name, namespace);
      if (found === undefined) return;
      const { resourceVersion, finalizers = [] } = found.metadata;
      const others = finalizers.filter((one) => one !== holdFinalizer);
      const patch = { metadata: { resourceVersion, finalizers: others } };
      try {
        await user.client.patch(configMaps, { namespace, name }, patch, { type: 'merge', signal });
      } catch (error) {
        if (!isReason(error, 'NotFound')) throw error;
      }
    });
  }
}
