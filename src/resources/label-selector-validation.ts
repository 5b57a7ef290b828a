/**
 * Validation of `metav1.LabelSelector` wherever a kind has one: workloads, affinity terms, spread
 * constraints. Operators and their values must fit; keys and values must look like labels.
 */
import { type FieldError, forbidden, invalid, required } from '#api/field-error.ts';
import { labelValueProblems, qualifiedNameProblems } from '#api/names.ts';
import { validateLabels } from '#api/object-meta.ts';
import type { LabelSelector } from '#api/selectors.ts';

export function validateLabelSelector(
  selector: LabelSelector | undefined,
  field: string,
): FieldError[] {
  if (selector === undefined) return [];
  const errors = validateLabels(selector.matchLabels, `${field}.matchLabels`);
  for (const [index, expression] of (selector.matchExpressions ?? []).entries()) {
    errors.push(...validateRequirement(expression, `${field}.matchExpressions[${index}]`));
  }
  return errors;
}

function validateRequirement(
  expression: NonNullable<LabelSelector['matchExpressions']>[number],
  field: string,
): FieldError[] {
  const errors: FieldError[] = [];
  const { key, operator, values = [] } = expression;
  switch (operator) {
    case 'In':
    case 'NotIn':
      if (values.length === 0) {
        errors.push(
          required(`${field}.values`, "must be specified when `operator` is 'In' or 'NotIn'"),
        );
      }
      break;
    case 'Exists':
    case 'DoesNotExist':
      if (values.length > 0) {
        errors.push(
          forbidden(
            `${field}.values`,
            "may not be specified when `operator` is 'Exists' or 'DoesNotExist'",
          ),
        );
      }
      break;
    default:
      errors.push(invalid(`${field}.operator`, operator, 'not a valid selector operator'));
  }
  for (const problem of qualifiedNameProblems(key)) {
    errors.push(invalid(`${field}.key`, key, problem));
  }
  for (const [index, value] of values.entries()) {
    for (const problem of labelValueProblems(value)) {
      errors.push(invalid(`${field}.values[${index}]`, value, problem));
    }
  }
  return errors;
}
