/**
 * What a pod counts for in a quota.
 *
 * `count/pods` counts every pod that is stored; all else counts only pods that have not ended and
 * are not stuck in their deletion. Requests are those of the containers together, or of the init
 * container that needs most, with sidecars running along and the overhead of the runtime; what the
 * node has really given (a resize that is under way) counts where it is more.
 */
import { qualifiedNameProblems } from '#api/names.ts';
import { compareQuantities } from '#api/quantity.ts';
import { qosClassOf } from '../core/pod/qos-class.ts';
import type {
  Affinity,
  Container,
  ContainerStatus,
  Pod,
  PodAffinityTerm,
  PodSpec,
} from '../types/core-v1.ts';
import { type Amounts, addAmounts, maxAmounts } from './amounts.ts';
import { podTotal } from './pod-total.ts';

/** Classes of devices that a pod asks for as if they were a resource. */
const deviceClassPrefix = 'deviceclass.resource.kubernetes.io/';

export function usageOfPod(pod: Pod, nowMs: number): Amounts {
  const counted = { 'count/pods': '1' };
  if (!isCharged(pod, nowMs)) return counted;
  return { ...counted, ...computeUsage(podAmounts(pod, 'requests'), podAmounts(pod, 'limits')) };
}

/** Whether it holds anything: not when it has ended, nor when its grace is over. */
function isCharged({ status, metadata }: Pod, nowMs: number): boolean {
  if (status?.phase === 'Failed' || status?.phase === 'Succeeded') return false;
  const { deletionTimestamp, deletionGracePeriodSeconds } = metadata;
  if (deletionTimestamp === undefined || deletionGracePeriodSeconds === undefined) return true;
  return nowMs <= Date.parse(deletionTimestamp) + deletionGracePeriodSeconds * 1000;
}

/** Requests and limits under the names that quotas have for them. */
function computeUsage(requests: Amounts, limits: Amounts): Amounts {
  const usage: Record<string, string> = { pods: '1' };
  for (const name of ['cpu', 'memory', 'ephemeral-storage']) {
    const [request, limit] = [requests[name], limits[name]];
    if (request !== undefined) {
      usage[name] = request;
      usage[`requests.${name}`] = request;
    }
    if (limit !== undefined) usage[`limits.${name}`] = limit;
  }
  for (const [name, request] of Object.entries(requests)) {
    if (name.startsWith('hugepages-')) usage[name] = request;
    if (name.startsWith('hugepages-') || isExtended(name)) usage[`requests.${name}`] = request;
  }
  return usage;
}

function isExtended(name: string): boolean {
  if (name.startsWith(deviceClassPrefix)) return true;
  if (isNative(name) || name.startsWith('requests.')) return false;
  return qualifiedNameProblems(`requests.${name}`).length === 0;
}

function isNative(name: string): boolean {
  return !name.includes('/') || name.includes('kubernetes.io/');
}

/** What a pod asks for, whatever its node has given it. */
export function requestsOfPod(pod: Pod): Amounts {
  return podAmounts({ ...pod, status: {} }, 'requests');
}

type List = 'requests' | 'limits';

function podAmounts(pod: Pod, list: List): Amounts {
  const spec = pod.spec ?? { containers: [] };
  const own = wholePod(spec, list);
  const total = { ...containerAmounts(pod, spec, list), ...own };
  const overhead = spec.overhead ?? {};
  if (list === 'requests') return addAmounts(total, overhead);
  // A limit that is not there is none, and stays none.
  const added = Object.entries(overhead).filter(
    ([name]) => compareQuantities(total[name] ?? '0', '0') !== 0,
  );
  return addAmounts(total, Object.fromEntries(added));
}

function isOfWholePod(name: string): boolean {
  return name === 'cpu' || name === 'memory' || name.startsWith('hugepages-');
}

function wholePod({ resources }: PodSpec, list: List): Amounts {
  const given = Object.entries(resources?.[list] ?? {});
  return Object.fromEntries(given.filter(([name]) => isOfWholePod(name)));
}

function containerAmounts(pod: Pod, spec: PodSpec, list: List): Amounts {
  const { status } = pod;
  const statuses = new Map<string, ContainerStatus>();
  for (const one of [
    ...(status?.containerStatuses ?? []),
    ...(status?.initContainerStatuses ?? []),
  ]) {
    statuses.set(one.name, one);
  }
  const infeasible = (status?.conditions ?? []).some(
    ({ type, reason }) => type === 'PodResizePending' && reason === 'Infeasible',
  );
  const now = (container: Container): Amounts =>
    effective(container, statuses.get(container.name), { list, infeasible });
  const starting = ({ resources }: Container): Amounts => resources?.[list] ?? {};
  return podTotal(spec, { running: now, starting });
}

function effective(
  { resources }: Container,
  status: ContainerStatus | undefined,
  { list, infeasible }: { readonly list: List; readonly infeasible: boolean },
): Amounts {
  const wanted = resources?.[list] ?? {};
  if (status?.resources === undefined) return wanted;
  const actual = status.resources[list] ?? {};
  const given = list === 'requests' ? maxAmounts(actual, status.allocatedResources ?? {}) : actual;
  return infeasible ? given : maxAmounts(wanted, given);
}

const mustBeSaid = new Set([
  'cpu',
  'memory',
  'requests.cpu',
  'requests.memory',
  'limits.cpu',
  'limits.memory',
]);

/**
 * What is missing where a quota bounds cpu or memory: each container has to say how much.
 * `must specify limits.cpu for: web; requests.cpu for: init,web`.
 */
export function podConstraintProblem(names: readonly string[], pod: Pod): string | undefined {
  const { spec } = pod;
  if (spec === undefined || saysForWholePod(spec)) return undefined;
  const missing = new Map<string, Set<string>>();
  for (const { name, resources } of [...spec.containers, ...(spec.initContainers ?? [])]) {
    const said = computeUsage(resources?.requests ?? {}, resources?.limits ?? {});
    for (const needed of names) {
      if (!mustBeSaid.has(needed) || said[needed] !== undefined) continue;
      const of = missing.get(needed) ?? new Set();
      missing.set(needed, of.add(name));
    }
  }
  if (missing.size === 0) return undefined;
  const texts = [...missing.keys()].sort().map((needed) => {
    const containers = [...(missing.get(needed) ?? [])].sort().join(',');
    return `${needed} for: ${containers}`;
  });
  return `must specify ${texts.join('; ')}`;
}

function saysForWholePod({ resources }: PodSpec): boolean {
  const given = [
    ...Object.keys(resources?.requests ?? {}),
    ...Object.keys(resources?.limits ?? {}),
  ];
  return given.some(isOfWholePod);
}

/** The scopes that choose pods by what they are; PriorityClass is a selector of its own. */
export function podIsInScope(pod: Pod, scope: string): boolean {
  switch (scope) {
    case 'Terminating':
      return isBounded(pod);
    case 'NotTerminating':
      return !isBounded(pod);
    case 'BestEffort':
      return pod.spec !== undefined && qosClassOf(pod.spec) === 'BestEffort';
    case 'NotBestEffort':
      return pod.spec !== undefined && qosClassOf(pod.spec) !== 'BestEffort';
    case 'CrossNamespacePodAffinity':
      return reachesOtherNamespaces(pod.spec?.affinity);
    default:
      return false;
  }
}

/** Whether it will end by a deadline. Changes of this are the only updates that a quota sees. */
export function isBounded({ spec }: Pod): boolean {
  return (spec?.activeDeadlineSeconds ?? -1) >= 0;
}

function reachesOtherNamespaces(affinity: Affinity | undefined): boolean {
  return [affinity?.podAffinity, affinity?.podAntiAffinity].some((side) => {
    const preferred = side?.preferredDuringSchedulingIgnoredDuringExecution ?? [];
    const terms: readonly PodAffinityTerm[] = [
      ...(side?.requiredDuringSchedulingIgnoredDuringExecution ?? []),
      ...preferred.map(({ podAffinityTerm }) => podAffinityTerm),
    ];
    return terms.some(
      ({ namespaces, namespaceSelector }) =>
        (namespaces?.length ?? 0) > 0 || namespaceSelector !== undefined,
    );
  });
}
