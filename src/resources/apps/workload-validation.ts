/**
 * Validation that kinds with a selector and a pod template share: the selector says something, and
 * the template's labels satisfy it.
 */
import { type FieldError, forbidden, invalid, notSupported, required } from '#api/field-error.ts';
import { type LabelSelector, labelSelectorMatches } from '#api/selectors.ts';
import { validatePodTemplate } from '../core/pod/spec-validation.ts';
import { validateLabelSelector } from '../label-selector-validation.ts';
import type { PodTemplateSpec } from '../types/core-v1.ts';

export function validateSelectedTemplate(
  spec: {
    readonly selector?: LabelSelector | undefined;
    readonly template?: PodTemplateSpec | undefined;
  },
  word: string,
): FieldError[] {
  const { selector, template } = spec;
  const errors: FieldError[] = [];
  if (selector === undefined) {
    errors.push(required('spec.selector'));
  } else {
    errors.push(...validateLabelSelector(selector, 'spec.selector'));
    if (isEmptySelector(selector)) {
      errors.push(invalid('spec.selector', selector, `empty selector is invalid for ${word}`));
    }
  }
  if (template === undefined) return [...errors, required('spec.template')];
  if (selector !== undefined && errors.length === 0) {
    const labels = template.metadata?.labels;
    if (!labelSelectorMatches(selector, labels)) {
      const detail = '`selector` does not match template `labels`';
      errors.push(invalid('spec.template.metadata.labels', labels ?? {}, detail));
    }
  }
  errors.push(...validatePodTemplate(template, 'spec.template'));
  errors.push(...validateLongRunning(template));
  return errors;
}

/** Pods of these kinds are meant to run for ever. */
function validateLongRunning({ spec }: PodTemplateSpec): FieldError[] {
  const errors: FieldError[] = [];
  if (spec?.restartPolicy !== undefined && spec.restartPolicy !== 'Always') {
    errors.push(notSupported('spec.template.spec.restartPolicy', spec.restartPolicy, ['Always']));
  }
  if (spec?.activeDeadlineSeconds !== undefined) {
    errors.push(
      forbidden(
        'spec.template.spec.activeDeadlineSeconds',
        'activeDeadlineSeconds in ReplicaSet is not Supported',
      ),
    );
  }
  return errors;
}

function isEmptySelector({ matchLabels, matchExpressions }: LabelSelector): boolean {
  return Object.keys(matchLabels ?? {}).length === 0 && (matchExpressions ?? []).length === 0;
}
