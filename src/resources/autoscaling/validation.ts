/**
 * Validation of HorizontalPodAutoscalers: bounds, what to scale, metrics and scaling behaviour.
 * Works on the hub (autoscaling/v2); paths in errors are that version's.
 */
import { type FieldError, forbidden, invalid, notSupported, required } from '#api/field-error.ts';
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
import { validateNotNegative } from '../value-validation.ts';

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
        : invalid('spec.maxReplicas', maxReplicas, 'must be greater than or equal to 1'),
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
  if (minReplicas === 0 && !mayBeZero) {
    const detail =
      'must specify at least one Object or External metric to support scaling to zero replicas';
    errors.push(forbidden('spec.metrics', detail));
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

const sources = ['object', 'external', 'pods', 'resource', 'containerResource'] as const;

/** Of several sources only the first is judged; all but the one of the type are too many. */
function validateMetric(metric: MetricSpec, field: string): FieldError[] {
  const { type = '' } = metric;
  const errors: FieldError[] = [];
  if (type === '') errors.push(required(`${field}.type`, 'must specify a metric source type'));
  const known = metricTypes.includes(type);
  // Upstream asks twice.
  const unknown = notSupported(`${field}.type`, type, metricTypes);
  if (!known) errors.push(unknown);
  const given = sources.filter((source) => metric[source] !== undefined);
  const [first] = given;
  if (first !== undefined) errors.push(...validateSource(metric, first, `${field}.${first}`));
  const expected = `${type[0]?.toLowerCase()}${type.slice(1)}`;
  if (!known) errors.push(unknown);
  else if (!given.some((source) => source === expected)) {
    const detail = 'must populate information for the given metric source';
    errors.push(required(`${field}.${expected}`, detail));
  }
  if (given.length === 1) return errors;
  for (const source of given) {
    if (source === expected) continue;
    const detail = 'must populate the given metric source only';
    errors.push(forbidden(`${field}.${source}`, detail));
  }
  return errors;
}

function validateSource(
  { object, external, pods, resource, containerResource }: MetricSpec,
  source: (typeof sources)[number],
  field: string,
): FieldError[] {
  switch (source) {
    case 'object':
      return [
        ...validateReference(object?.describedObject, `${field}.describedObject`),
        ...validateMeasured(object, field, 'must set either a target value or averageValue'),
      ];
    case 'external':
      return validateMeasured(
        external,
        field,
        'must set either a target value for metric or a per-pod target',
      );
    case 'pods':
      return validatePods(pods, field);
    case 'resource':
      return validateUsage(resource, field);
    case 'containerResource':
      return [
        ...(containerResource?.container
          ? []
          : [required(`${field}.container`, 'must specify a container')]),
        ...validateUsage(containerResource, field),
      ];
    default:
      return source satisfies never;
  }
}

interface Measured {
  readonly metric?: { readonly name: string } | undefined;
  readonly target?: MetricTarget | undefined;
}

function validateMeasured(
  measured: Measured | undefined,
  field: string,
  missing: string,
): FieldError[] {
  const { metric, target } = measured ?? {};
  const errors = validateMetricName(metric?.name, `${field}.metric.name`);
  errors.push(...validateTarget(target, `${field}.target`));
  if (target?.value !== undefined || target?.averageValue !== undefined) return errors;
  return [...errors, required(`${field}.target.averageValue`, missing)];
}

function validatePods(measured: Measured | undefined, field: string): FieldError[] {
  const { metric, target } = measured ?? {};
  const errors = validateMetricName(metric?.name, `${field}.metric.name`);
  errors.push(...validateTarget(target, `${field}.target`));
  if (target?.averageValue !== undefined) return errors;
  const detail = 'must specify a positive target averageValue';
  return [...errors, required(`${field}.target.averageValue`, detail)];
}

function validateMetricName(name: string | undefined, field: string): FieldError[] {
  if (!name) return [required(field, 'must specify a metric name')];
  return nameProblems(name, 'pathSegment', { generated: false }).map((problem) =>
    invalid(field, name, problem),
  );
}

interface Usage {
  readonly name?: string | undefined;
  readonly target?: MetricTarget | undefined;
}

function validateUsage(usage: Usage | undefined, field: string): FieldError[] {
  const { name, target } = usage ?? {};
  const errors = name ? [] : [required(`${field}.name`, 'must specify a resource name')];
  errors.push(...validateTarget(target, `${field}.target`));
  const { averageUtilization, averageValue } = target ?? {};
  if (averageUtilization === undefined && averageValue === undefined) {
    const detail = 'must set either a target raw value or a target utilization';
    errors.push(required(`${field}.target.averageUtilization`, detail));
  } else if (averageUtilization !== undefined && averageValue !== undefined) {
    const detail = 'may not set both a target raw value and a target utilization';
    errors.push(forbidden(`${field}.target.averageValue`, detail));
  }
  return errors;
}

function validateTarget(target: MetricTarget | undefined, field: string): FieldError[] {
  const errors: FieldError[] = [];
  const { type = '', averageUtilization, averageValue, value } = target ?? {};
  if (!type) errors.push(required(`${field}.type`, 'must specify a metric target type'));
  if (!targetTypes.includes(type)) {
    const detail = 'must be either Utilization, Value, or AverageValue';
    errors.push(invalid(`${field}.type`, type, detail));
  }
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

export function validateAutoscalerStatus({ status }: HorizontalPodAutoscaler): FieldError[] {
  return [
    ...validateNotNegative(status?.currentReplicas, 'status.currentReplicas'),
    ...validateNotNegative(status?.desiredReplicas, 'status.desiredReplicas'),
  ];
}
