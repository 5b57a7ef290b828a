/**
 * Tells people that a container waits, in Events of its pod: one for each back-off, when it begins.
 *
 * Each round of a pod's worker (`pod-worker.ts`) says which containers wait and why; what was told
 * already is not told again.
 */
import type { Recorder } from '#client';
import type { ContainerStateWaiting, Pod } from '#resources/types/core-v1.ts';

export class WaitingEvents {
  readonly #recorder: Pick<Recorder, 'record'>;
  /** By container, the message of the wait that was told last. */
  readonly #told = new Map<string, string>();

  constructor({ recorder }: { readonly recorder: Pick<Recorder, 'record'> }) {
    this.#recorder = recorder;
  }

  tell(pod: Pod, waiting: ReadonlyMap<string, ContainerStateWaiting>): void {
    const { name, namespace, uid } = pod.metadata;
    for (const [container, { reason = '', message = '' }] of waiting) {
      if (this.#told.get(container) === message) continue;
      this.#told.set(container, message);
      const fieldPath = `spec.containers{${container}}`;
      const say = (type: 'Normal' | 'Warning', text: string, of = 'BackOff'): void =>
        this.#recorder.record(pod, { type, reason: of, message: text, fieldPath });
      if (reason === 'CrashLoopBackOff') {
        const which = `${name}_${namespace}(${uid})`;
        say('Warning', `Back-off restarting failed container ${container} in pod ${which}`);
      } else if (reason === 'ImagePullBackOff') {
        // What failed is already told: only that we wait.
        say('Normal', /^Back-off pulling image "[^"]*"/.exec(message)?.[0] ?? message);
        say('Warning', 'Error: ImagePullBackOff', 'Failed');
      }
    }
  }
}
