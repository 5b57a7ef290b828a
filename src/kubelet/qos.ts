/**
 * Quality-of-service class of a pod, and the cgroup figures that follow from requests and limits.
 *
 * Guaranteed: every container has limits for CPU and memory, and requests equal to them.
 * BestEffort: nobody asks for anything. Burstable: the rest. The class decides the cgroup's place
 * and how early the kernel's out-of-memory killer looks at a process. Pure; `sandbox-config.ts`,
 * `container-config.ts` and `status.ts` use it. Numbers: kubernetes.io, "Node-pressure Eviction",
 * oom_score_adj table.
 */
import { quantityMilliValue, quantityValue } from '#api/quantity.ts';
import type { Container, Pod, ResourceRequirements } from '#resources/types/core-v1.ts';
import { containersOf, initContainersOf, isSidecar } from './pod-facts.ts';

export type QosClass = 'Guaranteed' | 'Burstable' | 'BestEffort';

type Amounts = Readonly<Record<string, string>> | undefined;

export function qosClassOf(pod: Pod): QosClass {
  const all = [...containersOf(pod), ...initContainersOf(pod)];
  const isEmpty = all.every(
    ({ resources }) => !asks(resources?.requests) && !asks(resources?.limits),
  );
  if (isEmpty) return 'BestEffort';
  return all.every(({ resources }) => isExact(resources)) ? 'Guaranteed' : 'Burstable';
}

function asks(amounts: Amounts): boolean {
  return ['cpu', 'memory'].some((name) => quantityValueOf(amounts, name) > 0);
}

function isExact(resources: ResourceRequirements | undefined): boolean {
  return ['cpu', 'memory'].every((name) => {
    const limit = milliOf(resources?.limits, name);
    const request = milliOf(resources?.requests, name);
    return limit > 0 && (request === limit || resources?.requests?.[name] === undefined);
  });
}

function quantityValueOf(amounts: Amounts, name: string): number {
  const text = amounts?.[name];
  return text === undefined ? 0 : quantityValue(text);
}

function milliOf(amounts: Amounts, name: string): number {
  const text = amounts?.[name];
  return text === undefined ? 0 : quantityMilliValue(text);
}

/** What cgroups are set to; absent means no limit. */
export interface CgroupResources {
  readonly cpuShares: number;
  readonly cpuPeriod: number;
  readonly cpuQuota?: number | undefined;
  readonly memoryLimitBytes?: number | undefined;
}

const cpuPeriodUs = 100_000;
const cpuSharesMin = 2;
const cpuSharesMax = 262_144;
const cpuQuotaMinUs = 1000;

export function containerCgroup(resources: ResourceRequirements | undefined): CgroupResources {
  const limit = milliOf(resources?.limits, 'cpu');
  const request =
    resources?.requests?.['cpu'] === undefined ? limit : milliOf(resources.requests, 'cpu');
  const memory = quantityValueOf(resources?.limits, 'memory');
  return {
    cpuShares: sharesOf(request),
    cpuPeriod: cpuPeriodUs,
    cpuQuota: limit > 0 ? quotaOf(limit) : undefined,
    memoryLimitBytes: memory > 0 ? memory : undefined,
  };
}

function sharesOf(milli: number): number {
  return Math.min(Math.max(Math.floor((milli * 1024) / 1000), cpuSharesMin), cpuSharesMax);
}

function quotaOf(milli: number): number {
  return Math.max(Math.floor((milli * cpuPeriodUs) / 1000), cpuQuotaMinUs);
}

/** The pod's own cgroup: sums, limited only where every container is. */
export function podCgroup(pod: Pod): CgroupResources {
  const sidecars = initContainersOf(pod).filter(isSidecar);
  const running = [...containersOf(pod), ...sidecars];
  const phases = initContainersOf(pod).filter((container) => !isSidecar(container));
  const largest = (of: (container: Container) => number): number =>
    Math.max(
      running.reduce((sum, container) => sum + of(container), 0),
      ...phases.map(of),
    );
  const limited = (name: string): boolean =>
    [...running, ...phases].every(({ resources }) => milliOf(resources?.limits, name) > 0);
  const request = largest(({ resources }) =>
    milliOf(
      resources?.requests?.['cpu'] === undefined ? resources?.limits : resources.requests,
      'cpu',
    ),
  );
  const cpu = largest(({ resources }) => milliOf(resources?.limits, 'cpu'));
  const memory = largest(({ resources }) => quantityValueOf(resources?.limits, 'memory'));
  return {
    cpuShares: sharesOf(request),
    cpuPeriod: cpuPeriodUs,
    cpuQuota: limited('cpu') ? quotaOf(cpu) : undefined,
    memoryLimitBytes: limited('memory') ? memory : undefined,
  };
}

/** -997 for guaranteed pods, 1000 for best effort, in between by share of the node's memory. */
export function oomScoreAdjust(pod: Pod, container: Container, nodeMemoryBytes: number): number {
  const qos = qosClassOf(pod);
  if ((pod.spec?.priority ?? 0) >= 2_000_001_000 || qos === 'Guaranteed') return -997;
  if (qos === 'BestEffort') return 1000;
  const request = quantityValueOf(container.resources?.requests, 'memory');
  const score = Math.floor(1000 - (1000 * request) / nodeMemoryBytes);
  return Math.min(Math.max(score, 3), 999);
}

/** Path of the pod's cgroup below the kubelet's root. */
export function podCgroupPath(cgroupRoot: string, pod: Pod): string {
  const qos = qosClassOf(pod);
  const middle = qos === 'Guaranteed' ? '' : `/${qos.toLowerCase()}`;
  return `${cgroupRoot}/kubepods${middle}/pod${pod.metadata.uid}`;
}
