/**
 * Which nodes something may be on: the terms that pods, volumes and devices give. Each requirement
 * names a label (or the node itself) and how its value is compared.
 */
import { type FieldError, forbidden, invalid, required } from '#api/field-error.ts';
import { labelValueProblems, qualifiedNameProblems } from '#api/names.ts';
import type { NodeSelector, NodeSelectorRequirement, NodeSelectorTerm } from './types/core-v1.ts';

export function validateNodeSelector(selector: NodeSelector, field: string): FieldError[] {
  const at = `${field}.nodeSelectorTerms`;
  const terms = selector.nodeSelectorTerms ?? [];
  if (terms.length === 0) return [required(at, 'must have at least one node selector term')];
  return terms.flatMap((term, index) => validateNodeTerm(term, `${at}[${index}]`));
}

/** Of something that is not a pod: there the values are judged, too. */
export function validateStrictNodeSelector(selector: NodeSelector, field: string): FieldError[] {
  const errors = validateNodeSelector(selector, field);
  for (const [index, { matchExpressions = [] }] of (selector.nodeSelectorTerms ?? []).entries()) {
    for (const [place, { values = [] }] of matchExpressions.entries()) {
      const at = `${field}.nodeSelectorTerms[${index}].matchExpressions[${place}].values`;
      for (const [which, value] of values.entries()) {
        errors.push(
          ...labelValueProblems(value).map((problem) => invalid(`${at}[${which}]`, value, problem)),
        );
      }
    }
  }
  return errors;
}

export function validateNodeTerm(term: NodeSelectorTerm, field: string): FieldError[] {
  const errors: FieldError[] = [];
  for (const [index, requirement] of (term.matchExpressions ?? []).entries()) {
    const at = `${field}.matchExpressions[${index}]`;
    errors.push(...validateNodeRequirement(requirement, at));
    for (const problem of qualifiedNameProblems(requirement.key)) {
      errors.push(invalid(`${at}.key`, requirement.key, problem));
    }
  }
  for (const [index, { key, operator, values = [] }] of (term.matchFields ?? []).entries()) {
    const at = `${field}.matchFields[${index}]`;
    if (key !== 'metadata.name') {
      errors.push(invalid(`${at}.key`, key, 'not a valid field selector key'));
    }
    if (operator !== 'In' && operator !== 'NotIn') {
      errors.push(invalid(`${at}.operator`, operator, 'not a valid selector operator'));
    } else if (values.length !== 1) {
      const detail =
        "must be only one value when `operator` is 'In' or 'NotIn' for node field selector";
      errors.push(required(`${at}.values`, detail));
    }
  }
  return errors;
}

function validateNodeRequirement(
  { operator, values = [] }: NodeSelectorRequirement,
  field: string,
): FieldError[] {
  switch (operator) {
    case 'In':
    case 'NotIn':
      if (values.length > 0) return [];
      return [required(`${field}.values`, "must be specified when `operator` is 'In' or 'NotIn'")];
    case 'Exists':
    case 'DoesNotExist':
      if (values.length === 0) return [];
      return [
        forbidden(
          `${field}.values`,
          "may not be specified when `operator` is 'Exists' or 'DoesNotExist'",
        ),
      ];
    case 'Gt':
    case 'Lt':
      if (values.length === 1) return [];
      return [
        required(
          `${field}.values`,
          "must be specified single value when `operator` is 'Lt' or 'Gt'",
        ),
      ];
    default:
      return [invalid(`${field}.operator`, operator, 'not a valid selector operator')];
  }
}
