/**
 * Short hashes for names: 32 bits of FNV, written as a number with the letters of generated names,
 * so that no hash spells a word. Pure.
 *
 * Upstream hashes templates of Deployments and DaemonSets with FNV-1a and revisions of StatefulSets
 * with FNV-1: the same steps in another order. Called by `controller-revision.ts` and
 * `deployment/template-hash.ts`.
 */
const letters = 'bcdfghjklmnpqrstvwxz2456789';

export function safeHash(text: string, sort: 'FNV-1' | 'FNV-1a'): string {
  const prime = 0x01000193;
  let hash = 0x811c9dc5;
  for (const byte of new TextEncoder().encode(text)) {
    hash = sort === 'FNV-1' ? Math.imul(hash, prime) ^ byte : Math.imul(hash ^ byte, prime);
  }
  const digits = String(hash >>> 0);
  return Array.from(digits, (digit) => letters[digit.charCodeAt(0) % letters.length]).join('');
}
