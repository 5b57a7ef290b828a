/**
 * Addresses for the pods of a node: the node's own block where the cluster has given it one
 * (`spec.podCIDR`), else one that follows from its number. No two pods that live have the same.
 */
export class PodAddresses {
  readonly #used = new Map<string, number>();
  readonly #taken = new Set<number>();
  #last = 1;

  /** Undefined where the block is used up. */
  take(uid: string, block: string): string | undefined {
    const [base = '', bits = '24'] = block.split('/');
    const size = 2 ** (32 - Number(bits));
    // The first address is the network, the second the node's own, the last for everybody.
    for (let tried = 0; tried < size - 3; tried++) {
      this.#last = this.#last >= size - 2 ? 2 : this.#last + 1;
      if (this.#taken.has(this.#last)) continue;
      this.#taken.add(this.#last);
      this.#used.set(uid, this.#last);
      return formatAddress(addressNumber(base) + this.#last);
    }
    return undefined;
  }

  giveBack(uid: string): void {
    const offset = this.#used.get(uid);
    if (offset === undefined) return;
    this.#used.delete(uid);
    this.#taken.delete(offset);
  }
}

function addressNumber(text: string): number {
  return text.split('.').reduce((sum, part) => sum * 256 + Number(part), 0);
}

function formatAddress(number: number): string {
  return [24, 16, 8, 0].map((shift) => Math.floor(number / 2 ** shift) % 256).join('.');
}
