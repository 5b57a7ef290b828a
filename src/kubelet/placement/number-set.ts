/**
 * Sets of small numbers (processors, NUMA nodes) as the kernel and upstream write them: `0-3,5`.
 * Pure; used for what is read from /sys, for cgroups, settings and state files.
 */
export type Numbers = ReadonlySet<number>;

/** Undefined where the text is no such list. */
export function parseNumbers(text: string): Numbers | undefined {
  const found = new Set<number>();
  for (const part of text.trim() === '' ? [] : text.trim().split(',')) {
    const [, first = '', last = first] = /^(\d+)(?:-(\d+))?$/.exec(part.trim()) ?? [];
    if (first === '' || Number(last) < Number(first)) return undefined;
    for (let number = Number(first); number <= Number(last); number++) found.add(number);
  }
  return found;
}

/** `{0, 1, 2, 5}` becomes `0-2,5`. */
export function formatNumbers(numbers: Iterable<number>): string {
  const parts: string[] = [];
  const sorted = ascending(numbers);
  for (let at = 0; at < sorted.length; ) {
    const first = sorted[at] ?? 0;
    let last = first;
    for (at += 1; sorted[at] === last + 1; at++) last += 1;
    parts.push(first === last ? String(first) : `${first}-${last}`);
  }
  return parts.join(',');
}

export function ascending(numbers: Iterable<number>): readonly number[] {
  return [...numbers].sort((a, b) => a - b);
}

export function hasAll(all: Numbers, some: Iterable<number>): boolean {
  for (const number of some) if (!all.has(number)) return false;
  return true;
}
