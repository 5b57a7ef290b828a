/**
 * Whether memory may be taken away from containers that run: never below what they use. Cgroups of
 * version 1 would refuse it; version 2 would take it, and the kernel would end the container.
 *
 * `decreaseProblem` is pure, with upstream's words; `readUse` looks what is used, and is asked only
 * where a limit is going to shrink. For `resize.ts`.
 */
import type { KubeletParts } from '../parts.ts';

export interface MemoryChange {
  /** Undefined: of the pod as a whole. */
  readonly container?: string | undefined;
  /** Undefined: no limit. */
  readonly hasBytes: number | undefined;
  readonly wantedBytes: number | undefined;
}

/** By name of container; of the pod under the empty name. What is not told is not held back. */
export type MemoryUse = ReadonlyMap<string, number>;

export function isDecrease({ hasBytes, wantedBytes }: MemoryChange): boolean {
  if (wantedBytes === undefined) return false;
  return hasBytes === undefined || wantedBytes < hasBytes;
}

export function decreaseProblem(
  changes: readonly MemoryChange[],
  use: MemoryUse,
): string | undefined {
  const problems = changes.filter(isDecrease).flatMap(({ container, wantedBytes = 0 }) => {
    const used = use.get(container ?? '');
    if (used === undefined || used < wantedBytes) return [];
    const what = container === undefined ? 'pod' : `container ${JSON.stringify(container)}`;
    return [
      `attempting to set ${what} memory limit (${wantedBytes}) below current usage (${used})`,
    ];
  });
  if (problems.length === 0) return undefined;
  const all = problems.length === 1 ? problems[0] : `[${problems.join(', ')}]`;
  return `cannot decrease memory limits: ${all}`;
}

export async function readUse(
  { machine, runtime }: Pick<KubeletParts, 'machine' | 'runtime'>,
  pod: {
    readonly cgroup: string;
    /** Names by id. */
    readonly containers: ReadonlyMap<string, string>;
  },
  { signal }: { readonly signal: AbortSignal },
): Promise<MemoryUse> {
  const { cgroups } = machine;
  const use = new Map<string, number>();
  const file = cgroups.version === 1 ? 'memory.usage_in_bytes' : 'memory.current';
  const text = await cgroups.read(cgroups.pathOf(pod.cgroup), 'memory', file);
  if (text !== '') use.set('', Number(text));
  for (const { attributes, memory } of await runtime.listContainerStats({ signal })) {
    const name = pod.containers.get(attributes?.id ?? '');
    const bytes = memory?.usageBytes?.value ?? memory?.workingSetBytes?.value;
    if (name !== undefined && bytes !== undefined) use.set(name, bytes);
  }
  return use;
}
