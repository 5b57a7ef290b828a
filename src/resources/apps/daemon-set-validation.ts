/**
 * Validation of DaemonSets: selector and template that fit each other, and a way of updating that
 * can make progress, by doing without pods or by having more of them, never both.
 */
import { type FieldError, invalid, notSupported, required } from '#api/field-error.ts';
import { jsonEqual } from '#kit/json-equal.ts';
import { amountOf, validateAtMostAll, validateCountOrPercent } from '../count-or-percent.ts';
import type { DaemonSet, DaemonSetUpdateStrategy } from '../types/apps-v1.ts';
import { validateNotNegative } from '../value-validation.ts';
import { goStrategy, validateSelectedTemplate } from './workload-validation.ts';

export function validateDaemonSet({ spec }: DaemonSet): FieldError[] {
  if (spec === undefined) return [required('spec.selector'), required('spec.template')];
  return [
    ...validateSelectedTemplate(spec, 'DaemonSet'),
    ...validateNotNegative(spec.minReadySeconds, 'spec.minReadySeconds'),
    ...validateStrategy(spec.updateStrategy ?? {}, 'spec.updateStrategy'),
    ...validateNotNegative(spec.revisionHistoryLimit, 'spec.revisionHistoryLimit'),
  ];
}

function validateStrategy(strategy: DaemonSetUpdateStrategy, field: string): FieldError[] {
  const { type, rollingUpdate } = strategy;
  if (type === 'OnDelete') return [];
  if (type !== 'RollingUpdate') {
    return [notSupported(field, goStrategy(strategy), ['RollingUpdate', 'OnDelete'])];
  }
  if (rollingUpdate === undefined) return [required(`${field}.rollingUpdate`)];
  const { maxUnavailable = 0, maxSurge = 0 } = rollingUpdate;
  const at = `${field}.rollingUpdate`;
  const errors = [
    ...validateCountOrPercent(maxUnavailable, `${at}.maxUnavailable`),
    ...validateCountOrPercent(maxSurge, `${at}.maxSurge`),
    ...validateAtMostAll(maxUnavailable, `${at}.maxUnavailable`),
    ...validateAtMostAll(maxSurge, `${at}.maxSurge`),
  ];
  const does = amountOf(maxUnavailable) !== 0;
  const surges = amountOf(maxSurge) !== 0;
  if (does && surges) {
    const detail = 'may not be set when maxUnavailable is non-zero';
    errors.push(invalid(`${at}.maxSurge`, maxSurge, detail));
  } else if (!does && !surges) {
    errors.push(required(`${at}.maxUnavailable`, 'cannot be 0 when maxSurge is 0'));
  }
  return errors;
}

export function validateDaemonSetUpdate(next: DaemonSet, old: DaemonSet): FieldError[] {
  if (jsonEqual(next.spec?.selector, old.spec?.selector)) return [];
  return [invalid('spec.selector', next.spec?.selector, 'field is immutable')];
}

const counts = [
  'currentNumberScheduled',
  'numberMisscheduled',
  'desiredNumberScheduled',
  'numberReady',
  'observedGeneration',
  'updatedNumberScheduled',
  'numberAvailable',
  'numberUnavailable',
  'collisionCount',
] as const;

export function validateDaemonSetStatus({ status }: DaemonSet, old: DaemonSet): FieldError[] {
  const errors = counts.flatMap((count) => validateNotNegative(status?.[count], `status.${count}`));
  const collisionCount = status?.collisionCount ?? 0;
  if (collisionCount < (old.status?.collisionCount ?? 0)) {
    errors.push(invalid('status.collisionCount', collisionCount, 'cannot be decremented'));
  }
  return errors;
}
