/**
 * Validation that kinds with a selector and a pod template share: the selector says something, and
 * the template's labels satisfy it.
 */
import { type FieldError, forbidden, invalid, notSupported, required } from '#api/field-error.ts';
import { validateAnnotations, validateLabels } from '#api/object-meta.ts';
import { type LabelSelector, labelSelectorMatches } from '#api/selectors.ts';
import { validatePodTemplate } from '../core/pod/spec-validation.ts';
import { validateLabelSelector } from '../label-selector-validation.ts';
import type { PodTemplateSpec } from '../types/core-v1.ts';

export type WorkloadKind = 'DaemonSet' | 'Deployment' | 'ReplicaSet' | 'StatefulSet';

export function validateSelectedTemplate(
  spec: {
    readonly selector?: LabelSelector | undefined;
    readonly template?: PodTemplateSpec | undefined;
  },
  kind: WorkloadKind,
): FieldError[] {
  const { selector, template } = spec;
  const errors: FieldError[] = [];
  let isSound = true;
  if (selector === undefined) {
    if (kind !== 'DaemonSet') errors.push(required('spec.selector'));
  } else {
    const wrong = validateLabelSelector(selector, 'spec.selector');
    errors.push(...wrong);
    if (wrong.length > 0 && kind !== 'DaemonSet') {
      const detail = kind === 'StatefulSet' ? '' : 'invalid label selector';
      errors.push(invalid('spec.selector', selector, detail));
    }
    isSound = errors.length === 0;
    if (isEmptySelector(selector)) {
      // Upstream's words for ReplicaSets are those of Deployments.
      const named = kind === 'ReplicaSet' ? 'deployment' : kind.toLowerCase();
      errors.push(invalid('spec.selector', selector, `empty selector is invalid for ${named}`));
    }
  }
  if (template === undefined) return [...errors, required('spec.template')];
  // No selector selects nothing, an empty one everything.
  if (isSound) {
    const labels = template.metadata?.labels;
    if (!labelSelectorMatches(selector, labels)) {
      const detail = '`selector` does not match template `labels`';
      errors.push(invalid('spec.template.metadata.labels', inOrder(labels) ?? null, detail));
    }
  }
  errors.push(...validatePodTemplate(template, 'spec.template'));
  if (kind === 'StatefulSet') {
    // Upstream looks at these once more here.
    const { labels, annotations } = template.metadata ?? {};
    errors.push(...validateLabels(labels, 'spec.template.labels'));
    errors.push(...validateAnnotations(annotations, 'spec.template.annotations'));
  }
  errors.push(...validateLongRunning(template, kind));
  return errors;
}

/** Pods of these kinds are meant to run for ever. */
function validateLongRunning({ spec }: PodTemplateSpec, kind: WorkloadKind): FieldError[] {
  const errors: FieldError[] = [];
  if (spec?.restartPolicy !== undefined && spec.restartPolicy !== 'Always') {
    errors.push(notSupported('spec.template.spec.restartPolicy', spec.restartPolicy, ['Always']));
  }
  if (spec?.activeDeadlineSeconds !== undefined) {
    // What is said of Deployments is what their ReplicaSets would say.
    const owner = kind === 'Deployment' ? 'ReplicaSet' : kind;
    const detail = `activeDeadlineSeconds in ${owner} is not Supported`;
    errors.push(forbidden('spec.template.spec.activeDeadlineSeconds', detail));
  }
  return errors;
}

function isEmptySelector({ matchLabels, matchExpressions }: LabelSelector): boolean {
  return Object.keys(matchLabels ?? {}).length === 0 && (matchExpressions ?? []).length === 0;
}

/** As Go writes a map. */
function inOrder(labels: Readonly<Record<string, string>> | undefined): object | undefined {
  return labels && Object.fromEntries(Object.entries(labels).sort(([a], [b]) => (a < b ? -1 : 1)));
}

/** A strategy as upstream shows it: its internal type, whose fields have no other names. */
export function goStrategy(strategy: {
  readonly type?: string | undefined;
  readonly rollingUpdate?:
    | {
        readonly maxUnavailable?: number | string | undefined;
        readonly maxSurge?: number | string | undefined;
      }
    | undefined;
}): object {
  const { type = '', rollingUpdate } = strategy;
  const { maxUnavailable = 0, maxSurge = 0 } = rollingUpdate ?? {};
  const shown = { MaxUnavailable: maxUnavailable, MaxSurge: maxSurge };
  return { Type: type, RollingUpdate: rollingUpdate === undefined ? null : shown };
}
