/**
 * Events by the thousand: somebody who tells everything, into a namespace that is then deleted with
 * all of them in it. Now and then there are a hundred thousand (always as `deluge`). Nobody else's
 * work may suffer, and nothing of it is left in the end.
 */
import { ApiError } from '#api/errors.ts';
import { formatMicroTime } from '#kit/clock.ts';
import { events, namespaces } from '#resources/kinds.ts';
import { ConnectionLost } from '../faults.ts';
import type { Actor, User } from './user.ts';

const namespace = 'flood';
/** Asked for together. */
const batchMax = 500;

export class Floods implements Actor {
  readonly #user: User;
  readonly #most: number;
  #told = 0;

  constructor(user: User, options: { readonly most?: number | undefined } = {}) {
    this.#user = user;
    this.#most = options.most ?? (user.happens(0.01) ? 100_000 : 2_000);
  }

  begin(signal: AbortSignal): Promise<void> {
    return this.#user.createNamespace(namespace, signal);
  }

  /** All at once, the first time; then the next ones are few. */
  async step(signal: AbortSignal): Promise<void> {
    const user = this.#user;
    const count = this.#told === 0 ? this.#most : 100;
    user.note(`tell ${count} events`);
    for (let left = count; left > 0; left -= batchMax) {
      const batch = Array.from({ length: Math.min(left, batchMax) }, () => this.#tell(signal));
      await Promise.all(batch);
    }
  }

  settle(signal: AbortSignal): Promise<void> {
    return this.#user.delete(namespaces, { name: namespace }, { signal });
  }

  missing(): readonly string[] {
    const isThere = this.#user.truth.find('Namespace', namespace) !== undefined;
    return isThere && this.#told > 0 ? ['the flooded namespace is not gone'] : [];
  }

  /** Once; what is lost is lost, as with everybody's Events. */
  async #tell(signal: AbortSignal): Promise<void> {
    const { client, clock } = this.#user;
    this.#told += 1;
    const name = `event-${this.#told}`;
    const event = {
      apiVersion: 'events.k8s.io/v1',
      kind: 'Event',
      metadata: { namespace, name },
      eventTime: formatMicroTime(clock.now()),
      regarding: { kind: 'Pod', namespace, name: `pod-${this.#told % 1000}` },
      reportingController: 'example.com/teller',
      reportingInstance: 'teller-1',
      action: 'Telling',
      reason: 'Told',
      note: `number ${this.#told}`,
      type: 'Normal',
    };
    try {
      await client.create(events, event, { signal });
    } catch (error) {
      signal.throwIfAborted();
      if (!(error instanceof ConnectionLost) && !(error instanceof ApiError)) throw error;
    }
  }
}
