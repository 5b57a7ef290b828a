/**
 * Makes a pod's sandbox: volumes first, then the pod's cgroup and log folder, then the runtime's
 * part.
 *
 * Where all that volumes still wait for is a token, as in most pods, it is issued while the runtime
 * makes the sandbox; should it be refused, the sandbox is taken down, and next time comes after.
 */
import { mkdirSync } from 'node:fs';
import type { Sent } from '#cri';
import { runtimeClasses } from '#resources/kinds.ts';
import type { Pod } from '#resources/types/core-v1.ts';
import type { ActOptions, KubeletParts, PodState } from '../parts.ts';
import { podPaths } from '../pods/pod-paths.ts';
import {
  type CgroupResources,
  hugepagesIn,
  podCgroup,
  podCgroupPath,
  podHugepages,
} from '../pods/qos.ts';
import { type DnsOptions, dnsConfigOf, dnsWarningsOf } from './dns-config.ts';
import { sandboxConfig } from './sandbox-config.ts';
import { ensureUserNamespace, userNamespaceOf } from './user-namespace.ts';

export async function createSandbox(
  parts: KubeletParts,
  state: PodState,
  pod: Pod,
  attempt: number,
  options: ActOptions,
): Promise<void> {
  const { runtime, recorder, clock, log } = parts;
  if (attempt > 0) {
    const message = 'Pod sandbox changed, it will be killed and re-created.';
    recorder.record(pod, { type: 'Normal', reason: 'SandboxChanged', message });
  }
  const { signal, interrupt } = options;
  const isBeside = state.volumesFailed !== true && parts.volumes.needsOnlyTokens(pod);
  if (!isBeside) await prepareVolumes(parts, state, pod, options);
  let preparing: Promise<readonly PromiseSettledResult<void>[]> = Promise.resolve([]);
  const onBegin = (): void => {
    if (!isBeside) return;
    // The runtime's request leaves first.
    const turn = clock.sleep(0, { signal: interrupt });
    const ready = turn.then(() => prepareVolumes(parts, state, pod, options));
    preparing = Promise.allSettled([ready]);
  };
  let id: string;
  try {
    id = await runSandbox(parts, pod, attempt, { ...options, onBegin });
  } finally {
    await preparing;
  }
  const [volumes] = await preparing;
  if (volumes?.status !== 'rejected') {
    state.made.sandboxes.push(id);
    state.podCgroup = podLimits(parts, pod);
    state.applied.begin(pod.spec?.resources);
    return;
  }
  // As if it had not been begun: without its volumes a pod has no sandbox.
  await runtime
    .stopPodSandbox(id, { signal })
    .then(() => runtime.removePodSandbox(id, { signal }))
    .catch((error: unknown) => log.warn('sandbox not taken down', { id, error }));
  throw volumes.reason;
}

async function prepareVolumes(
  parts: KubeletParts,
  state: PodState,
  pod: Pod,
  { interrupt }: ActOptions,
): Promise<void> {
  try {
    state.volumes = await parts.volumes.prepare(pod, { signal: interrupt });
    state.volumesFailed = false;
  } catch (error) {
    state.volumesFailed = true;
    note(parts, pod, 'FailedMount', error, interrupt);
    throw error;
  }
}

/** Resolves with its id. */
async function runSandbox(
  parts: KubeletParts,
  pod: Pod,
  attempt: number,
  { signal, interrupt, onBegin }: ActOptions & { readonly onBegin: () => void },
): Promise<string> {
  const { runtime, machine, node, paths, settings, counts } = parts;
  counts.podStarts(pod);
  try {
    await parts.devices().prepare(pod, { signal: interrupt });
  } catch (error) {
    const prefix = 'Failed to prepare dynamic resources: ';
    note(parts, pod, 'FailedPrepareDynamicResources', error, interrupt, prefix);
    throw error;
  }
  const { logs } = podPaths(paths, pod);
  mkdirSync(logs, { recursive: true });
  const pidsMax = node.podPidsMax;
  const sizes = hugepagesIn(node.capacity);
  const limits = { ...podLimits(parts, pod), hugepages: podHugepages(pod, sizes) };
  await machine.cgroups.create(
    podCgroupPath(node.cgroupRoot, pod),
    pidsMax === undefined ? limits : { ...limits, pidsMax },
  );
  try {
    const runtimeHandler = await handlerOf(parts, pod, interrupt);
    if (pod.spec?.hostUsers === false) {
      const { runtimeHandlers } = await runtime.status({ signal: interrupt });
      const has = { handlers: runtimeHandlers, handler: runtimeHandler };
      ensureUserNamespace(paths, pod, has, settings.userNamespaceIdsPerPod);
    }
    sayOfDns(parts, pod);
    const config = sandboxConfigOf(parts, pod, attempt);
    const run = (): Promise<string> => {
      const made = runtime.runPodSandbox({ config, runtimeHandler }, { signal });
      onBegin();
      return made;
    };
    return await parts.slots.use(run, { signal });
  } catch (error) {
    counts.podFailed(pod);
    note(parts, pod, 'FailedCreatePodSandBox', error, signal, 'Failed to create pod sandbox: ');
    throw error;
  }
}

/** The runtime's own name for the pod's RuntimeClass; empty for the usual one. */
export async function handlerOf(
  { client }: KubeletParts,
  pod: Pod,
  signal: AbortSignal,
): Promise<string> {
  const name = pod.spec?.runtimeClassName ?? '';
  if (name === '') return '';
  return (await client.get(runtimeClasses, { name }, { signal })).handler;
}

function note(
  parts: KubeletParts,
  pod: Pod,
  reason: string,
  error: unknown,
  signal: AbortSignal,
  prefix = '',
): void {
  if (signal.aborted || !(error instanceof Error)) return;
  parts.recorder.record(pod, { type: 'Warning', reason, message: prefix + error.message });
}

function sayOfDns(parts: KubeletParts, pod: Pod): void {
  const { node, recorder } = parts;
  for (const { reason, message, ofNode } of dnsWarningsOf(pod, dnsOptions(parts))) {
    recorder.record(pod, { type: 'Warning', reason, message });
    if (ofNode === undefined) continue;
    recorder.record(node.object(), { type: 'Warning', reason, message: ofNode });
  }
}

/** Of the pod's cgroup; who has processors of his own needs no quota. */
export function podLimits({ placement, settings }: KubeletParts, pod: Pod): CgroupResources {
  const { cpuQuota, ...rest } = podCgroup(pod, settings);
  return placement().hasOwnCpus(pod) ? rest : { ...rest, cpuQuota };
}

/** The same for the sandbox and for each container in it. */
export function sandboxConfigOf(
  parts: KubeletParts,
  pod: Pod,
  attempt: number,
): Sent<'PodSandboxConfig'> {
  const { machine, node, paths } = parts;
  return sandboxConfig(pod, {
    cgroupParent: machine.cgroups.pathOf(podCgroupPath(node.cgroupRoot, pod)),
    dns: dnsConfigOf(pod, dnsOptions(parts)),
    clusterDomain: node.clusterDomain,
    logDirectory: podPaths(paths, pod).logs,
    attempt,
    limits: podLimits(parts, pod),
    users: userNamespaceOf(paths, pod),
  });
}

function dnsOptions({ machine, node, settings: { resolvConf } }: KubeletParts): DnsOptions {
  const { clusterDNS, clusterDomain, hostIPs } = node;
  const nodeResolvConf = resolvConf === '' ? undefined : machine.readFile(resolvConf);
  return { clusterDNS, clusterDomain, hostIPs, nodeResolvConf };
}
