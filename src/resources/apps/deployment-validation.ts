/**
 * Validation of Deployments: counts that make sense, selector and template that fit each other, a
 * strategy that can work, and a status that does not contradict itself.
 */
import { type FieldError, forbidden, invalid, notSupported, required } from '#api/field-error.ts';
import { jsonEqual } from '#kit/json-equal.ts';
import { amountOf, validateAtMostAll, validateCountOrPercent } from '../count-or-percent.ts';
import type { Deployment, DeploymentSpec, DeploymentStrategy } from '../types/apps-v1.ts';
import { validateNotNegative } from '../value-validation.ts';
import { validateCollisionCount, validateCounts } from './status-counts.ts';
import { goStrategy, validateSelectedTemplate } from './workload-validation.ts';

export function validateDeployment({ spec }: Deployment): FieldError[] {
  if (spec === undefined) return [required('spec.selector'), required('spec.template')];
  const errors: FieldError[] = [
    ...validateNotNegative(spec.replicas, 'spec.replicas'),
    ...validateSelectedTemplate(spec, 'Deployment'),
    ...validateStrategy(spec.strategy ?? {}, 'spec.strategy'),
    ...validateNotNegative(spec.minReadySeconds, 'spec.minReadySeconds'),
    ...validateNotNegative(spec.revisionHistoryLimit, 'spec.revisionHistoryLimit'),
  ];
  errors.push(...validateDeadline(spec));
  return errors;
}

function validateDeadline({ progressDeadlineSeconds, minReadySeconds = 0 }: DeploymentSpec) {
  if (progressDeadlineSeconds === undefined) return [];
  const field = 'spec.progressDeadlineSeconds';
  const errors = validateNotNegative(progressDeadlineSeconds, field);
  if (progressDeadlineSeconds <= minReadySeconds) {
    errors.push(invalid(field, progressDeadlineSeconds, 'must be greater than minReadySeconds'));
  }
  return errors;
}

function validateStrategy(strategy: DeploymentStrategy, field: string): FieldError[] {
  switch (strategy.type) {
    case 'Recreate':
      if (strategy.rollingUpdate === undefined) return [];
      return [
        forbidden(
          `${field}.rollingUpdate`,
          "may not be specified when strategy `type` is 'Recreate'",
        ),
      ];
    case 'RollingUpdate':
      if (strategy.rollingUpdate === undefined) {
        return [required(`${field}.rollingUpdate`, 'this should be defaulted and never be nil')];
      }
      return validateRollingUpdate(strategy.rollingUpdate, `${field}.rollingUpdate`);
    default:
      return [notSupported(field, goStrategy(strategy), ['Recreate', 'RollingUpdate'])];
  }
}

function validateRollingUpdate(
  { maxUnavailable = 0, maxSurge = 0 }: NonNullable<DeploymentStrategy['rollingUpdate']>,
  field: string,
): FieldError[] {
  const errors = [
    ...validateCountOrPercent(maxUnavailable, `${field}.maxUnavailable`),
    ...validateCountOrPercent(maxSurge, `${field}.maxSurge`),
  ];
  if (amountOf(maxUnavailable) === 0 && amountOf(maxSurge) === 0) {
    const detail = 'may not be 0 when `maxSurge` is 0';
    errors.push(invalid(`${field}.maxUnavailable`, maxUnavailable, detail));
  }
  return [...errors, ...validateAtMostAll(maxUnavailable, `${field}.maxUnavailable`)];
}

export function validateDeploymentUpdate(next: Deployment, old: Deployment): FieldError[] {
  if (jsonEqual(next.spec?.selector, old.spec?.selector)) return [];
  return [invalid('spec.selector', next.spec?.selector, 'field is immutable')];
}

const parts = ['updatedReplicas', 'readyReplicas', 'availableReplicas'] as const;
const counts = [
  'observedGeneration',
  'replicas',
  ...parts,
  'unavailableReplicas',
  'terminatingReplicas',
  'collisionCount',
] as const;

export function validateDeploymentStatus({ status }: Deployment, old: Deployment): FieldError[] {
  return [
    ...validateCounts(status ?? {}, { all: counts, parts }),
    ...validateCollisionCount(status?.collisionCount, old.status?.collisionCount),
  ];
}
