/**
 * Notes in a label of a Secret on which day the token that it holds was last used, so that a
 * controller can do away with tokens that nobody uses. One write a day and Secret; a use is only
 * remembered while a request is judged, and written down in `run`.
 */
import { isReason } from '#api/errors.ts';
import type { KubeObject } from '#api/object.ts';
import type { Parts } from '../parts.ts';
import { changeObject } from '../verbs/update.ts';
import type { HeldUse } from './current-subjects.ts';
import { ownIdentity } from './own-identity.ts';

const label = 'kubernetes.io/legacy-token-last-used';
const dayMs = 24 * 3600 * 1000;

export class TokenUses {
  /** `namespace/name` of a Secret → the day that is written, or about to be. */
  readonly #noted = new Map<string, string>();
  readonly #due = new Map<string, HeldUse>();
  readonly #nowMs: () => number;
  #wake: (() => void) | undefined;

  constructor(nowMs: () => number) {
    this.#nowMs = nowMs;
  }

  note(use: HeldUse): void {
    const key = `${use.namespace}/${use.secretName}`;
    const today = dayOf(this.#nowMs());
    if (this.#noted.get(key) === today) return;
    // The map forgets what was not used today.
    if (this.#noted.size > notedMax) this.#noted.clear();
    this.#noted.set(key, today);
    this.#due.set(key, use);
    this.#wake?.();
  }

  /** Until the signal aborts. */
  async run(parts: Parts, { signal }: { readonly signal: AbortSignal }): Promise<void> {
    signal.addEventListener('abort', () => this.#wake?.(), { once: true });
    while (!signal.aborted) {
      const [next] = this.#due;
      if (next === undefined) {
        await new Promise<void>((resolve) => {
          this.#wake = resolve;
        });
        continue;
      }
      const [key, use] = next;
      this.#due.delete(key);
      try {
        await write(parts, use);
      } catch (error) {
        // The next use is noted anew.
        this.#noted.delete(key);
        if (!isReason(error, 'NotFound')) parts.log.warn('token use not noted', { key, error });
      }
    }
  }
}

/** Secrets that are remembered as noted. */
const notedMax = 10_000;

async function write(parts: Parts, { namespace, secretName: name }: HeldUse): Promise<void> {
  const served = parts.catalog.findPlural({ group: '', version: 'v1' }, 'secrets');
  if (served === undefined) return;
  const nowMs = parts.clock.now();
  await changeObject(parts, {
    served,
    namespace,
    name,
    identity: ownIdentity,
    subresource: '',
    dryRun: false,
    insists: false,
    manager: 'kube-apiserver',
    next: (hub: KubeObject) => {
      const last = hub.metadata.labels?.[label];
      // Clocks may be a day ahead.
      if (last === dayOf(nowMs) || last === dayOf(nowMs + dayMs)) return hub;
      const labels = { ...hub.metadata.labels, [label]: dayOf(nowMs) };
      return { ...hub, metadata: { ...hub.metadata, labels } };
    },
  });
}

export function dayOf(nowMs: number): string {
  return new Date(nowMs).toISOString().slice(0, 10);
}
