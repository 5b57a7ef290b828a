/**
 * Services in front of pods that come and go: with selectors that match some, all or none, that
 * change, that lose their selector and get Endpoints written by hand instead; headless, with ports
 * by name, and for pods that are not ready. In the end slices and Endpoints say what is there.
 */
import { endpoints, pods, replicaSets, services } from '#resources/kinds.ts';
import type { Endpoints, Pod, Service } from '#resources/types/core-v1.ts';
import type { EndpointSlice } from '#resources/types/discovery-v1.ts';
import { hasEnded, isPodReady } from '../states.ts';
import { Made, type Named } from './made.ts';
import { type Actor, containersOf, replicaSetOf, type User } from './user.ts';

const namespace = 'services';
const mirror = 'endpointslicemirroring-controller.k8s.io';
const managedBy = 'endpointslice.kubernetes.io/managed-by';
const kin = { role: 'server' } as const;
const stems = ['red', 'blue'] as const;
const steps = [
  'create',
  'select',
  'select',
  'write',
  'scale',
  'relabel',
  'kill',
  'delete',
] as const;

export class Services implements Actor {
  readonly #user: User;
  readonly #services: Made<Service>;
  /** Services whose Endpoints are written by hand, and what was written. */
  readonly #written = new Map<string, readonly string[]>();

  constructor(user: User) {
    this.#user = user;
    const make = (metadata: Named): Service => newService(metadata, user);
    this.#services = new Made(user, { kind: services, namespace, most: 4, stem: 'service', make });
  }

  async begin(signal: AbortSignal): Promise<void> {
    const user = this.#user;
    await this.#services.begin(signal);
    for (const name of stems) {
      const labels = { app: name, ...kin };
      const template = { metadata: { labels }, spec: { containers: containersOf('10m') } };
      const set = replicaSetOf(
        { name, namespace },
        { replicas: 2, labels: { app: name }, template },
      );
      await user.create(replicaSets, set, signal);
    }
  }

  async step(signal: AbortSignal): Promise<void> {
    const user = this.#user;
    const step = user.choose(steps);
    const name = this.#services.any();
    if (step === 'create' || name === undefined) return this.#services.create(signal);
    switch (step) {
      case 'select': {
        // Replaces the whole map: in a merge patch the other keys have to be named.
        const none = { app: null, role: null, nobody: null };
        const spec = { selector: { ...none, ...selectorOf(user) } };
        this.#written.delete(name);
        return this.#services.patch(name, { spec }, signal);
      }
      case 'write':
        return this.#write(name, signal);
      case 'scale': {
        const at = { namespace, name: user.choose(stems) };
        const patch = { spec: { replicas: user.between(0, 5) } };
        return user.patch(replicaSets, at, patch, { signal });
      }
      case 'relabel':
        return this.#withPod((at) => {
          const patch = { metadata: { labels: { role: user.choose(['server', 'resting']) } } };
          return user.patch(pods, at, patch, { signal });
        });
      case 'kill':
        return this.#withPod((at) => user.delete(pods, at, { signal }));
      case 'delete':
        this.#written.delete(name);
        return this.#services.delete(name, signal);
      default:
        step satisfies never;
    }
  }

  missing(): readonly string[] {
    const { truth } = this.#user;
    const problems = [...this.#services.missing()];
    for (const service of truth.of<Service>('Service', namespace)) {
      const { name = '' } = service.metadata;
      const wanted = [...(this.#written.get(name) ?? this.#addressesOf(service))].sort().join();
      // Slices of a selector that was taken away are nobody's to delete, as upstream has it.
      const manager = this.#written.has(name) ? mirror : undefined;
      const sliced = this.#slicesOf(name, manager).sort().join();
      if (sliced !== wanted) problems.push(`slices of ${name} say ${sliced}, not ${wanted}`);
      const found = truth.find<Endpoints>('Endpoints', name, namespace);
      const older = (found?.subsets ?? []).flatMap(({ addresses = [] }) => addresses);
      const listed = older.map(({ ip }) => ip).sort();
      if (listed.join() !== wanted) problems.push(`endpoints of ${name} say ${listed}`);
    }
    return problems;
  }

  #slicesOf(name: string, manager: string | undefined): string[] {
    const addresses: string[] = [];
    const slices = this.#user.truth.of<EndpointSlice>('EndpointSlice', namespace);
    for (const { metadata, endpoints: all } of slices) {
      const { labels = {} } = metadata;
      if (labels['kubernetes.io/service-name'] !== name) continue;
      if (manager !== undefined && labels[managedBy] !== manager) continue;
      for (const { conditions, addresses: own } of all ?? []) {
        if (conditions?.ready !== false) addresses.push(...own);
      }
    }
    return addresses;
  }

  #addressesOf({ spec }: Service): readonly string[] {
    const selector = Object.entries(spec?.selector ?? {});
    const found: string[] = [];
    if (selector.length === 0) return found;
    for (const pod of this.#user.truth.of<Pod>('Pod', namespace)) {
      const { labels = {}, deletionTimestamp } = pod.metadata;
      const { podIP } = pod.status ?? {};
      const isMeant = selector.every(([key, value]) => labels[key] === value);
      const counts = isPodReady(pod) || spec?.publishNotReadyAddresses === true;
      const isGoing = deletionTimestamp !== undefined || hasEnded(pod);
      if (isMeant && counts && !isGoing && podIP !== undefined) found.push(podIP);
    }
    return found;
  }

  /** The selector goes first: until then the addresses are the controller's. */
  async #write(name: string, signal: AbortSignal): Promise<void> {
    const user = this.#user;
    await this.#services.patch(name, { spec: { selector: null } }, signal);
    // What the controller still has under way is done by then.
    await user.clock.sleep(60_000, { signal });
    const written = Array.from(
      { length: user.between(0, 3) },
      (_, index) => `192.0.2.${index + 1}`,
    );
    const addresses = written.map((ip) => ({ ip }));
    const subsets = written.length === 0 ? [] : [{ addresses, ports: [{ port: 80 }] }];
    const metadata = { name, namespace };
    await user.create(
      endpoints,
      { apiVersion: 'v1', kind: 'Endpoints', metadata, subsets },
      signal,
    );
    await user.patch(endpoints, metadata, { subsets }, { signal });
    this.#written.set(name, written);
  }

  async #withPod(act: (at: Named) => Promise<void>): Promise<void> {
    const all = [...this.#user.truth.of<Pod>('Pod', namespace)];
    if (all.length === 0) return;
    const { name = '' } = this.#user.choose(all).metadata;
    await act({ namespace, name });
  }
}

/** One set's pods, all that serve, or nobody. */
function selectorOf(user: User): Readonly<Record<string, string>> {
  return user.choose([{ app: 'red' }, { app: 'blue' }, kin, { nobody: 'here' }]);
}

function newService(metadata: Named, user: User): Service {
  const shape = user.choose([
    {},
    { clusterIP: 'None' },
    { type: 'NodePort' },
    { publishNotReadyAddresses: true },
    { sessionAffinity: 'ClientIP' },
  ]);
  const hints = user.choose([
    {},
    { trafficDistribution: 'PreferClose' },
    { internalTrafficPolicy: 'Local' },
  ]);
  const ports = [{ port: 80, targetPort: user.choose([80, 8080]) }];
  const spec = { selector: selectorOf(user), ports, ...shape, ...hints };
  return { apiVersion: 'v1', kind: 'Service', metadata, spec };
}
