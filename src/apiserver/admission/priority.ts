/**
 * The priority of a pod: a number that comes from the name of its class, or from the class that is
 * the default. A client cannot choose the number.
 *
 * Reads the classes from the store; the two that the system itself needs are objects too, made when
 * the server starts (`bootstrap.ts`). A cluster has at most one default class.
 */
import { forbidden } from '#api/errors.ts';
import type { KubeObject } from '#api/object.ts';
import type { Pod } from '#resources/types/core-v1.ts';
import type { PriorityClass } from '#resources/types/scheduling-v1.ts';
import type { Store } from '#store';
import { decodeEntry, mentions, registryRoot, storedObject } from '../registry.ts';
import { type Judged, refusal } from './refusal.ts';

const prefix = 'priorityclasses/';
const usualPolicy = 'PreemptLowerPriority';

export function resolvePriority({ store }: { readonly store: Store }, judged: Judged): KubeObject {
  const { hub } = judged;
  // The caller has checked the kind.
  const { spec } = hub as Pod;
  if (spec === undefined) return hub;
  const found = spec.priorityClassName
    ? namedClass(store, spec.priorityClassName)
    : defaultClass(store);
  if (found === undefined && spec.priorityClassName) {
    const why = `no PriorityClass with name ${spec.priorityClassName} was found`;
    throw refusal(judged, why);
  }
  const priority = found?.value ?? 0;
  if (spec.priority !== undefined && spec.priority !== priority) {
    const why = `the integer value of priority (${spec.priority}) must not be provided in pod spec; priority admission controller computed ${priority} from the given PriorityClass name`;
    throw refusal(judged, why);
  }
  const preemptionPolicy = found?.preemptionPolicy ?? usualPolicy;
  if (spec.preemptionPolicy !== undefined && spec.preemptionPolicy !== preemptionPolicy) {
    const why = `the string value of PreemptionPolicy (${spec.preemptionPolicy}) must not be provided in pod spec; priority admission controller computed ${preemptionPolicy} from the given PriorityClass name`;
    throw refusal(judged, why);
  }
  const chosen = found === undefined ? {} : { priorityClassName: found.metadata.name };
  return { ...hub, spec: { ...spec, ...chosen, priority, preemptionPolicy } };
}

/** What the server had computed need not be said again in an update. */
export function keepPriority(hub: KubeObject, old: KubeObject): KubeObject {
  // The caller has checked the kind of both.
  const [{ spec }, { spec: before }] = [hub as Pod, old as Pod];
  if (spec === undefined || before === undefined) return hub;
  const { priority = before.priority } = spec;
  const { preemptionPolicy = before.preemptionPolicy } = spec;
  if (priority === spec.priority && preemptionPolicy === spec.preemptionPolicy) return hub;
  return { ...hub, spec: { ...spec, priority, preemptionPolicy } };
}

function namedClass(store: Store, name: string): PriorityClass | undefined {
  return storedObject<PriorityClass>(store, prefix + name);
}

/** Without it a class is no default. */
const mark = Buffer.from('"globalDefault":true');

/** If a race has made two, the one of lower priority. */
function defaultClass(store: Store): PriorityClass | undefined {
  let found: PriorityClass | undefined;
  for (const entry of store.list({ prefix: registryRoot + prefix }).entries) {
    if (!mentions(entry.value, mark)) continue;
    const one = decodeEntry<PriorityClass>(entry);
    if (one.globalDefault !== true) continue;
    if (found === undefined || (one.value ?? 0) < (found.value ?? 0)) found = one;
  }
  return found;
}

/** Refuses a second default. */
export function checkDefaultClass({ store }: { readonly store: Store }, hub: KubeObject): void {
  // The caller has checked the kind.
  if ((hub as PriorityClass).globalDefault !== true) return;
  const { name = '' } = hub.metadata;
  const present = defaultClass(store)?.metadata.name;
  if (present === undefined || present === name) return;
  const why = `PriorityClass ${present} is already marked as default. Only one default can exist`;
  throw forbidden({ group: 'scheduling.k8s.io', resource: 'priorityclasses' }, name, why);
}
