/**
 * Namespaces that come and go with everything in them, and come again under the same name while the
 * old one still ends. Now and then something in one is held by a finalizer that nobody knows, for a
 * while or for ever: then its namespace has to say so, and nothing else is left in it.
 */
import { configMaps, deployments, namespaces, services } from '#resources/kinds.ts';
import type { Namespace, Service } from '#resources/types/core-v1.ts';
import { holdFinalizer } from './owners.ts';
import { type Actor, containersOf, deploymentOf, type User } from './user.ts';

const names = ['team-a', 'team-b'] as const;
const steps = ['fill', 'fill', 'delete', 'delete', 'create'] as const;

export class Namespaces implements Actor {
  readonly #user: User;
  /** Wished to be there. */
  readonly #wished = new Set<string>();
  readonly #held = new Map<string, string>();

  constructor(user: User) {
    this.#user = user;
  }

  async begin(signal: AbortSignal): Promise<void> {
    for (const name of names) {
      await this.#create(name, signal);
      await this.#fill(name, signal);
    }
  }

  async step(signal: AbortSignal): Promise<void> {
    const step = this.#user.choose(steps);
    const name = this.#user.choose(names);
    switch (step) {
      case 'create':
        if (!this.#wished.has(name)) await this.#create(name, signal);
        return;
      case 'fill':
        if (this.#wished.has(name)) await this.#fill(name, signal);
        return;
      case 'delete':
        this.#wished.delete(name);
        return this.#user.delete(namespaces, { name }, { signal });
      default:
        step satisfies never;
    }
  }

  async settle(signal: AbortSignal): Promise<void> {
    for (const [name, namespace] of this.#held) {
      if (this.#user.happens(0.3)) continue;
      const patch = { metadata: { finalizers: null } };
      this.#user.observe({ what: 'released', namespace, name });
      await this.#user.patch(configMaps, { namespace, name }, patch, { signal });
      this.#held.delete(name);
    }
  }

  missing(): readonly string[] {
    const { truth } = this.#user;
    const problems: string[] = [];
    for (const name of names) {
      const found = truth.find<Namespace>('Namespace', name);
      const isThere = found !== undefined && found.metadata.deletionTimestamp === undefined;
      if (this.#wished.has(name) && !isThere) problems.push(`namespace ${name} is lost`);
      if (!this.#wished.has(name) && found !== undefined && !this.#saysWhatHolds(found)) {
        problems.push(`namespace ${name} is not gone: ${JSON.stringify(found.status)}`);
      }
      if (found === undefined && truth.countIn(name) > 0) problems.push(`${name} left things`);
    }
    return problems;
  }

  /** Nothing but what the user holds is in it, and its conditions say so. */
  #saysWhatHolds({ metadata: { name = '' }, status }: Namespace): boolean {
    const { truth } = this.#user;
    const held = [...this.#held.keys()].filter((one) => truth.find('ConfigMap', one, name));
    if (held.length === 0 || truth.countIn(name) > held.length) return false;
    const told = (type: string): string | undefined =>
      status?.conditions?.find((one) => one.type === type && one.status === 'True')?.message;
    const count = `${held.length} resource instances`;
    return (
      told('NamespaceContentRemaining')?.endsWith(`: configmaps. has ${count}`) === true &&
      told('NamespaceFinalizersRemaining')?.endsWith(`: ${holdFinalizer} in ${count}`) === true
    );
  }

  /** The old one has to be gone first: until then its name is taken. */
  async #create(name: string, signal: AbortSignal): Promise<void> {
    const { truth } = this.#user;
    if (truth.find<Namespace>('Namespace', name) !== undefined) return;
    await this.#user.createNamespace(name, signal);
    if (truth.find<Namespace>('Namespace', name)?.metadata.deletionTimestamp === undefined) {
      this.#wished.add(name);
    }
  }

  /** Refused where the namespace ends meanwhile: then nothing is wished there any more. */
  async #fill(namespace: string, signal: AbortSignal): Promise<void> {
    const user = this.#user;
    const name = user.nextName('thing');
    const held = user.happens(0.15);
    const metadata = { name, namespace, ...(held ? { finalizers: [holdFinalizer] } : {}) };
    await user.create(configMaps, { apiVersion: 'v1', kind: 'ConfigMap', metadata }, signal);
    if (held) this.#held.set(name, namespace);
    if (!user.happens(0.5)) return;
    const labels = { app: name };
    const at = { name, namespace };
    const made = deploymentOf(at, user.between(0, 3), { containers: containersOf('20m') });
    await user.create(deployments, made, signal);
    const ports = [{ port: 80 }];
    const service: Service = {
      apiVersion: 'v1',
      kind: 'Service',
      metadata: at,
      spec: { selector: labels, ports },
    };
    await user.create(services, service, signal);
  }
}
