/**
 * What a pod's RuntimeClass adds to it: the cost of running it that way, and the nodes where it can
 * run. A class that does not exist is refused, and so is a cost that the class does not name.
 *
 * Behaviour: kubernetes.io, "Runtime Class" and "Pod Overhead".
 */
import type { KubeObject } from '#api/object.ts';
import { jsonEqual } from '#kit/json-equal.ts';
import type { Pod, PodSpec } from '#resources/types/core-v1.ts';
import type { RuntimeClass } from '#resources/types/node-v1.ts';
import type { Store } from '#store';
import { storedObject } from '../registry.ts';
import { type Judged, refusal } from './refusal.ts';

export function applyRuntimeClass(
  { store }: { readonly store: Store },
  judged: Judged,
): KubeObject {
  const { hub } = judged;
  // The caller has checked the kind.
  const { spec } = hub as Pod;
  if (spec === undefined) return hub;
  const refuse = (why: string): Error => refusal(judged, `pod rejected: ${why}`);
  const name = spec.runtimeClassName ?? '';
  if (name === '') {
    if (spec.overhead === undefined) return hub;
    throw refuse('Pod Overhead set without corresponding RuntimeClass defined Overhead');
  }
  const found = storedObject<RuntimeClass>(store, `runtimeclasses/${name}`);
  if (found === undefined) throw refuse(`RuntimeClass ${JSON.stringify(name)} not found`);
  const overhead = found.overhead?.podFixed;
  if (spec.overhead !== undefined && !jsonEqual(spec.overhead, overhead)) {
    throw refuse("Pod's Overhead doesn't match RuntimeClass's defined Overhead");
  }
  const nodeSelector = { ...found.scheduling?.nodeSelector };
  for (const [key, value] of Object.entries(spec.nodeSelector ?? {})) {
    if (nodeSelector[key] !== undefined && nodeSelector[key] !== value) {
      throw refuse(`conflict: runtimeClass.scheduling.nodeSelector[${key}] = ${nodeSelector[key]}`);
    }
    nodeSelector[key] = value;
  }
  const more = found.scheduling?.tolerations ?? [];
  const own = spec.tolerations ?? [];
  const added = more.filter((one) => !own.some((other) => jsonEqual(one, other)));
  const next: PodSpec = {
    ...spec,
    ...(overhead === undefined ? {} : { overhead }),
    ...(Object.keys(nodeSelector).length === 0 ? {} : { nodeSelector }),
    ...(added.length === 0 ? {} : { tolerations: [...own, ...added] }),
  };
  return { ...hub, spec: next };
}
