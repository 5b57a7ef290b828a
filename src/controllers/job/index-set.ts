/**
 * Sets of completion indexes, as the status of a Job writes them: `1,3-5,7`.
 *
 * Reading is forgiving: the server validated the text when it was written, and an index beyond the
 * wanted completions (they were lowered since) is dropped. Used by `facts.ts` and
 * `success-policy.ts`. Behaviour: kubernetes.io, Jobs, "Completion mode".
 */
export function parseIndexes(text: string | undefined, completions: number): Set<number> {
  const indexes = new Set<number>();
  for (const part of (text ?? '').split(',')) {
    if (part === '') continue;
    const [first = 0, last = first] = part.split('-').map(Number);
    for (let index = first; index <= last && index < completions; index++) indexes.add(index);
  }
  return indexes;
}

/** Two in a row are written one by one, three and more as an interval, as upstream does. */
export function formatIndexes(indexes: ReadonlySet<number>): string {
  const sorted = [...indexes].sort((a, b) => a - b);
  const parts: string[] = [];
  for (let start = 0; start < sorted.length; ) {
    let end = start;
    while (sorted[end + 1] === (sorted[end] ?? 0) + 1) end += 1;
    const [first, last] = [sorted[start], sorted[end]];
    if (end === start) parts.push(`${first}`);
    else parts.push(end === start + 1 ? `${first},${last}` : `${first}-${last}`);
    start = end + 1;
  }
  return parts.join(',');
}
