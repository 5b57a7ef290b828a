/**
 * What a controller has written and its cache does not show yet: a turn that began with the older
 * copy would count what it has changed as if it had not.
 *
 * A write of the same object would meet a conflict, but what is made or counted from it would not.
 * Whoever asks gives up the turn: the event of the write itself wakes the key again.
 */
import type { KubeObject } from '#api/object.ts';

export class OwnWrites {
  /** By uid: the revision that was written last. */
  readonly #written = new Map<string, number>();

  note({ metadata }: KubeObject): void {
    this.#written.set(metadata.uid ?? '', Number(metadata.resourceVersion));
  }

  /** Whether this copy is older than what was written last. */
  isStale({ metadata }: KubeObject): boolean {
    const { uid = '' } = metadata;
    const written = this.#written.get(uid);
    if (written === undefined) return false;
    const isOlder = Number(metadata.resourceVersion) < written;
    if (!isOlder) this.#written.delete(uid);
    return isOlder;
  }

  forget({ metadata }: KubeObject): void {
    this.#written.delete(metadata.uid ?? '');
  }
}
