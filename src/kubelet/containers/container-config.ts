/**
 * The CRI configuration of one container, from pod, environment and mounts. Pure.
 *
 * Labels and annotations are upstream's: they are how a restarted kubelet finds its containers.
 * The paths of /proc and /sys that ordinary containers must not read or write are given here,
 * because the runtime masks nothing of itself.
 */
import { join } from 'node:path';
import { quantityValue } from '#api/quantity.ts';
import type { Sent } from '#cri';
import type { AppArmorProfile, Container, Pod, SeccompProfile } from '#resources/types/core-v1.ts';
import type { ContainerDevices } from '../devices/devices.ts';
import type { ContainerPlace } from '../placement/placement.ts';
import { containerHash } from '../pods/plan.ts';
import { containerAnnotations, podLabels } from '../pods/pod-facts.ts';
import { containerLogPath } from '../pods/pod-paths.ts';
import {
  containerCgroup,
  oomScoreAdjust,
  pageSizeOf,
  type QuotaSettings,
  withPodLimits,
} from '../pods/qos.ts';
import { expandVariables } from './env.ts';
import {
  groupsPolicy,
  namespaceOptions,
  optionalValue,
  supplementalGroups,
} from './sandbox-config.ts';
import type { UserNamespace } from './user-namespace.ts';

export interface ContainerOptions {
  readonly attempt: number;
  readonly imageRef: string;
  readonly environment: ReadonlyMap<string, string>;
  readonly mounts: readonly Sent<'Mount'>[];
  readonly terminationFile: string;
  readonly nodeMemoryBytes: number;
  readonly seccompDir: string;
  /** Whom volumes belong to. */
  readonly volumeGroups: readonly number[];
  /** Who does not say otherwise has the runtime's profile. */
  readonly seccompDefault: boolean;
  /** Limits of processors are enforced. */
  readonly quota: QuotaSettings;
  /** Files of its cgroup, where that is of version 2. */
  readonly memoryGroup: Readonly<Record<string, string>>;
  readonly devices: ContainerDevices;
  readonly place: ContainerPlace;
  readonly users?: UserNamespace | undefined;
  /** Pages that the runtime can limit, by resource: `hugepages-2Mi`. */
  readonly hugepages: readonly string[];
  /** The container whose processes this one joins. */
  readonly targetId?: string | undefined;
}

const maskedPaths = [
  '/proc/acpi',
  '/proc/asound',
  '/proc/interrupts',
  '/proc/kcore',
  '/proc/keys',
  '/proc/latency_stats',
  '/proc/sched_debug',
  '/proc/scsi',
  '/proc/timer_list',
  '/proc/timer_stats',
  '/sys/devices/virtual/powercap',
  '/sys/firmware',
];

const readonlyPaths = ['/proc/bus', '/proc/fs', '/proc/irq', '/proc/sys', '/proc/sysrq-trigger'];

export function containerConfig(
  pod: Pod,
  container: Container,
  options: ContainerOptions,
): Sent<'ContainerConfig'> {
  const { name, stdin, stdinOnce, tty, workingDir } = container;
  const { attempt, environment, devices } = options;
  const expand = (text: string): string => expandVariables(text, environment);
  // What the pod says itself counts more.
  const envs = [...new Map([...devices.envs, ...environment])].map(([key, value]) => ({
    key,
    value: Buffer.from(value),
  }));
  return {
    metadata: { name, attempt },
    image: { image: options.imageRef, userSpecifiedImage: container.image },
    command: container.command?.map(expand),
    args: container.args?.map(expand),
    workingDir,
    envs,
    mounts: [...devices.mounts, ...options.mounts].map((mount) => mapped(mount, options.users)),
    devices: devices.devices,
    cdiDevices: devices.cdiDevices,
    labels: {
      [podLabels.containerName]: name,
      [podLabels.podName]: pod.metadata.name ?? '',
      [podLabels.podNamespace]: pod.metadata.namespace ?? '',
      [podLabels.podUid]: pod.metadata.uid ?? '',
    },
    annotations: {
      ...devices.annotations,
      [containerAnnotations.hash]: containerHash(container),
      [containerAnnotations.restartCount]: String(attempt),
      [containerAnnotations.terminationMessagePath]:
        container.terminationMessagePath ?? '/dev/termination-log',
      [containerAnnotations.terminationMessagePolicy]: container.terminationMessagePolicy ?? 'File',
      [containerAnnotations.terminationMessageFile]: options.terminationFile,
    },
    logPath: containerLogPath(name, attempt),
    stdin,
    stdinOnce,
    tty,
    linux: {
      resources: resources(pod, container, options),
      securityContext: security(pod, container, options),
    },
  };
}

function resources(
  pod: Pod,
  container: Container,
  options: ContainerOptions,
): Sent<'LinuxContainerResources'> {
  const { memoryLimitBytes, ...cpu } = containerCgroup(
    withPodLimits(container.resources, pod.spec?.resources),
    options.quota,
  );
  const { cpusetCpus, cpusetMems, isExclusive } = options.place;
  return {
    ...cpu,
    // Nobody else runs there, so nothing needs to be held back.
    ...(isExclusive || !options.quota.cpuCFSQuota ? { cpuQuota: -1 } : {}),
    cpusetCpus,
    cpusetMems,
    hugepageLimits: hugepageLimits(container, options.hugepages),
    memoryLimitInBytes: memoryLimitBytes,
    unified: options.memoryGroup,
    oomScoreAdj: oomScoreAdjust(pod, container, options.nodeMemoryBytes),
  };
}

/** What is not asked for may not be used. */
function hugepageLimits(
  { resources }: Container,
  known: readonly string[],
): readonly Sent<'HugepageLimit'>[] {
  return known.map((name) => ({
    pageSize: pageSizeOf(name),
    limit: quantityValue(resources?.limits?.[name] ?? '0'),
  }));
}

function security(
  pod: Pod,
  container: Container,
  { seccompDir, seccompDefault, volumeGroups, targetId, users }: ContainerOptions,
): Sent<'LinuxContainerSecurityContext'> {
  const own = container.securityContext;
  const shared = pod.spec?.securityContext;
  const privileged = own?.privileged === true;
  const masked = !privileged && own?.procMount !== 'Unmasked';
  return {
    privileged,
    namespaceOptions: withTarget(namespaceOptions(pod, users), targetId),
    selinuxOptions: own?.seLinuxOptions ?? shared?.seLinuxOptions,
    capabilities: {
      addCapabilities: own?.capabilities?.add,
      dropCapabilities: own?.capabilities?.drop,
    },
    runAsUser: optionalValue(own?.runAsUser ?? shared?.runAsUser),
    runAsGroup: optionalValue(own?.runAsGroup ?? shared?.runAsGroup),
    readonlyRootfs: own?.readOnlyRootFilesystem,
    supplementalGroups: [...supplementalGroups(pod), ...volumeGroups],
    supplementalGroupsPolicy: groupsPolicy(pod),
    noNewPrivs: own?.allowPrivilegeEscalation === false && !privileged,
    maskedPaths: masked ? maskedPaths : [],
    readonlyPaths: masked ? readonlyPaths : [],
    ...appArmor(own?.appArmorProfile ?? shared?.appArmorProfile),
    seccomp: seccompProfile(
      own?.seccompProfile ?? shared?.seccompProfile ?? defaultProfile(seccompDefault),
      privileged,
      seccompDir,
    ),
  };
}

/** What is the pod's on the node is the pod's in the container. */
function mapped(mount: Sent<'Mount'>, users: UserNamespace | undefined): Sent<'Mount'> {
  if (users === undefined) return mount;
  return { ...mount, uidMappings: users.uids, gidMappings: users.gids };
}

function withTarget(
  options: Sent<'NamespaceOption'>,
  targetId: string | undefined,
): Sent<'NamespaceOption'> {
  if (targetId === undefined || options.pid !== 'CONTAINER') return options;
  return { ...options, pid: 'TARGET', targetId };
}

/** Under the name that newer runtimes read, and as the text that older ones do. */
function appArmor(
  profile: AppArmorProfile | undefined,
): Pick<Sent<'LinuxContainerSecurityContext'>, 'apparmor' | 'apparmorProfile'> {
  if (profile === undefined) return {};
  if (profile.type === 'RuntimeDefault') {
    return { apparmor: { profileType: 'RuntimeDefault' }, apparmorProfile: 'runtime/default' };
  }
  if (profile.type !== 'Localhost') {
    return { apparmor: { profileType: 'Unconfined' }, apparmorProfile: 'unconfined' };
  }
  const localhostRef = profile.localhostProfile ?? '';
  return {
    apparmor: { profileType: 'Localhost', localhostRef },
    apparmorProfile: `localhost/${localhostRef}`,
  };
}

function defaultProfile(isOwn: boolean): SeccompProfile | undefined {
  return isOwn ? { type: 'RuntimeDefault' } : undefined;
}

function seccompProfile(
  profile: SeccompProfile | undefined,
  privileged: boolean,
  seccompDir: string,
): Sent<'SecurityProfile'> {
  if (privileged || profile === undefined) return { profileType: 'Unconfined' };
  if (profile.type === 'RuntimeDefault') return { profileType: 'RuntimeDefault' };
  if (profile.type !== 'Localhost') return { profileType: 'Unconfined' };
  const localhostRef = join(seccompDir, profile.localhostProfile ?? '');
  return { profileType: 'Localhost', localhostRef };
}

/** Undefined: allowed. Otherwise why a container that must not run as root may not start. */
export function rootProblem(
  pod: Pod,
  container: Container,
  image: { readonly uid?: { readonly value: number } | undefined; readonly username: string },
): string | undefined {
  const own = container.securityContext;
  const shared = pod.spec?.securityContext;
  if ((own?.runAsNonRoot ?? shared?.runAsNonRoot) !== true) return undefined;
  const where = `(pod: "${pod.metadata.name}_${pod.metadata.namespace}(${pod.metadata.uid})", container: ${container.name})`;
  const user = own?.runAsUser ?? shared?.runAsUser;
  if (user !== undefined) {
    return user === 0 ? `container's runAsUser breaks non-root policy ${where}` : undefined;
  }
  if (image.uid !== undefined && image.uid.value !== 0) return undefined;
  if (image.username !== '' && image.username !== 'root') {
    return `container has runAsNonRoot and image has non-numeric user (${image.username}), cannot verify user is non-root ${where}`;
  }
  return `container has runAsNonRoot and image will run as root ${where}`;
}
