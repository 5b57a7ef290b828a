/**
 * Validation of HorizontalPodAutoscalers: bounds, what to scale, metrics and scaling behaviour.
 * Works on the hub (autoscaling/v2); paths in errors are that version's.
 */
import { type FieldError, invalid, notSupported, required } from '#api/field-error.ts';
import { nameProblems } from '#api/names.ts';
import { compareQuantities } from '#api/quantity.ts';
import type {
  CrossVersionObjectReference,
  HorizontalPodAutoscaler,
  HPAScalingPolicy,
  HPAScalingRules,
  MetricSpec,
  MetricTarget,
} from '../types/autoscaling-v2.ts';

const metricTypes = ['ContainerResource', 'External', 'Object', 'Pods', 'Resource'];
const selectPolicies = ['Disabled', 'Max', 'Min'];
const policyTypes = ['Percent', 'Pods'];
const targetTypes = ['AverageValue', 'Utilization', 'Value'];
const windowSecondsMax = 3600;
const periodSecondsMax = 1800;

export function validateHorizontalPodAutoscaler({ spec }: HorizontalPodAutoscaler): FieldError[] {
  if (spec === undefined) return [required('spec.scaleTargetRef')];
  const errors: FieldError[] = [];
  const { minReplicas = 1, maxReplicas, metrics = [], behavior } = spec;
  const mayBeZero = metrics.some(({ type }) => type === 'Object' || type === 'External');
  if (minReplicas < 1 && !(minReplicas === 0 && mayBeZero)) {
    errors.push(invalid('spec.minReplicas', minReplicas, 'must be greater than or equal to 1'));
  }
  if (!(maxReplicas >= 1)) {
    errors.push(
      (maxReplicas ?? 0) === 0
        ? required('spec.maxReplicas', 'must be set and greater than 0')
        : invalid('spec.maxReplicas', maxReplicas, 'must be greater than 0'),
    );
  }
  if (maxReplicas < minReplicas) {
    const detail = 'must be greater than or equal to `minReplicas`';
    errors.push(invalid('spec.maxReplicas', maxReplicas, detail));
  }
  errors.push(...validateReference(spec.scaleTargetRef, 'spec.scaleTargetRef'));
  errors.push(...validateTargetVersion(spec.scaleTargetRef, 'spec.scaleTargetRef.apiVersion'));
  for (const [index, metric] of metrics.entries()) {
    errors.push(...validateMetric(metric, `spec.metrics[${index}]`));
  }
  for (const name of ['scaleUp', 'scaleDown'] as const) {
    const rules = behavior?.[name];
    if (rules !== undefined) errors.push(...validateRules(rules, `spec.behavior.${name}`));
  }
  return errors;
}

function validateReference(
  reference: { readonly kind: string; readonly name: string } | undefined,
  field: string,
): FieldError[] {
  const errors: FieldError[] = [];
  for (const key of ['kind', 'name'] as const) {
    const value = reference?.[key];
    if (!value) {
      errors.push(required(`${field}.${key}`));
      continue;
    }
    for (const problem of nameProblems(value, 'pathSegment', { generated: false })) {
      errors.push(invalid(`${field}.${key}`, value, problem));
    }
  }
  return errors;
}

/** Of the core only replication controllers can be scaled. */
function validateTargetVersion(
  target: CrossVersionObjectReference | undefined,
  field: string,
): FieldError[] {
  const { apiVersion = '', kind = '' } = target ?? {};
  if (apiVersion.includes('/') || kind === 'ReplicationController') return [];
  return [invalid(field, apiVersion, 'apiVersion must specify API group')];
}

function validateMetric(metric: MetricSpec, field: string): FieldError[] {
  const { type, resource, containerResource, pods, object, external } = metric;
  if (!type) return [required(`${field}.type`, 'must specify a metric source type')];
  if (!metricTypes.includes(type)) return [notSupported(`${field}.type`, type, metricTypes)];
  const place = `${type[0]?.toLowerCase()}${type.slice(1)}`;
  const at = `${field}.${place}`;
  const source = { resource, containerResource, pods, object, external }[place];
  if (source === undefined) {
    return [required(at, 'must populate information for the given metric source')];
  }
  const errors: FieldError[] = [];
  if (place === 'resource' || place === 'containerResource') {
    const { name, target } = (resource ?? containerResource) || { name: '', target: undefined };
    if (!name) errors.push(required(`${at}.name`, 'must specify a resource name'));
    if (place === 'containerResource' && !containerResource?.container) {
      errors.push(required(`${at}.container`, 'must specify a container'));
    }
    errors.push(...validateTarget(target, `${at}.target`));
    if (target?.averageUtilization === undefined && target?.averageValue === undefined) {
      const detail = 'must set either a target raw value or a target utilization';
      errors.push(required(`${at}.target.averageUtilization`, detail));
    } else if (target.averageUtilization !== undefined && target.averageValue !== undefined) {
      const detail = 'may not set both a target raw value and a target utilization';
      errors.push(invalid(`${at}.target.averageValue`, target.averageValue, detail));
    }
    return errors;
  }
  const measured = pods ?? object ?? external;
  if (!measured?.metric?.name) {
    errors.push(required(`${at}.metric.name`, 'must specify a metric name'));
  }
  if (object !== undefined) {
    errors.push(...validateReference(object.describedObject, `${at}.describedObject`));
  }
  errors.push(...validateTarget(measured?.target, `${at}.target`));
  if (place === 'pods' && pods?.target?.averageValue === undefined) {
    const detail = 'must specify a positive target averageValue';
    errors.push(required(`${at}.target.averageValue`, detail));
  } else if (
    measured?.target?.value === undefined &&
    measured?.target?.averageValue === undefined
  ) {
    const detail = 'must set either a target value for metric or a per-pod target';
    errors.push(required(`${at}.target.averageValue`, detail));
  }
  return errors;
}

function validateTarget(target: MetricTarget | undefined, field: string): FieldError[] {
  const errors: FieldError[] = [];
  const { type, averageUtilization, averageValue, value } = target ?? {};
  if (!type) errors.push(required(`${field}.type`, 'must specify a metric target type'));
  else if (!targetTypes.includes(type))
    errors.push(notSupported(`${field}.type`, type, targetTypes));
  for (const [name, amount] of [
    ['value', value],
    ['averageValue', averageValue],
  ] as const) {
    if (amount === undefined || compareQuantities(amount, '0') > 0) continue;
    errors.push(invalid(`${field}.${name}`, amount, 'must be positive'));
  }
  if (averageUtilization !== undefined && averageUtilization < 1) {
    const detail = 'must be greater than 0';
    errors.push(invalid(`${field}.averageUtilization`, averageUtilization, detail));
  }
  return errors;
}

function validateRules(rules: HPAScalingRules, field: string): FieldError[] {
  const errors: FieldError[] = [];
  const { stabilizationWindowSeconds: window, selectPolicy, policies = [] } = rules;
  if (window !== undefined && window < 0) {
    const detail = 'must be greater than or equal to zero';
    errors.push(invalid(`${field}.stabilizationWindowSeconds`, window, detail));
  }
  if (window !== undefined && window > windowSecondsMax) {
    const detail = `must be less than or equal to ${windowSecondsMax}`;
    errors.push(invalid(`${field}.stabilizationWindowSeconds`, window, detail));
  }
  if (selectPolicy !== undefined && !selectPolicies.includes(selectPolicy)) {
    errors.push(notSupported(`${field}.selectPolicy`, selectPolicy, selectPolicies));
  }
  if (policies.length === 0) {
    errors.push(required(`${field}.policies`, 'must specify at least one Policy'));
  }
  for (const [index, policy] of policies.entries()) {
    errors.push(...validatePolicy(policy, `${field}.policies[${index}]`));
  }
  return errors;
}

function validatePolicy(policy: HPAScalingPolicy, field: string): FieldError[] {
  const errors: FieldError[] = [];
  const { type, value, periodSeconds } = policy;
  if (!policyTypes.includes(type)) errors.push(notSupported(`${field}.type`, type, policyTypes));
  if (!(value > 0)) errors.push(invalid(`${field}.value`, value ?? 0, 'must be greater than zero'));
  if (!(periodSeconds > 0)) {
    errors.push(invalid(`${field}.periodSeconds`, periodSeconds ?? 0, 'must be greater than zero'));
  }
  if (periodSeconds > periodSecondsMax) {
    const detail = `must be less than or equal to ${periodSecondsMax}`;
    errors.push(invalid(`${field}.periodSeconds`, periodSeconds, detail));
  }
  return errors;
}
