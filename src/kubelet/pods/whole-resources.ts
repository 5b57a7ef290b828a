/**
 * What a pod asks for and has as a whole: what its specification says of the pod itself, for the
 * rest what its containers add up to, and what its runtime costs on top. Pure.
 *
 * `status.ts` tells it of every pod; `resize.ts` compares it with what the node has.
 * Behaviour: kubernetes.io, "Assign Pod-level CPU and memory resources".
 */
import { addQuantities, compareQuantities, quantityValue } from '#api/quantity.ts';
import type { Container, Pod, PodStatus } from '#resources/types/core-v1.ts';
import { asApplied } from './applied-resources.ts';
import {
  initContainersOf,
  isPending,
  isSidecar,
  lastingContainersOf,
  type PodFacts,
} from './pod-facts.ts';

type Kind = 'requests' | 'limits';

/** Undefined where nobody asks. */
export function wholeAmount(pod: Pod, kind: Kind, name: string): string | undefined {
  const { resources, overhead } = pod.spec ?? {};
  const amount = resources?.[kind]?.[name] ?? sumOf(pod, kind, name);
  const more = overhead?.[name];
  if (amount === undefined) return kind === 'requests' ? more : undefined;
  // A limit of 0 is none, and stays none.
  const isNone = kind === 'limits' && quantityValue(amount) === 0;
  return more === undefined || isNone ? amount : addQuantities(amount, more);
}

export function wholeResources({
  pod,
  applied,
  resizeFailure,
}: PodFacts): Pick<PodStatus, 'resources' | 'allocatedResources'> {
  const has = asApplied(pod, applied);
  const given = isPending(resizeFailure) ? has : pod;
  const requests = amountsOf(has, 'requests');
  const limits = amountsOf(has, 'limits');
  const allocatedResources = amountsOf(given, 'requests');
  return {
    resources: {
      ...(requests === undefined ? {} : { requests }),
      ...(limits === undefined ? {} : { limits }),
    },
    ...(allocatedResources === undefined ? {} : { allocatedResources }),
  };
}

/** Undefined where it is nothing: the API keeps no empty lists. */
function amountsOf(pod: Pod, kind: Kind): Readonly<Record<string, string>> | undefined {
  const named = [
    pod.spec?.resources?.[kind],
    ...lastingContainersOf(pod).map((container) => {
      return container.resources?.[kind];
    }),
  ];
  const names = new Set(named.flatMap((amounts) => Object.keys(amounts ?? {})));
  const amounts: Record<string, string> = {};
  for (const name of names) {
    const amount = wholeAmount(pod, kind, name);
    if (amount !== undefined) amounts[name] = amount;
  }
  return Object.keys(amounts).length === 0 ? undefined : amounts;
}

/** Of those that run together, or of one that runs before them if that is more. */
function sumOf(pod: Pod, kind: Kind, name: string): string | undefined {
  const of = ({ resources }: Container): readonly string[] => {
    const amount = resources?.[kind]?.[name];
    return amount === undefined ? [] : [amount];
  };
  const running = lastingContainersOf(pod).flatMap(of);
  const first = initContainersOf(pod)
    .filter((container) => !isSidecar(container))
    .flatMap(of);
  const sums = running.length === 0 ? first : [running.reduce(addQuantities), ...first];
  if (sums.length === 0) return undefined;
  return sums.reduce((one, other) => (compareQuantities(one, other) < 0 ? other : one));
}
