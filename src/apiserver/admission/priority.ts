/**
 * The priority of a pod: a number that comes from the name of its class.
 *
 * The two classes that the system itself needs are known here; other names are refused until
 * classes are objects. A client cannot choose the number.
 */
import { forbidden } from '#api/errors.ts';
import type { KubeObject } from '#api/object.ts';
import type { Pod } from '#resources/types/core-v1.ts';

const systemClasses: ReadonlyMap<string, number> = new Map([
  ['system-node-critical', 2_000_001_000],
  ['system-cluster-critical', 2_000_000_000],
]);

export function resolvePriority(hub: KubeObject): KubeObject {
  // The caller has checked the kind.
  const { spec } = hub as unknown as Pod;
  if (spec === undefined) return hub;
  const { priorityClassName = '' } = spec;
  const of = { group: '', resource: 'pods' };
  const { name = '' } = hub.metadata;
  const priority = priorityClassName === '' ? 0 : systemClasses.get(priorityClassName);
  if (priority === undefined) {
    throw forbidden(of, name, `no PriorityClass with name ${priorityClassName} was found`);
  }
  if (spec.priority !== undefined && spec.priority !== priority) {
    const why = `the integer value of priority (${spec.priority}) must not be provided in pod spec; priority admission controller computed ${priority} from the given PriorityClass name`;
    throw forbidden(of, name, why);
  }
  const preemptionPolicy = spec.preemptionPolicy ?? 'PreemptLowerPriority';
  return { ...hub, spec: { ...spec, priority, preemptionPolicy } } as KubeObject;
}
