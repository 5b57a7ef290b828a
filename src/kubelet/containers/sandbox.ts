/**
 * Makes a pod's sandbox: volumes first, then the pod's cgroup and log folder, then the runtime's
 * part.
 */
import { mkdirSync } from 'node:fs';
import type { Sent } from '#cri';
import { runtimeClasses } from '#resources/kinds.ts';
import type { Pod } from '#resources/types/core-v1.ts';
import type { ActOptions, KubeletParts, PodState } from '../parts.ts';
import { podPaths } from '../pods/pod-paths.ts';
import { type CgroupResources, podCgroup, podCgroupPath } from '../pods/qos.ts';
import { dnsConfigOf } from './dns-config.ts';
import { sandboxConfig } from './sandbox-config.ts';
import { ensureUserNamespace, userNamespaceOf } from './user-namespace.ts';

export async function createSandbox(
  parts: KubeletParts,
  state: PodState,
  pod: Pod,
  attempt: number,
  { signal, interrupt }: ActOptions,
): Promise<void> {
  const { runtime, machine, node, paths, recorder } = parts;
  if (attempt > 0) {
    const message = 'Pod sandbox changed, it will be killed and re-created.';
    recorder.record(pod, { type: 'Normal', reason: 'SandboxChanged', message });
  }
  try {
    state.volumes = await parts.volumes.prepare(pod, { signal: interrupt });
  } catch (error) {
    note(parts, pod, 'FailedMount', error, interrupt);
    throw error;
  }
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
  const limits = podLimits(parts, pod);
  await machine.cgroups.create(
    podCgroupPath(node.cgroupRoot, pod),
    pidsMax === undefined ? limits : { ...limits, pidsMax },
  );
  try {
    const runtimeHandler = await handlerOf(parts, pod, interrupt);
    if (pod.spec?.hostUsers === false) {
      const { runtimeHandlers } = await runtime.status({ signal: interrupt });
      ensureUserNamespace(paths, pod, runtimeHandlers, runtimeHandler);
    }
    const config = sandboxConfigOf(parts, pod, attempt);
    const run = (): Promise<string> =>
      runtime.runPodSandbox({ config, runtimeHandler }, { signal });
    state.made.sandboxes.push(await parts.slots.use(run, { signal }));
  } catch (error) {
    note(parts, pod, 'FailedCreatePodSandBox', error, signal, 'Failed to create pod sandbox: ');
    throw error;
  }
}

/** The runtime's own name for the pod's RuntimeClass; empty for the usual one. */
async function handlerOf({ client }: KubeletParts, pod: Pod, signal: AbortSignal): Promise<string> {
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

/** Of the pod's cgroup; who has processors of his own needs no quota. */
export function podLimits({ placement, settings }: KubeletParts, pod: Pod): CgroupResources {
  const { cpuQuota, ...rest } = podCgroup(pod);
  return placement().hasOwnCpus(pod) || !settings.cpuCFSQuota ? rest : { ...rest, cpuQuota };
}

/** The same for the sandbox and for each container in it. */
export function sandboxConfigOf(
  parts: KubeletParts,
  pod: Pod,
  attempt: number,
): Sent<'PodSandboxConfig'> {
  const { machine, node, paths, settings } = parts;
  const { resolvConf } = settings;
  return sandboxConfig(pod, {
    cgroupParent: machine.cgroups.pathOf(podCgroupPath(node.cgroupRoot, pod)),
    dns: dnsConfigOf(pod, {
      clusterDNS: node.clusterDNS,
      clusterDomain: node.clusterDomain,
      nodeResolvConf: resolvConf === '' ? '' : machine.readFile(resolvConf),
    }),
    clusterDomain: node.clusterDomain,
    logDirectory: podPaths(paths, pod).logs,
    attempt,
    limits: podLimits(parts, pod),
    users: userNamespaceOf(paths, pod),
  });
}
