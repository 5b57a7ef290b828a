/**
 * Gives running containers, and their pod as a whole, other CPU and memory, in place.
 *
 * A container's limits must fit into those of its pod's cgroup at every moment. So the pod's cgroup
 * is first widened to the larger of old and new, then each container is changed, then the pod's
 * cgroup gets what it is to have. What cannot be (less memory than is in use, more than the other
 * pods leave) is noted, told in events (`resize-events.ts`), shows in
 * the pod's conditions and is tried again. `plan.ts` decides that it is needed. Containers that are
 * to begin anew for it are ended here, once it is known that the node can give what they want; like
 * all that are started, they find a pod's cgroup that they fit into (`fitPodCgroup`).
 */
import { quantityMilliValue, quantityValue } from '#api/quantity.ts';
import { GrpcError } from '#cri';
import { jsonEqual } from '#kit/json-equal.ts';
import type { Pod, ResourceRequirements } from '#resources/types/core-v1.ts';
import { maySwap } from '../containers/memory-group.ts';
import { podLimits } from '../containers/sandbox.ts';
import type { ActOptions, KubeletParts, PodState } from '../parts.ts';
import { asApplied, wholePod } from './applied-resources.ts';
import { decreaseProblem, isDecrease, type MemoryChange, readUse } from './memory-decrease.ts';
import type { Action, Resize } from './plan.ts';
import { lastingContainersOf, type PodFacts, type ResizeFailure } from './pod-facts.ts';
import {
  type CgroupResources,
  containerCgroup,
  podCgroup,
  podCgroupPath,
  withPodLimits,
} from './qos.ts';
import { tellRefused, tellStarted } from './resize-events.ts';
import { wholeAmount } from './whole-resources.ts';

/** Pause before a resize that was refused is tried again. */
const retryMs = 10_000;

export async function resizeContainers(
  parts: KubeletParts,
  state: PodState,
  facts: PodFacts,
  action: Extract<Action, { do: 'resize' }>,
  {
    signal,
    stop,
  }: Pick<ActOptions, 'signal'> & { readonly stop: (resize: Resize) => Promise<void> },
): Promise<void> {
  const { clock, counts, machine, node } = parts;
  const { pod, applied } = facts;
  const refused = (reason: ResizeFailure['reason'], message: string): void =>
    tellRefused(parts, state, pod, { reason, message, untilMs: clock.now() + retryMs });
  const never =
    (await swapProblemOf(parts, pod, applied)) ??
    problemOf(parts, pod, applied) ??
    shortageOf(pod, node.allocatable());
  if (never !== undefined) return refused('Infeasible', never);
  const isGranted = state.resizing !== undefined && state.resizing === pod.metadata.generation;
  const shortage = isGranted ? undefined : parts.shortage(pod);
  if (shortage !== undefined) return refused('Deferred', shortage);
  const before = state.resizeFailure;
  tellStarted(parts, state, pod);
  await Promise.all(action.containers.filter(({ restarts }) => restarts).map(stop));
  const inPlace = action.containers.filter(({ restarts }) => !restarts);
  if (inPlace.length === 0 && !action.whole) return;
  const startedMs = clock.monotonic();
  const path = podCgroupPath(node.cgroupRoot, pod);
  const wanted = podLimits(parts, pod);
  const problem =
    (await decreaseProblemOf(parts, facts, inPlace, { signal })) ??
    (await widenAndResize(parts, state, facts, inPlace, { signal }));
  counts.resizes.took(clock.monotonic() - startedMs, problem === undefined);
  if (problem !== undefined) {
    // What was told before is not told again.
    state.resizeFailure ??= before;
    return refused('Error', problem);
  }
  await machine.cgroups.update(path, wanted);
  state.podCgroup = wanted;
  if (action.whole) state.applied.set(wholePod, pod.spec?.resources ?? {});
}

/** Undefined when all have what they want. */
async function widenAndResize(
  parts: KubeletParts,
  state: PodState,
  { pod, applied }: PodFacts,
  resizes: readonly Resize[],
  { signal }: { readonly signal: AbortSignal },
): Promise<string | undefined> {
  const { log, machine, node, runtime, settings } = parts;
  const before = podLimits(parts, asApplied(pod, applied));
  const widened = widest(before, podLimits(parts, pod));
  await machine.cgroups.update(podCgroupPath(node.cgroupRoot, pod), widened);
  try {
    for (const { container, resources } of resizes) {
      const { id } = container;
      const limits = withPodLimits(resources, pod.spec?.resources);
      const { memoryLimitBytes, ...cpu } = containerCgroup(limits, settings);
      const linux = { ...cpu, memoryLimitInBytes: memoryLimitBytes };
      await runtime.updateContainerResources({ containerId: id, linux }, { signal });
      state.applied.set(id, resources);
    }
    return undefined;
  } catch (error) {
    if (signal.aborted || !(error instanceof GrpcError)) throw error;
    log.warn('a container cannot be resized', { pod: pod.metadata.name, error });
    return error.message;
  }
}

/** Before a container starts: what the pod wants may have changed while it did not run. */
export async function fitPodCgroup(
  parts: KubeletParts,
  state: PodState,
  { pod, applied }: PodFacts,
): Promise<void> {
  const { log, machine, node } = parts;
  const fitting = widest(podLimits(parts, asApplied(pod, applied)), podLimits(parts, pod));
  if (jsonEqual(fitting, state.podCgroup)) return;
  try {
    await machine.cgroups.update(podCgroupPath(node.cgroupRoot, pod), fitting);
    state.podCgroup = fitting;
  } catch (error) {
    // As where less memory is wanted than others of the pod use: then it has room enough.
    log.warn('a pod’s cgroup cannot be set', { pod: pod.metadata.name, error });
  }
}

async function decreaseProblemOf(
  parts: KubeletParts,
  { pod, applied, runtime }: PodFacts,
  resizes: readonly Resize[],
  options: { readonly signal: AbortSignal },
): Promise<string | undefined> {
  const names = new Map(runtime.containers.map(({ id, name }) => [id, name]));
  const bytesOf = (
    resources: ResourceRequirements | undefined,
    { spec }: Pod,
  ): number | undefined =>
    containerCgroup(withPodLimits(resources, spec?.resources)).memoryLimitBytes;
  const before = asApplied(pod, applied);
  const changes: readonly MemoryChange[] = [
    {
      hasBytes: podCgroup(before).memoryLimitBytes,
      wantedBytes: podCgroup(pod).memoryLimitBytes,
    },
    ...resizes.map(({ container: { name: container }, resources }) => ({
      container,
      hasBytes: bytesOf(applied.get(container), before),
      wantedBytes: bytesOf(resources, pod),
    })),
  ];
  if (!changes.some(isDecrease)) return undefined;
  const cgroup = podCgroupPath(parts.node.cgroupRoot, pod);
  return decreaseProblem(changes, await readUse(parts, { cgroup, containers: names }, options));
}

/** How much swap a container may use goes by the memory that it asks for when it starts. */
async function swapProblemOf(
  { counts, machine, node, settings }: KubeletParts,
  pod: Pod,
  applied: PodFacts['applied'],
): Promise<string | undefined> {
  const { cgroups } = machine;
  if (settings.swapBehavior === 'NoSwap' || cgroups.version === 1) return undefined;
  const path = cgroups.pathOf(podCgroupPath(node.cgroupRoot, pod));
  const countsSwap = (await cgroups.read(path, 'memory', 'memory.swap.max')) !== '';
  const facts = { version: cgroups.version, countsSwap };
  const before = asApplied(pod, applied);
  const isHeld = lastingContainersOf(pod).some((container) => {
    const { name, resources, resizePolicy = [] } = container;
    const had = applied.get(name);
    const isChanged = had !== undefined && memoryOf(had) !== memoryOf(resources);
    const restarts = resizePolicy.some(
      (each) => each.resourceName === 'memory' && each.restartPolicy === 'RestartContainer',
    );
    if (!isChanged || restarts) return false;
    const old = { ...container, resources: had };
    return maySwap(pod, container, facts, settings) || maySwap(before, old, facts, settings);
  });
  if (!isHeld) return undefined;
  counts.resizes.never('swap_limitation');
  return 'In-place resize of containers with swap is not supported.';
}

function memoryOf(resources: ResourceRequirements | undefined): number {
  return quantityValue(resources?.requests?.['memory'] ?? '0');
}

/** What was given to a container alone, and does not change while it runs. */
function problemOf(
  { counts, placement }: KubeletParts,
  pod: Pod,
  applied: PodFacts['applied'],
): string | undefined {
  const running = lastingContainersOf(pod);
  for (const name of ['cpu', 'memory'] as const) {
    const isChanged = running.some(({ name: container, resources }) => {
      const has = applied.get(container);
      return has !== undefined && has.requests?.[name] !== resources?.requests?.[name];
    });
    const problem = isChanged ? placement().resizeProblem(pod, name) : undefined;
    if (problem === undefined) continue;
    counts.resizes.never(`guaranteed_pod_${name}_manager_static_policy`);
    return problem;
  }
  return undefined;
}

/** What the node could not give even if it had nothing else to do. */
function shortageOf(pod: Pod, allocatable: Readonly<Record<string, string>>): string | undefined {
  for (const name of ['cpu', 'memory'] as const) {
    const requested = quantityMilliValue(wholeAmount(pod, 'requests', name) ?? '0');
    const capacity = quantityMilliValue(allocatable[name] ?? '0');
    if (requested <= capacity) continue;
    const scale = name === 'cpu' ? 1 : 1000;
    const figures = `requested: ${requested / scale}, capacity: ${capacity / scale}`;
    return `Node didn't have enough capacity: ${name}, ${figures}`;
  }
  return undefined;
}

/** The larger of each; no limit is larger than any. */
function widest(a: CgroupResources, b: CgroupResources): CgroupResources {
  const larger = (one: number | undefined, other: number | undefined): number | undefined =>
    one === undefined || other === undefined ? undefined : Math.max(one, other);
  return {
    cpuShares: Math.max(a.cpuShares, b.cpuShares),
    cpuPeriod: b.cpuPeriod,
    cpuQuota: larger(a.cpuQuota, b.cpuQuota),
    memoryLimitBytes: larger(a.memoryLimitBytes, b.memoryLimitBytes),
  };
}
