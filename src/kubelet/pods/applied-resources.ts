/**
 * Which CPU and memory the containers of a pod have at the moment, as opposed to what the pod's
 * specification wants by now: the difference is a resize that is still to be done.
 *
 * The runtime does not tell this in every version, so it is noted beside the pod's files when a
 * container is made and when it is resized; a kubelet that starts reads the note. A container of
 * which nothing is noted has what the specification says. So it is with what the pod has as a
 * whole, which stands beside them under a name that no container can have.
 */
import { mkdirSync, readFileSync, renameSync, statSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { jsonEqual } from '#kit/json-equal.ts';
import type { Pod, ResourceRequirements } from '#resources/types/core-v1.ts';
import {
  type ContainerFact,
  containersOf,
  initContainersOf,
  isSidecar,
  lastingContainersOf,
} from './pod-facts.ts';
import { qosClassOf } from './qos.ts';

/** Where the pod as a whole stands among its containers. */
export const wholePod = '';

type Applied = ReadonlyMap<string, ResourceRequirements>;

export class AppliedResources {
  readonly #file: string;
  /** By container id. */
  readonly #known: Map<string, ResourceRequirements>;
  readonly #isResizable: boolean;

  constructor(file: string, pod: Pod) {
    this.#file = file;
    // Without requests and limits, and bound to stay so: there is no difference to note.
    this.#isResizable = qosClassOf(pod) !== 'BestEffort';
    this.#known = new Map(Object.entries(read(file)));
  }

  of(containerId: string): ResourceRequirements | undefined {
    return this.#known.get(containerId);
  }

  /** The pod's cgroup has been made; written with what its first container has. */
  begin(whole: ResourceRequirements | undefined): void {
    this.#known.set(wholePod, whole ?? {});
  }

  set(containerId: string, resources: ResourceRequirements): void {
    this.#known.set(containerId, resources);
    if (!this.#isResizable) return;
    mkdirSync(dirname(this.#file), { recursive: true });
    const partial = `${this.#file}.partial`;
    writeFileSync(partial, JSON.stringify(Object.fromEntries(this.#known)));
    renameSync(partial, this.#file);
  }

  /** Forgets all other containers. Only for who has just looked: one may have been made since. */
  keep(facts: readonly ContainerFact[]): void {
    const ids = new Set(facts.map(({ id }) => id));
    const gone = [...this.#known.keys()].filter((id) => id !== wholePod && !ids.has(id));
    for (const id of gone) this.#known.delete(id);
  }

  /** What of this pod's running containers has, by name. */
  current(facts: readonly ContainerFact[]): ReadonlyMap<string, ResourceRequirements> {
    const current = new Map<string, ResourceRequirements>();
    const whole = this.#known.get(wholePod);
    if (whole !== undefined) current.set(wholePod, whole);
    for (const { id, name, state } of facts) {
      const resources = this.#known.get(id);
      if (state === 'running' && resources !== undefined) current.set(name, resources);
    }
    return current;
  }
}

/** The pod as it runs: it and the containers that can be resized with what they have. */
export function asApplied(pod: Pod, applied: Applied): Pod {
  if (pod.spec === undefined) return pod;
  const containers = containersOf(pod).map((container) => ({
    ...container,
    resources: applied.get(container.name) ?? container.resources,
  }));
  const initContainers = initContainersOf(pod).map((container) =>
    isSidecar(container)
      ? { ...container, resources: applied.get(container.name) ?? container.resources }
      : container,
  );
  const resources = applied.get(wholePod) ?? pod.spec.resources;
  return { ...pod, spec: { ...pod.spec, resources, containers, initContainers } };
}

/** It, or a container that runs, has other resources than the specification wants by now. */
export function isResizing(pod: Pod, applied: Applied): boolean {
  if (isWholeResizing(pod, applied)) return true;
  return lastingContainersOf(pod).some(({ name, resources = {} }) => {
    const has = applied.get(name);
    return has !== undefined && !jsonEqual(has, resources);
  });
}

/** Of CPU and memory, the rest cannot change. */
export function isWholeResizing({ spec }: Pod, applied: Applied): boolean {
  const has = applied.get(wholePod);
  if (has === undefined) return false;
  return (['cpu', 'memory'] as const).some(
    (name) =>
      has.requests?.[name] !== spec?.resources?.requests?.[name] ||
      has.limits?.[name] !== spec?.resources?.limits?.[name],
  );
}

function read(file: string): Readonly<Record<string, ResourceRequirements>> {
  if (statSync(file, { throwIfNoEntry: false }) === undefined) return {};
  // Written above; renamed into place, so never half a file.
  return JSON.parse(readFileSync(file, 'utf8')) as Record<string, ResourceRequirements>;
}
