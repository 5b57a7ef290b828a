/**
 * NaCl's secretbox, XSalsa20 and Poly1305, which Node's crypto does not have; the only file that
 * imports `@noble/ciphers` (decision 0017).
 *
 * It is loaded when the first box is made, synchronously, since settings are read in the middle of
 * things; whoever makes none does not pay for it. What goes in and comes out has the nonce apart.
 */
import { createRequire } from 'node:module';
import type { xsalsa20poly1305 } from '@noble/ciphers/salsa.js';

const require = createRequire(import.meta.url);

export const secretboxNonceBytes = 24;
/** By how much a sealed value is longer. */
export const secretboxTagBytes = 16;

export interface Secretbox {
  seal(value: Uint8Array, nonce: Uint8Array): Uint8Array;
  /** Undefined where it was sealed with another key, or changed since. */
  open(sealed: Uint8Array, nonce: Uint8Array): Uint8Array | undefined;
}

export function openSecretbox(key: Uint8Array): Secretbox {
  // The package's own declarations describe what is loaded here.
  const { xsalsa20poly1305: box } = require('@noble/ciphers/salsa.js') as {
    readonly xsalsa20poly1305: typeof xsalsa20poly1305;
  };
  return {
    seal: (value, nonce) => box(key, nonce).encrypt(value),
    open: (sealed, nonce) => {
      try {
        return box(key, nonce).decrypt(sealed);
      } catch {
        // Nothing else can be wrong with a whole value under a key and a nonce of the right length.
        return undefined;
      }
    },
  };
}
