/**
 * Performs what `plan.ts` decided for a pod, one action after the other; stops of containers
 * together.
 *
 * Failures that are the user's to see (an image that is not there, a bad command) become notes in
 * the pod's state, which the next plan and the status read; everything else is thrown to the
 * worker, which tries again. `start-container.ts` has the longest of the actions.
 */
import { objectKey } from '#api/object.ts';
import { isGrpcCode } from '#cri';
import type { Container } from '#resources/types/core-v1.ts';
import { createSandbox } from '../containers/sandbox.ts';
import { startContainer } from '../containers/start-container.ts';
import type { ActOptions, KubeletParts, PodState } from '../parts.ts';
import { tryHandler } from '../probes/try.ts';
import type { Action } from './plan.ts';
import {
  graceSecondsOf,
  type PodFacts,
  type RuntimeFacts,
  startOrder,
  unlessGone,
} from './pod-facts.ts';
import { resizeContainers } from './resize.ts';

/** What the log says of each. */
const actionText: Readonly<Record<Action['do'], string>> = {
  createSandbox: 'making a sandbox',
  stopSandbox: 'stopping a sandbox',
  removeSandbox: 'removing a sandbox',
  startContainer: 'starting a container',
  stopContainer: 'stopping a container',
  removeContainer: 'removing a container',
  resize: 'resizing containers',
  wait: 'waiting',
};

/** Shortest time that containers get between TERM and KILL. */
const graceSecondsMin = 2;

export async function performActions(
  parts: KubeletParts,
  state: PodState,
  facts: PodFacts,
  actions: readonly Action[],
  options: ActOptions,
): Promise<void> {
  const stops = actions.filter((action) => action.do === 'stopContainer');
  await Promise.all(stops.map((action) => stopContainer(parts, state, facts, action, options)));
  for (const action of actions) {
    options.interrupt.throwIfAborted();
    await perform(parts, state, facts, action, options);
  }
}

/** Of containers that the runtime does not have any more, nothing has to be known. */
export function forgetGone(
  { applied, preStopped }: Pick<PodState, 'applied' | 'preStopped'>,
  { containers }: RuntimeFacts,
): void {
  applied.keep(containers);
  const ids = new Set(containers.map(({ id }) => id));
  for (const id of preStopped) if (!ids.has(id)) preStopped.delete(id);
}

async function perform(
  parts: KubeletParts,
  state: PodState,
  facts: PodFacts,
  action: Action,
  options: ActOptions,
): Promise<void> {
  const { runtime } = parts;
  const { signal } = options;
  parts.log.debug(actionText[action.do], { pod: objectKey(facts.pod) });
  switch (action.do) {
    case 'createSandbox':
      await createSandbox(parts, state, facts.pod, action.attempt, options);
      return;
    case 'stopSandbox':
      await runtime.stopPodSandbox(action.id, { signal });
      return;
    case 'removeSandbox':
      await unlessGone(runtime.removePodSandbox(action.id, { signal }));
      return;
    case 'removeContainer':
      await unlessGone(runtime.removeContainer(action.id, { signal }));
      return;
    case 'startContainer':
      await startContainer(parts, state, facts, action, options);
      return;
    case 'resize':
      await resizeContainers(parts, state, facts, action, {
        signal,
        stop: ({ container }) =>
          stopContainer(
            parts,
            state,
            facts,
            {
              do: 'stopContainer',
              container,
              message: `Container ${container.name} resize requires restart`,
              graceSeconds: graceSecondsOf(facts.pod),
            },
            options,
          ),
      });
      return;
    case 'stopContainer':
    case 'wait':
      return;
    default:
      action satisfies never;
  }
}

async function stopContainer(
  parts: KubeletParts,
  state: PodState,
  facts: PodFacts,
  action: Extract<Action, { do: 'stopContainer' }>,
  { signal, interrupt }: ActOptions,
): Promise<void> {
  const { clock, recorder, runtime } = parts;
  const { pod } = facts;
  const { id, name } = action.container;
  const container = startOrder(pod).find((each) => each.name === name);
  const message = action.message === '' ? `Stopping container ${name}` : action.message;
  const fieldPath = `spec.containers{${name}}`;
  recorder.record(pod, { type: 'Normal', reason: 'Killing', message, fieldPath });
  const startedMs = clock.monotonic();
  const preStop = container?.lifecycle?.preStop;
  const withHook = preStop !== undefined && action.graceSeconds > 0 && !state.preStopped.has(id);
  if (container !== undefined && withHook) {
    state.preStopped.add(id);
    await callPreStop(parts, facts, container, action, interrupt);
  }
  const spentSeconds = Math.floor((clock.monotonic() - startedMs) / 1000);
  const graceSeconds =
    action.graceSeconds === 0 ? 0 : Math.max(action.graceSeconds - spentSeconds, graceSecondsMin);
  try {
    await runtime.stopContainer(id, { graceSeconds, signal: interrupt });
  } catch (error) {
    if (signal.aborted || interrupt.aborted || !isGrpcCode(error, 'NOT_FOUND')) throw error;
  }
}

async function callPreStop(
  parts: KubeletParts,
  { pod, runtime }: PodFacts,
  container: Container,
  { container: { id }, graceSeconds }: Extract<Action, { do: 'stopContainer' }>,
  signal: AbortSignal,
): Promise<void> {
  const preStop = container.lifecycle?.preStop;
  if (preStop === undefined) return;
  const podIP = runtime.sandboxes[0]?.ips[0] ?? parts.node.hostIPs[0] ?? '';
  const subject = { container, containerId: id, podIP };
  // A runtime may take its time to let go of a command: the container's end waits no longer for it.
  const options = { signal, timeoutSeconds: graceSeconds + graceSecondsMin };
  const over = new AbortController();
  const waiting = AbortSignal.any([signal, over.signal]);
  const late = parts.clock.sleep(graceSeconds * 1000, { signal: waiting }).then(() => 'late');
  const hook = tryHandler(parts, preStop, subject, options).then(({ result }) => result);
  const outcome = await Promise.race([hook, late]);
  over.abort(new Error('the hook has ended'));
  if (outcome !== 'failure' && outcome !== 'unknown') return;
  // Not what it said: that may be secret.
  parts.recorder.record(pod, {
    type: 'Warning',
    reason: 'FailedPreStopHook',
    message: 'PreStopHook failed',
    fieldPath: `spec.containers{${container.name}}`,
  });
}
