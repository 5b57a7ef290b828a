/**
 * Tells of other CPU and memory for a pod that runs, in events with upstream's reasons and texts:
 * that it has begun, that it is done, that it must wait or cannot be, that it went wrong. Each
 * names what the containers are to have, as JSON, and which wish it is about.
 *
 * `resize.ts` and the worker call; what was told last stands in the pod's state, so that the same
 * is not told again each time that it is tried.
 */
import type { Container, Pod } from '#resources/types/core-v1.ts';
import type { KubeletParts, PodState } from '../parts.ts';
import { isResizing } from './applied-resources.ts';
import { containersOf, initContainersOf, type PodFacts, type ResizeFailure } from './pod-facts.ts';

type Told = Pick<KubeletParts, 'recorder'>;
type State = Pick<PodState, 'resizing' | 'resizeFailure'>;

/** The node gives what is wanted. */
export function tellStarted({ recorder }: Told, state: State, pod: Pod): void {
  const generation = pod.metadata.generation ?? 0;
  state.resizeFailure = undefined;
  if (state.resizing === generation) return;
  state.resizing = generation;
  const message = resizeText('Pod resize started', pod, generation);
  recorder.record(pod, { type: 'Normal', reason: 'ResizeStarted', message });
}

/** Asked after each look at the runtime: done is what nothing is left of. */
export function tellCompleted(
  { recorder }: Told,
  state: State,
  { pod, applied, ending }: PodFacts,
): void {
  const generation = state.resizing;
  if (generation === undefined || isResizing(pod, applied)) return;
  state.resizing = undefined;
  if (ending !== undefined) return;
  const message = resizeText('Pod resize completed', pod, generation);
  recorder.record(pod, { type: 'Normal', reason: 'ResizeCompleted', message });
}

/** Tried again after a while: told again only where there is something new to tell. */
export function tellRefused(
  { recorder }: Told,
  state: State,
  pod: Pod,
  failure: Omit<ResizeFailure, 'generation'>,
): void {
  const { generation } = pod.metadata;
  const { reason, message } = failure;
  const before = state.resizeFailure;
  state.resizeFailure = { ...failure, generation };
  const isSame = before?.reason === reason && before.generation === generation;
  // How much is in use, or free, changes; that it is pending is told once.
  if (isSame && (reason !== 'Error' || before.message === message)) return;
  const text = resizeText(
    `Pod resize ${reason === 'Error' ? 'error' : reason}`,
    pod,
    generation ?? 0,
    message,
  );
  recorder.record(pod, { type: 'Warning', reason: `Resize${reason}`, message: text });
}

/** A kubelet that starts goes on with what it finds under way. */
export function resizingIn({ status }: Pod): number | undefined {
  const condition = status?.conditions?.find(({ type }) => type === 'PodResizeInProgress');
  return condition?.observedGeneration;
}

function resizeText(what: string, pod: Pod, generation: number, error?: string): string {
  const init = initContainersOf(pod).map(summaryOf);
  const main = containersOf(pod).map(summaryOf);
  const summary = {
    ...(init.length === 0 ? {} : { initContainers: init }),
    ...(main.length === 0 ? {} : { containers: main }),
    generation,
    ...(error === undefined ? {} : { error }),
  };
  return `${what}: ${JSON.stringify(summary)}`;
}

function summaryOf({ name, resources }: Container): unknown {
  const { limits, requests, claims } = resources ?? {};
  return { name, resources: { limits: sorted(limits), requests: sorted(requests), claims } };
}

function sorted(
  amounts: Readonly<Record<string, string>> | undefined,
): Readonly<Record<string, string>> | undefined {
  if (amounts === undefined) return undefined;
  return Object.fromEntries(Object.entries(amounts).sort(([a], [b]) => (a < b ? -1 : 1)));
}
