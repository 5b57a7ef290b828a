/**
 * The CRI configuration of a pod's sandbox, from the pod. Pure.
 *
 * The same configuration goes with every container of the pod, so it must not depend on time.
 */
import type { Sent } from '#cri';
import type { Pod } from '#resources/types/core-v1.ts';
import { podLabels, startOrder } from '../pods/pod-facts.ts';
import type { CgroupResources } from '../pods/qos.ts';
import { type DnsConfig, nodenameOf } from './dns-config.ts';
import type { UserNamespace } from './user-namespace.ts';

export interface SandboxOptions {
  /** Path of the pod's cgroup, in which the runtime makes those of the containers. */
  readonly cgroupParent: string;
  readonly dns: DnsConfig;
  readonly clusterDomain: string;
  readonly logDirectory: string;
  readonly attempt: number;
  /** Of the pod's cgroup. */
  readonly limits: CgroupResources;
  readonly users?: UserNamespace | undefined;
}

export function sandboxConfig(pod: Pod, options: SandboxOptions): Sent<'PodSandboxConfig'> {
  const { name = '', namespace = '', uid = '', labels, annotations } = pod.metadata;
  const { securityContext, hostNetwork } = pod.spec ?? {};
  const { cpuShares, cpuPeriod, cpuQuota, memoryLimitBytes } = options.limits;
  return {
    metadata: { name, namespace, uid, attempt: options.attempt },
    // A name of its own needs a namespace of its own.
    hostname: hostNetwork === true ? '' : nodenameOf(pod, options.clusterDomain),
    logDirectory: options.logDirectory,
    dnsConfig: options.dns,
    portMappings: portMappings(pod),
    labels: {
      ...labels,
      [podLabels.podName]: name,
      [podLabels.podNamespace]: namespace,
      [podLabels.podUid]: uid,
    },
    annotations: annotations ?? {},
    linux: {
      cgroupParent: options.cgroupParent,
      sysctls: Object.fromEntries(
        (securityContext?.sysctls ?? []).map((sysctl) => [sysctl.name, sysctl.value]),
      ),
      resources: { cpuShares, cpuPeriod, cpuQuota, memoryLimitInBytes: memoryLimitBytes },
      securityContext: {
        namespaceOptions: namespaceOptions(pod, options.users),
        privileged: startOrder(pod).some((each) => each.securityContext?.privileged === true),
        selinuxOptions: securityContext?.seLinuxOptions,
        runAsUser: optionalValue(securityContext?.runAsUser),
        runAsGroup: optionalValue(securityContext?.runAsGroup),
        supplementalGroups: supplementalGroups(pod),
        supplementalGroupsPolicy: groupsPolicy(pod),
      },
    },
  };
}

export function optionalValue(value: number | undefined): { readonly value: number } | undefined {
  return value === undefined ? undefined : { value };
}

export function supplementalGroups(pod: Pod): readonly number[] {
  const { supplementalGroups: groups = [], fsGroup } = pod.spec?.securityContext ?? {};
  return fsGroup === undefined ? groups : [...groups, fsGroup];
}

/** Whether groups that the image knows count as well (`Merge`). */
export function groupsPolicy(pod: Pod): 'Merge' | 'Strict' | undefined {
  const policy = pod.spec?.securityContext?.supplementalGroupsPolicy;
  return policy === 'Strict' || policy === 'Merge' ? policy : undefined;
}

export function namespaceOptions(
  pod: Pod,
  users: UserNamespace | undefined,
): Sent<'NamespaceOption'> {
  const { hostNetwork, hostPID, hostIPC, shareProcessNamespace } = pod.spec ?? {};
  const pid = hostPID === true ? 'NODE' : shareProcessNamespace === true ? 'POD' : 'CONTAINER';
  return {
    network: hostNetwork === true ? 'NODE' : 'POD',
    pid,
    ipc: hostIPC === true ? 'NODE' : 'POD',
    ...(users === undefined ? {} : { usernsOptions: users }),
  };
}

/** Ports on the node; the network plugin maps them if it can. */
function portMappings(pod: Pod): readonly Sent<'PortMapping'>[] {
  if (pod.spec?.hostNetwork === true) return [];
  return startOrder(pod).flatMap(({ ports = [] }) =>
    ports
      .filter(({ hostPort }) => hostPort !== undefined && hostPort > 0)
      .map(({ containerPort, hostPort, hostIP, protocol }) => ({
        protocol: protocol === 'UDP' || protocol === 'SCTP' ? protocol : 'TCP',
        containerPort,
        hostPort,
        hostIp: hostIP,
      })),
  );
}
