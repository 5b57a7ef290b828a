/**
 * Encodings of stored objects, kept for further readers: each by the bytes that are stored, and no
 * longer than somebody else holds those. What was deleted or replaced takes its encoding along,
 * once the store's history has forgotten it.
 *
 * The limit is kept with two generations. What is read moves to the younger one; when that holds
 * half of what is allowed, the older one goes as a whole. So nothing lists what is kept, which
 * would hold it.
 *
 * `protobuf.ts` keeps its messages here.
 */
export const limits = {
  /** Bytes of encoded objects that are kept. */
  cacheBytesMax: 32 * 1024 * 1024,
} as const;

export interface Encoding {
  readonly revision: number;
  /** In which version of the API. */
  readonly view: string;
  readonly bytes: Uint8Array;
}

export class Encodings {
  readonly #bytesMax: number;
  #young = new WeakMap<Uint8Array, Encoding>();
  #old = new WeakMap<Uint8Array, Encoding>();
  /** Put into the younger generation, replaced ones too. */
  #youngBytes = 0;

  constructor(options: { readonly bytesMax: number } = { bytesMax: limits.cacheBytesMax }) {
    this.#bytesMax = options.bytesMax;
  }

  get(value: Uint8Array): Encoding | undefined {
    const young = this.#young.get(value);
    if (young !== undefined) return young;
    const old = this.#old.get(value);
    if (old !== undefined) this.keep(value, old);
    return old;
  }

  keep(value: Uint8Array, encoding: Encoding): void {
    if (this.#youngBytes > 0 && this.#youngBytes + encoding.bytes.length > this.#bytesMax / 2) {
      this.#old = this.#young;
      this.#young = new WeakMap();
      this.#youngBytes = 0;
    }
    this.#young.set(value, encoding);
    this.#youngBytes += encoding.bytes.length;
  }
}
