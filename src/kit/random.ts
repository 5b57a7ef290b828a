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
    if (used + 4 > pool.length) {
      pool = randomBytes(4096);
      used = 0;
    }
    used += 4;
    return pool.readUInt32BE(used - 4);
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

/** Digits of each byte of a UUID. */
const digits = Buffer.from('0123456789abcdef');

function make(word: () => number, bytes: (length: number) => Uint8Array): Random {
  const text = Buffer.alloc(36);
  return {
    fraction: () => word() / 2 ** 32,
    integer: (below) => Math.floor((word() / 2 ** 32) * below),
    bytes,
    uuid: () => {
      // One flat text: pieces put together stay pieces, and ids are kept for long.
      let at = 0;
      const chance = bytes(16);
      for (let index = 0; index < 16; index++) {
        const byte = chance[index] ?? 0;
        const value =
          index === 6 ? (byte & 0x0f) | 0x40 : index === 8 ? (byte & 0x3f) | 0x80 : byte;
        if (at === 8 || at === 13 || at === 18 || at === 23) text[at++] = 0x2d;
        text[at++] = digits[value >> 4] ?? 0;
        text[at++] = digits[value & 15] ?? 0;
      }
      return text.toString('latin1');
    },
  };
}
