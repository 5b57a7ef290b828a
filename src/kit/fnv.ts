/**
 * FNV-1a, 32 bits: a small, stable hash for names and for spreading work.
 * Not for secrets, and not where somebody could gain from a collision.
 */
export function fnv1a32(bytes: Uint8Array): number {
  let hash = 0x811c9dc5;
  for (const byte of bytes) hash = Math.imul(hash ^ byte, 0x01000193);
  return hash >>> 0;
}
