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
import { initContainersOf, isSidecar, lastingContainersOf, startOrder } from './pod-facts.ts';

export type QosClass = 'Guaranteed' | 'Burstable' | 'BestEffort';

type Amounts = Readonly<Record<string, string>> | undefined;

export function qosClassOf(pod: Pod): QosClass {
  const whole = pod.spec?.resources;
  // What a pod asks for as a whole counts instead of what its containers ask for.
  const isWhole = asks(whole?.requests) || asks(whole?.limits);
  const all = isWhole ? [{ resources: whole }] : startOrder(pod);
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
  /** Bytes by size of page, as the kernel writes it: `2MB`. What is not named stays. */
  readonly hugepages?: Readonly<Record<string, number>> | undefined;
}

/** Whether limits of processors are enforced, and over which time. */
export interface QuotaSettings {
  readonly cpuCFSQuota: boolean;
  readonly cpuCFSQuotaPeriodUs: number;
}

const enforced: QuotaSettings = { cpuCFSQuota: true, cpuCFSQuotaPeriodUs: 100_000 };
export const cpuSharesMin = 2;
export const cpuSharesMax = 262_144;
const cpuQuotaMinUs = 1000;

export function containerCgroup(
  resources: ResourceRequirements | undefined,
  quota: QuotaSettings = enforced,
): CgroupResources {
  const limit = milliOf(resources?.limits, 'cpu');
  const request =
    resources?.requests?.['cpu'] === undefined ? limit : milliOf(resources.requests, 'cpu');
  const memory = quantityValueOf(resources?.limits, 'memory');
  return {
    cpuShares: sharesOf(request),
    cpuPeriod: quota.cpuCFSQuotaPeriodUs,
    cpuQuota: quotaOf(limit, 0, quota),
    memoryLimitBytes: memory > 0 ? memory : undefined,
  };
}

/** A container without a limit of its own is held by that of the pod as a whole. */
export function withPodLimits(
  own: ResourceRequirements | undefined,
  whole: ResourceRequirements | undefined,
): ResourceRequirements {
  const limits = { ...own?.limits };
  for (const name of ['cpu', 'memory']) {
    const limit = whole?.limits?.[name];
    if (limit !== undefined && milliOf(limits, name) === 0) limits[name] = limit;
  }
  return { ...own, limits };
}

export function sharesOf(milli: number): number {
  return Math.min(Math.max(Math.floor((milli * 1024) / 1000), cpuSharesMin), cpuSharesMax);
}

/** A limit of 0 is none. */
function quotaOf(
  limit: number,
  overhead: number,
  { cpuCFSQuota, cpuCFSQuotaPeriodUs: period }: QuotaSettings,
): number | undefined {
  if (!cpuCFSQuota || limit <= 0) return undefined;
  return Math.max(Math.floor(((limit + overhead) * period) / 1000), cpuQuotaMinUs);
}

/**
 * The pod's own cgroup: sums, limited only where every container is. What the pod asks for as a
 * whole comes first; what its runtime costs (`overhead`) comes on top.
 */
export function podCgroup(pod: Pod, quota: QuotaSettings = enforced): CgroupResources {
  const { resources: whole, overhead } = pod.spec ?? {};
  const sums = containerSums(pod);
  const choose = (amounts: Amounts, name: string, otherwise: number): number =>
    amounts?.[name] === undefined ? otherwise : milliOf(amounts, name);
  const limits = {
    cpu: choose(whole?.limits, 'cpu', sums.cpuLimit),
    memory: choose(whole?.limits, 'memory', sums.memoryLimit),
  };
  const request = choose(
    whole?.requests,
    'cpu',
    whole?.limits?.['cpu'] === undefined ? sums.cpu : limits.cpu,
  );
  const plus = (name: string): number => milliOf(overhead, name);
  const memoryBytes = Math.floor((limits.memory + plus('memory')) / 1000);
  return {
    cpuShares: sharesOf(request + plus('cpu')),
    cpuPeriod: quota.cpuCFSQuotaPeriodUs,
    cpuQuota: quotaOf(limits.cpu, plus('cpu'), quota),
    memoryLimitBytes: limits.memory > 0 ? memoryBytes : undefined,
  };
}

/** Names of huge pages among those of other resources. */
export function hugepagesIn(amounts: Readonly<Record<string, unknown>>): readonly string[] {
  return Object.keys(amounts).filter((name) => name.startsWith('hugepages-'));
}

/** Of every size that the node has: what a pod does not ask for it may not use. */
export function podHugepages(pod: Pod, sizes: readonly string[]): Readonly<Record<string, number>> {
  const whole = pod.spec?.resources?.limits;
  const lasting = lastingContainersOf(pod);
  const first = initContainersOf(pod).filter((container) => !isSidecar(container));
  return Object.fromEntries(
    sizes.map((name) => {
      const of = ({ resources }: Container): number => quantityValueOf(resources?.limits, name);
      const running = lasting.reduce((sum, each) => sum + of(each), 0);
      const most = Math.max(running, ...first.map(of));
      const bytes = whole?.[name] === undefined ? most : quantityValueOf(whole, name);
      return [pageSizeOf(name), bytes];
    }),
  );
}

/** The kernel's spelling: `hugepages-2Mi` is `2MB`. */
export function pageSizeOf(resource: string): string {
  return `${resource.slice('hugepages-'.length, -1)}B`;
}

/** In thousandths; a limit of 0 is none, since one container has none. */
function containerSums(pod: Pod): {
  readonly cpu: number;
  readonly cpuLimit: number;
  readonly memoryLimit: number;
} {
  const running = lastingContainersOf(pod);
  const phases = initContainersOf(pod).filter((container) => !isSidecar(container));
  const largest = (of: (container: Container) => number): number =>
    Math.max(
      running.reduce((sum, container) => sum + of(container), 0),
      ...phases.map(of),
    );
  const limitOf = (name: string): number => {
    const of = ({ resources }: Container): number => milliOf(resources?.limits, name);
    return [...running, ...phases].every((container) => of(container) > 0) ? largest(of) : 0;
  };
  const cpu = largest(({ resources }) =>
    milliOf(
      resources?.requests?.['cpu'] === undefined ? resources?.limits : resources.requests,
      'cpu',
    ),
  );
  return { cpu, cpuLimit: limitOf('cpu'), memoryLimit: limitOf('memory') };
}

/** -997 for guaranteed pods, 1000 for best effort, in between by share of the node's memory. */
export function oomScoreAdjust(pod: Pod, container: Container, nodeMemoryBytes: number): number {
  const qos = qosClassOf(pod);
  if ((pod.spec?.priority ?? 0) >= 2_000_001_000 || qos === 'Guaranteed') return -997;
  if (qos === 'BestEffort') return 1000;
  const request = quantityValueOf(container.resources?.requests, 'memory');
  const score = 1000 - Math.floor((1000 * request) / nodeMemoryBytes);
  return Math.min(Math.max(score, 3), 999);
}

/** Path of the pod's cgroup below the kubelet's root. */
export function podCgroupPath(cgroupRoot: string, pod: Pod): string {
  const qos = qosClassOf(pod);
  const middle = qos === 'Guaranteed' ? '' : `/${qos.toLowerCase()}`;
  return `${cgroupRoot}/kubepods${middle}/pod${pod.metadata.uid}`;
}
