/**
 * What containers and pods ask for that is given out piece by piece: whole processors and memory of
 * pods of the class Guaranteed. Pure; `cpu-pool.ts` and `memory-pool.ts` give it.
 *
 * A pod that asks as a whole (`spec.resources`) shares like everybody: its containers have no part
 * of their own that could be set aside.
 */
import { quantityMilliValue, quantityValue } from '#api/quantity.ts';
import type { Container, Pod } from '#resources/types/core-v1.ts';
import { containersOf, initContainersOf, isSidecar } from '../pods/pod-facts.ts';
import { qosClassOf } from '../pods/qos.ts';

/** Amounts by resource. */
export type Wants = ReadonlyMap<string, number>;

/** Whole processors that are to be a container's alone; 0: it shares. */
export function exclusiveCpus(pod: Pod, container: Container): number {
  if (!isGuaranteed(pod)) return 0;
  const milli = quantityMilliValue(requestsOf(container)['cpu'] ?? '0');
  return milli % 1000 === 0 ? milli / 1000 : 0;
}

/** The same for the pod: what it needs at the moment at which it needs most. */
export function exclusiveCpusOfPod(pod: Pod): number {
  return most(pod, (container) => exclusiveCpus(pod, container));
}

/** Bytes of memory and of huge pages. */
export function exclusiveMemory(pod: Pod, container: Container): Wants {
  if (!isGuaranteed(pod)) return new Map();
  return new Map(
    Object.entries(requestsOf(container))
      .filter(([name]) => name === 'memory' || name.startsWith('hugepages-'))
      .map(([name, amount]) => [name, quantityValue(String(amount))]),
  );
}

export function exclusiveMemoryOfPod(pod: Pod): Wants {
  const names = new Set(
    containersOf(pod).flatMap((container) => [...exclusiveMemory(pod, container).keys()]),
  );
  return new Map(
    [...names].map((name) => [
      name,
      most(pod, (container) => exclusiveMemory(pod, container).get(name) ?? 0),
    ]),
  );
}

/** An init container ends before the next begins; a sidecar goes on beside all that follow. */
export function most(pod: Pod, of: (container: Container) => number): number {
  let sidecars = 0;
  let atStart = 0;
  for (const container of initContainersOf(pod)) {
    if (isSidecar(container)) sidecars += of(container);
    else atStart = Math.max(atStart, sidecars + of(container));
  }
  return Math.max(
    atStart,
    containersOf(pod).reduce((sum, each) => sum + of(each), sidecars),
  );
}

/** One that ends before the others begin. */
export function isPassing(pod: Pod, container: Container): boolean {
  return initContainersOf(pod).includes(container) && !isSidecar(container);
}

function isGuaranteed(pod: Pod): boolean {
  return pod.spec?.resources === undefined && qosClassOf(pod) === 'Guaranteed';
}

/** Where only a limit is set, it is the request as well. */
function requestsOf({ resources }: Container): Readonly<Record<string, string>> {
  return { ...resources?.limits, ...resources?.requests };
}
