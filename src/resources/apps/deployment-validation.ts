/**
 * Validation of Deployments: counts that make sense, selector and template that fit each other, a
 * strategy that can work, and a status that does not contradict itself.
 */
import { type FieldError, forbidden, invalid, notSupported, required } from '#api/field-error.ts';
import { jsonEqual } from '#kit/json-equal.ts';
import { amountOf, validateAtMostAll, validateCountOrPercent } from '../count-or-percent.ts';
import type { Deployment, DeploymentSpec, DeploymentStrategy } from '../types/apps-v1.ts';
import { validateNotNegative } from '../value-validation.ts';
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

export function validateDeploymentStatus(next: Deployment, old: Deployment): FieldError[] {
  const { status = {} } = next;
  const errors: FieldError[] = [];
  const counts = [
    'observedGeneration',
    'replicas',
    'updatedReplicas',
    'readyReplicas',
    'availableReplicas',
    'unavailableReplicas',
    'terminatingReplicas',
    'collisionCount',
  ] as const;
  for (const count of counts) errors.push(...validateNotNegative(status[count], `status.${count}`));
  const { replicas = 0, readyReplicas = 0, availableReplicas = 0, updatedReplicas = 0 } = status;
  const tooMany = 'cannot be greater than status.replicas';
  if (updatedReplicas > replicas) {
    errors.push(invalid('status.updatedReplicas', updatedReplicas, tooMany));
  }
  if (readyReplicas > replicas) {
    errors.push(invalid('status.readyReplicas', readyReplicas, tooMany));
  }
  if (availableReplicas > replicas) {
    errors.push(invalid('status.availableReplicas', availableReplicas, tooMany));
  }
  if (availableReplicas > readyReplicas) {
    const detail = 'cannot be greater than readyReplicas';
    errors.push(invalid('status.availableReplicas', availableReplicas, detail));
  }
  if ((status.collisionCount ?? 0) < (old.status?.collisionCount ?? 0)) {
    errors.push(
      invalid('status.collisionCount', status.collisionCount ?? 0, 'cannot be decremented'),
    );
  }
  return errors;
}
