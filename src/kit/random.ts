/**
 * Chance, passed in. `systemRandom()` is cryptographic; `seededRandom(seed)` gives the same numbers
 * for the same seed (sfc32) and is for simulation and tests only.
 */
import { randomBytes } from 'node:crypto';

export interface Random {
  /** In [0, 1). */
  fraction(): number;
  /** In [0, below). */
  integer(below: number): number;
  bytes(length: number): Uint8Array;
  /** A version 4 UUID. */
  uuid(): string;
}

/** The letters of generated names: no vowels and no look-alikes, as upstream's. */
const suffixLetters = 'bcdfghjklmnpqrstvwxz2456789';

/** Random end of a generated name, `-x7k2m` without the dash. */
export function nameSuffix(random: Random, length = 5): string {
  let text = '';
  for (let i = 0; i < length; i++) text += suffixLetters[random.integer(suffixLetters.length)];
  return text;
}

export function systemRandom(): Random {
  // One pool instead of one system call per number.
  let pool = randomBytes(4096);
  let used = 0;
  const bytes = (length: number): Uint8Array => {
    if (length > 1024) return randomBytes(length);
    if (used + length > pool.length) {
      pool = randomBytes(4096);
      used = 0;
    }
    used += length;
    return pool.subarray(used - length, used);
  };
  const word = (): number => {
    const b = bytes(4);
    return new DataView(b.buffer, b.byteOffset, 4).getUint32(0);
  };
  return make(word, bytes);
}

export function seededRandom(seed: number): Random {
  let a = 0x9e3779b9;
  let b = 0x243f6a88;
  let c = seed | 0;
  let counter = 1;
  const word = (): number => {
    const t = (((a + b) | 0) + counter) | 0;
    counter = (counter + 1) | 0;
    a = b ^ (b >>> 9);
    b = (c + (c << 3)) | 0;
    c = ((c << 21) | (c >>> 11)) + t;
    return t >>> 0;
  };
  for (let i = 0; i < 12; i++) word();
  return make(word, (length) => Uint8Array.from({ length }, () => word() & 255));
}

function make(word: () => number, bytes: (length: number) => Uint8Array): Random {
  return {
    fraction: () => word() / 2 ** 32,
    integer: (below) => Math.floor((word() / 2 ** 32) * below),
    bytes,
    uuid: () => {
      const b = Uint8Array.from(bytes(16));
      b[6] = ((b[6] ?? 0) & 0x0f) | 0x40;
      b[8] = ((b[8] ?? 0) & 0x3f) | 0x80;
      const hex = Buffer.from(b).toString('hex');
      return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-${hex.slice(12, 16)}-${hex.slice(16, 20)}-${hex.slice(20)}`;
    },
  };
}
