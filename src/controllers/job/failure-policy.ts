/**
 * What the `podFailurePolicy` of a Job says about a failed pod. Pure.
 *
 * Rules are asked in order and the first that matches decides: by the exit code of a container that
 * failed, or by a condition of the pod (`DisruptionTarget`). A failure that no rule matches counts
 * towards the back-off limit. Behaviour: kubernetes.io, Jobs, "Pod failure policy"; KEP-3329.
 */
import type {
  PodFailurePolicy,
  PodFailurePolicyOnExitCodesRequirement,
  PodFailurePolicyRule,
} from '#resources/types/batch-v1.ts';
import type { Pod } from '#resources/types/core-v1.ts';

export interface Judgement {
  /** FailJob, FailIndex, Ignore or Count; undefined where no rule matched. */
  readonly action?: string;
  readonly counts: boolean;
  /** Why the whole Job fails. */
  readonly failJob?: string;
}

export function judgeFailure(policy: PodFailurePolicy | undefined, pod: Pod): Judgement {
  for (const [index, rule] of (policy?.rules ?? []).entries()) {
    const why = matchByExitCode(rule, pod) ?? matchByCondition(rule, pod);
    if (why === undefined) continue;
    const { action } = rule;
    const message = `${why} matching ${action} rule at index ${index}`;
    return {
      action,
      counts: action !== 'Ignore',
      ...(action === 'FailJob' ? { failJob: message } : {}),
    };
  }
  return { counts: true };
}

function nameOf(pod: Pod): string {
  return `${pod.metadata.namespace}/${pod.metadata.name}`;
}

function matchByExitCode(rule: PodFailurePolicyRule, pod: Pod): string | undefined {
  const requirement = rule.onExitCodes;
  if (requirement === undefined) return undefined;
  const { containerStatuses = [], initContainerStatuses = [] } = pod.status ?? {};
  for (const { name, state } of [...containerStatuses, ...initContainerStatuses]) {
    const exitCode = state?.terminated?.exitCode;
    if (exitCode === undefined || exitCode === 0) continue;
    if (requirement.containerName !== undefined && requirement.containerName !== name) continue;
    if (!isAmong(requirement, exitCode)) continue;
    return `Container ${name} for pod ${nameOf(pod)} failed with exit code ${exitCode}`;
  }
  return undefined;
}

function isAmong(requirement: PodFailurePolicyOnExitCodesRequirement, exitCode: number): boolean {
  return requirement.values.includes(exitCode) === (requirement.operator === 'In');
}

function matchByCondition(rule: PodFailurePolicyRule, pod: Pod): string | undefined {
  for (const { type, status = 'True' } of rule.onPodConditions ?? []) {
    const has = pod.status?.conditions?.some((one) => one.type === type && one.status === status);
    if (has) return `Pod ${nameOf(pod)} has condition ${type}`;
  }
  return undefined;
}
