/**
 * Validation of what a Job says about single pods: which failures end it, count or do not matter,
 * and when enough indexes have succeeded.
 */
import {
  duplicate,
  type FieldError,
  invalid,
  invalidWhole,
  notSupported,
  required,
  tooLong,
  tooMany,
} from '#api/field-error.ts';
import { byteLength, qualifiedNameProblems } from '#api/names.ts';
import type {
  JobSpec,
  PodFailurePolicyOnExitCodesRequirement,
  PodFailurePolicyOnPodConditionsPattern,
  PodFailurePolicyRule,
  SuccessPolicyRule,
} from '../types/batch-v1.ts';
import { validateNotNegative } from '../value-validation.ts';
import { readIndexes } from './job-indexes.ts';

const failureRulesMax = 20;
const exitCodesMax = 255;
const conditionsMax = 20;
const successRulesMax = 20;
const succeededIndexesBytesMax = 64 * 1024;
const actions = ['Count', 'FailIndex', 'FailJob', 'Ignore'];
const operators = ['In', 'NotIn'];
const conditionStatuses = ['False', 'True', 'Unknown'];

/** Values as upstream prints a list of them: `["a" "b"]`. */
function listed(values: readonly string[]): string {
  return `valid values: [${values.map((value) => JSON.stringify(value)).join(' ')}]`;
}

export function validatePodFailurePolicy(spec: JobSpec, field: string): FieldError[] {
  const { podFailurePolicy, template } = spec;
  if (podFailurePolicy === undefined) return [];
  const { rules = [] } = podFailurePolicy;
  const errors: FieldError[] = [];
  const at = `${field}.rules`;
  if (rules.length > failureRulesMax) errors.push(tooMany(at, rules.length, failureRulesMax));
  const { containers = [], initContainers = [] } = template?.spec ?? {};
  const names = new Set([...containers, ...initContainers].map(({ name }) => name));
  for (const [index, rule] of rules.entries()) {
    errors.push(...validateFailureRule(rule, `${at}[${index}]`, { spec, names }));
  }
  return errors;
}

function validateFailureRule(
  rule: PodFailurePolicyRule,
  field: string,
  { spec, names }: { readonly spec: JobSpec; readonly names: ReadonlySet<string> },
): FieldError[] {
  const { action, onExitCodes, onPodConditions = [] } = rule;
  const errors: FieldError[] = [];
  if (!action) errors.push(required(`${field}.action`, listed(actions)));
  else if (!actions.includes(action)) {
    errors.push(notSupported(`${field}.action`, action, actions));
  } else if (action === 'FailIndex' && spec.backoffLimitPerIndex === undefined) {
    const detail = 'requires the backoffLimitPerIndex to be set';
    errors.push(invalid(`${field}.action`, action, detail));
  }
  if (onExitCodes !== undefined) {
    errors.push(...validateExitCodes(onExitCodes, `${field}.onExitCodes`, names));
  }
  errors.push(...validateConditions(onPodConditions, `${field}.onPodConditions`));
  if (onExitCodes !== undefined && onPodConditions.length > 0) {
    errors.push(
      invalidWhole(field, 'specifying both OnExitCodes and OnPodConditions is not supported'),
    );
  }
  if (onExitCodes === undefined && onPodConditions.length === 0) {
    errors.push(
      invalidWhole(field, 'specifying one of OnExitCodes and OnPodConditions is required'),
    );
  }
  return errors;
}

function validateExitCodes(
  { operator, containerName, values = [] }: PodFailurePolicyOnExitCodesRequirement,
  field: string,
  names: ReadonlySet<string>,
): FieldError[] {
  const errors: FieldError[] = [];
  if (!operator) errors.push(required(`${field}.operator`, listed(operators)));
  else if (!operators.includes(operator)) {
    errors.push(notSupported(`${field}.operator`, operator, operators));
  }
  if (containerName !== undefined && !names.has(containerName)) {
    const detail = 'must be one of the container or initContainer names in the pod template';
    errors.push(invalid(`${field}.containerName`, containerName, detail));
  }
  const at = `${field}.values`;
  if (values.length === 0) errors.push(invalid(at, values, 'at least one value is required'));
  else if (values.length > exitCodesMax) errors.push(tooMany(at, values.length, exitCodesMax));
  const seen = new Set<number>();
  for (const [index, value] of values.entries()) {
    if (operator === 'In' && value === 0) {
      errors.push(invalid(`${at}[${index}]`, value, 'must not be 0 for the In operator'));
    }
    if (seen.has(value)) errors.push(duplicate(`${at}[${index}]`, value));
    seen.add(value);
  }
  if (values.some((value, index) => value < (values[index - 1] ?? value))) {
    errors.push(invalid(at, values, 'must be ordered'));
  }
  return errors;
}

function validateConditions(
  patterns: readonly PodFailurePolicyOnPodConditionsPattern[],
  field: string,
): FieldError[] {
  const errors: FieldError[] = [];
  if (patterns.length > conditionsMax) errors.push(tooMany(field, patterns.length, conditionsMax));
  for (const [index, { type, status }] of patterns.entries()) {
    const at = `${field}[${index}]`;
    for (const problem of qualifiedNameProblems(type ?? '')) {
      errors.push(invalid(`${at}.type`, type ?? '', problem));
    }
    if (!status) errors.push(required(`${at}.status`, listed(conditionStatuses)));
    else if (!conditionStatuses.includes(status)) {
      errors.push(notSupported(`${at}.status`, status, conditionStatuses));
    }
  }
  return errors;
}

export function validateSuccessPolicy(spec: JobSpec, field: string): FieldError[] {
  const { successPolicy, completionMode, completions = 0 } = spec;
  if (successPolicy === undefined) return [];
  if (completionMode !== 'Indexed') {
    return [invalid(field, successPolicy, 'requires indexed completion mode')];
  }
  const { rules = [] } = successPolicy;
  const errors: FieldError[] = [];
  const at = `${field}.rules`;
  if (rules.length === 0) {
    const detail = 'at least one rules must be specified when the successPolicy is specified';
    errors.push(required(at, detail));
  }
  if (rules.length > successRulesMax) errors.push(tooMany(at, rules.length, successRulesMax));
  for (const [index, rule] of rules.entries()) {
    errors.push(...validateSuccessRule(rule, `${at}[${index}]`, completions));
  }
  return errors;
}

function validateSuccessRule(
  { succeededCount, succeededIndexes }: SuccessPolicyRule,
  field: string,
  completions: number,
): FieldError[] {
  const errors: FieldError[] = [];
  if (succeededCount === undefined && succeededIndexes === undefined) {
    const detail = 'at least one of succeededCount or succeededIndexes must be specified';
    errors.push(required(field, detail));
  }
  let total = 0;
  if (succeededIndexes !== undefined) {
    const at = `${field}.succeededIndexes`;
    if (byteLength(succeededIndexes) > succeededIndexesBytesMax) {
      errors.push(tooLong(at, succeededIndexesBytesMax));
    }
    const read = readIndexes(succeededIndexes, completions);
    if (read.ok) total = read.count;
    else errors.push(invalid(at, succeededIndexes, `error parsing succeededIndexes: ${read.why}`));
  }
  if (succeededCount === undefined) return errors;
  const at = `${field}.succeededCount`;
  errors.push(...validateNotNegative(succeededCount, at));
  if (succeededCount > completions) {
    const detail = `must be less than or equal to ${completions} (the number of specified completions)`;
    errors.push(invalid(at, succeededCount, detail));
  }
  if (succeededIndexes !== undefined && succeededCount > total) {
    const detail = `must be less than or equal to ${total} (the number of indexes in the specified succeededIndexes field)`;
    errors.push(invalid(at, succeededCount, detail));
  }
  return errors;
}
