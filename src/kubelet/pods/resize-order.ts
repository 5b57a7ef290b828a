/**
 * Who is given room first, of the pods of a node whose resizes wait for it.
 *
 * A resize is granted when somebody looks: a pod that wants one, or tries again. Before it is
 * answered, those that come before it are given what fits: first who asks for no more than it has,
 * then the higher priority, then who is Guaranteed, then who has waited longer. A pod that has been
 * granted its resize counts with what it is about to have.
 */
import { compareQuantities } from '#api/quantity.ts';
import type { Pod } from '#resources/types/core-v1.ts';
import type { PodState } from '../parts.ts';
import { asApplied } from './applied-resources.ts';
import { isPending, type RuntimeFacts } from './pod-facts.ts';
import { qosClassOf } from './qos.ts';
import { wholeAmount } from './whole-resources.ts';

/** A pod, by the room that it takes on the node. */
export interface Room {
  readonly pod: Pod;
  /** With what it has at the moment. */
  readonly has: Pod;
  /** With what it was given: what it has, as long as it waits for more. */
  readonly allocated: Pod;
  /** Since when it has waited for others; undefined: it does not. */
  readonly waitingSince: string | undefined;
  grant(): void;
}

export function roomOf(
  pod: Pod,
  state: Pick<PodState, 'applied' | 'resizeFailure'>,
  { containers }: RuntimeFacts,
  wake: () => void,
): Room {
  const { resizeFailure } = state;
  const has = asApplied(pod, state.applied.current(containers));
  const isWaiting =
    resizeFailure?.reason === 'Deferred' && resizeFailure.generation === pod.metadata.generation;
  const condition = pod.status?.conditions?.find(({ type }) => type === 'PodResizePending');
  return {
    ...{ pod, has, allocated: isPending(resizeFailure) ? has : pod },
    waitingSince: isWaiting ? (condition?.lastTransitionTime ?? '') : undefined,
    grant: () => {
      state.resizeFailure = undefined;
      wake();
    },
  };
}

/**
 * What `pod` still lacks when all before it have what fits. `lackOf` says what a pod lacks beside
 * the others.
 */
export function shortageInTurn(
  pod: Pod,
  rooms: () => readonly Room[],
  lackOf: (pod: Pod, others: readonly Pod[]) => string | undefined,
): string | undefined {
  const isOf = ({ metadata }: Pod, room: Room): boolean => room.pod.metadata.uid === metadata.uid;
  const lack = (of: Pod): string | undefined => {
    const others = rooms().filter((room) => !isOf(of, room));
    // Whoever asks has not been given anything yet.
    return lackOf(
      of,
      others.map((room) => (isOf(pod, room) ? room.has : room.allocated)),
    );
  };
  const own = rooms().find((room) => isOf(pod, room));
  const before = rooms()
    .filter((room) => room.waitingSince !== undefined && !isOf(pod, room))
    .filter((room) => own === undefined || compareRooms(room, own) < 0)
    .sort(compareRooms);
  for (const room of before) {
    if (lack(room.pod) === undefined) room.grant();
  }
  return lack(pod);
}

/** Less than 0: the first comes first. */
function compareRooms(a: Room, b: Room): number {
  const [first, second] = [rankOf(a), rankOf(b)];
  for (const at of [0, 1, 2] as const) {
    if (first[at] !== second[at]) return first[at] - second[at];
  }
  if (first[3] === second[3]) return 0;
  return first[3] < second[3] ? -1 : 1;
}

function rankOf({
  pod,
  has,
  waitingSince,
}: Room): readonly [more: number, priority: number, qos: number, since: string] {
  const wantsMore = ['cpu', 'memory'].some((name) => {
    const [wanted = '0', had = '0'] = [pod, has].map((each) => wholeAmount(each, 'requests', name));
    return compareQuantities(wanted, had) > 0;
  });
  const isGuaranteed = qosClassOf(pod) === 'Guaranteed';
  // One that asks for the first time has waited the shortest.
  const since = waitingSince ?? '~';
  return [wantsMore ? 1 : 0, -(pod.spec?.priority ?? 0), isGuaranteed ? 0 : 1, since];
}
