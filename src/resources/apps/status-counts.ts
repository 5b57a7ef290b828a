/**
 * Counts in the status of kinds that keep pods: none is negative, no part is more than the whole,
 * and what is available is ready. Each kind says which counts it has.
 */
import { type FieldError, invalid } from '#api/field-error.ts';
import { validateNotNegative } from '../value-validation.ts';

type Counts<Name extends string> = {
  readonly [Each in Name | 'replicas' | 'readyReplicas' | 'availableReplicas']?: number | undefined;
};

export function validateCounts<Name extends string>(
  status: Counts<Name>,
  {
    all,
    parts,
    ready = 'readyReplicas',
  }: {
    readonly all: readonly Name[];
    /** Those that count some of `replicas`. */
    readonly parts: readonly Name[];
    /** How the kind's complaint calls the count of those that are ready. */
    readonly ready?: string;
  },
): FieldError[] {
  const errors = all.flatMap((name) => validateNotNegative(status[name], `status.${name}`));
  const { replicas = 0, readyReplicas = 0, availableReplicas = 0 } = status;
  for (const part of parts) {
    const value = status[part] ?? 0;
    if (value <= replicas) continue;
    errors.push(invalid(`status.${part}`, value, 'cannot be greater than status.replicas'));
  }
  if (availableReplicas > readyReplicas) {
    const detail = `cannot be greater than ${ready}`;
    errors.push(invalid('status.availableReplicas', availableReplicas, detail));
  }
  return errors;
}

/** It tells names of revisions apart that were taken, so it only grows. */
export function validateCollisionCount(next = 0, old = 0): FieldError[] {
  return next < old ? [invalid('status.collisionCount', next, 'cannot be decremented')] : [];
}
