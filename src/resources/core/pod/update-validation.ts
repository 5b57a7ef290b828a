/**
 * What may change in a pod that exists: images, the deadline (down), tolerations (more), gates
 * (fewer), and nothing else; new pods are made instead. Status updates come here as well.
 */
import { isIP } from 'node:net';
import { type FieldError, forbidden, invalid, required } from '#api/field-error.ts';
import { qualifiedNameProblems, subdomainProblems } from '#api/names.ts';
import { jsonEqual } from '#kit/json-equal.ts';
import { validateIP } from '#resources/ip-syntax.ts';
import type {
  Affinity,
  Container,
  NodeSelectorTerm,
  Pod,
  PodSpec,
  Toleration,
} from '#resources/types/core-v1.ts';
import { validateAppArmorUpdate } from './app-armor-annotations.ts';

const changeable = [
  '`spec.containers[*].image`',
  '`spec.initContainers[*].image`',
  '`spec.activeDeadlineSeconds`',
  '`spec.tolerations` (only additions to existing tolerations)',
  '`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously negative)',
].join(',');

export function validatePodUpdate(next: Pod, old: Pod): FieldError[] {
  if (next.spec === undefined || old.spec === undefined) return [];
  const { spec } = next;
  const before = old.spec;
  const { annotations } = next.metadata;
  const errors = validateAppArmorUpdate(annotations, old.metadata.annotations);
  const lists = ['containers', 'initContainers'] as const;
  for (const list of lists) {
    if ((spec[list] ?? []).length === (before[list] ?? []).length) continue;
    return [forbidden(`spec.${list}`, 'pod updates may not add or remove containers')];
  }
  for (const list of lists) errors.push(...validateImages(spec[list] ?? [], `spec.${list}`));
  const late = validateDeadline(spec, before);
  errors.push(...late);
  if (late.length > 0 && spec.activeDeadlineSeconds !== undefined) return errors;
  errors.push(
    ...validateTolerations(spec.tolerations ?? [], before.tolerations ?? []),
    ...validateGates(spec, before),
  );
  if ((before.schedulingGates ?? []).length > 0) errors.push(...validateNarrowing(spec, before));
  const allowed = withAllowedChanges(before, spec);
  if (!jsonEqual(allowed, spec)) {
    const differing = differences(allowed, spec, 'spec').join('\n');
    const detail = `pod updates may not change fields other than ${changeable}\n${differing}`;
    errors.push(forbidden('spec', detail));
  }
  return errors;
}

function validateImages(containers: readonly Container[], field: string): FieldError[] {
  return containers.flatMap(({ image }, index) => {
    if (!image) return [required(`${field}[${index}].image`)];
    if (image === image.trim()) return [];
    const detail = 'must not have leading or trailing whitespace';
    return [invalid(`${field}[${index}].image`, image, detail)];
  });
}

function validateDeadline(spec: PodSpec, before: PodSpec): FieldError[] {
  const deadline = spec.activeDeadlineSeconds;
  const was = before.activeDeadlineSeconds;
  const field = 'spec.activeDeadlineSeconds';
  if (was === undefined) return [];
  if (deadline === undefined) {
    return [invalid(field, undefined, 'must not update from a positive integer to nil value')];
  }
  if (deadline <= was) return [];
  return [invalid(field, deadline, 'must be less than or equal to previous value')];
}

function validateTolerations(
  next: readonly Toleration[],
  before: readonly Toleration[],
): FieldError[] {
  const withoutSeconds = ({ tolerationSeconds: _, ...rest }: Toleration) => rest;
  const kept = before.every((one) =>
    next.some((other) => jsonEqual(withoutSeconds(one), withoutSeconds(other))),
  );
  if (kept) return [];
  const detail = 'existing toleration can not be modified except its tolerationSeconds';
  return [forbidden('spec.tolerations', detail)];
}

function validateGates(spec: PodSpec, before: PodSpec): FieldError[] {
  const old = new Set((before.schedulingGates ?? []).map(({ name }) => name));
  return (spec.schedulingGates ?? []).flatMap(({ name }, index) =>
    old.has(name)
      ? []
      : [
          forbidden(
            `spec.schedulingGates[${index}].name`,
            `only deletion is allowed, but found new scheduling gate '${name}'`,
          ),
        ],
  );
}

/** A pod that waits at a gate may be narrowed down to fewer nodes, and no more than that. */
function validateNarrowing(spec: PodSpec, before: PodSpec): FieldError[] {
  const errors: FieldError[] = [];
  const { nodeSelector } = spec;
  const kept = Object.entries(before.nodeSelector ?? {}).every(
    ([key, value]) => nodeSelector?.[key] === value,
  );
  if (!kept) {
    const detail = 'only additions to spec.nodeSelector are allowed (no mutations or deletions)';
    errors.push(invalid('spec.nodeSelector', nodeSelector ?? null, detail));
  }
  const must = 'requiredDuringSchedulingIgnoredDuringExecution';
  const old = before.affinity?.nodeAffinity?.[must]?.nodeSelectorTerms ?? [];
  if (old.length === 0) return errors;
  const field = `spec.affinity.nodeAffinity.${must}.nodeSelectorTerms`;
  const terms = spec.affinity?.nodeAffinity?.[must]?.nodeSelectorTerms ?? [];
  if (old.length !== terms.length) {
    const detail = 'no additions/deletions to non-empty NodeSelectorTerms list are allowed';
    return [...errors, invalid(field, terms.length === 0 ? null : terms, detail)];
  }
  for (const [index, term] of terms.entries()) {
    if (hasOnlyAdditions(term, old[index] ?? {})) continue;
    const detail = 'only additions are allowed (no mutations or deletions)';
    errors.push(invalid(`${field}[${index}]`, term, detail));
  }
  return errors;
}

function hasOnlyAdditions(term: NodeSelectorTerm, old: NodeSelectorTerm): boolean {
  const lists = ['matchExpressions', 'matchFields'] as const;
  // A term that says nothing matches nothing; with something in it, it would match more.
  if (lists.every((list) => (old[list] ?? []).length === 0)) {
    return lists.every((list) => (term[list] ?? []).length === 0);
  }
  return lists.every((list) => {
    const was = old[list] ?? [];
    return jsonEqual((term[list] ?? []).slice(0, was.length), was);
  });
}

/** What the old spec becomes when all changes that are allowed are made. */
function withAllowedChanges(before: PodSpec, spec: PodSpec): PodSpec {
  const images = (list: readonly Container[] | undefined, from: readonly Container[] | undefined) =>
    list?.map((container, index) => ({ ...container, image: from?.[index]?.image }));
  const negative = (before.terminationGracePeriodSeconds ?? 0) < 0;
  const gated = (before.schedulingGates ?? []).length > 0;
  return {
    ...before,
    containers: images(before.containers, spec.containers) ?? [],
    initContainers: images(before.initContainers, spec.initContainers),
    activeDeadlineSeconds: spec.activeDeadlineSeconds,
    tolerations: spec.tolerations,
    schedulingGates: spec.schedulingGates,
    // Of these, a pod that waits at a gate has been told already.
    nodeSelector: gated ? spec.nodeSelector : before.nodeSelector,
    affinity: gated ? withNodeAffinity(before.affinity, spec.affinity) : before.affinity,
    terminationGracePeriodSeconds:
      negative && spec.terminationGracePeriodSeconds === 1
        ? 1
        : before.terminationGracePeriodSeconds,
  };
}

function withNodeAffinity(
  before: Affinity | undefined,
  wanted: Affinity | undefined,
): Affinity | undefined {
  const { nodeAffinity: _, ...others } = before ?? {};
  const { nodeAffinity } = wanted ?? {};
  if (wanted === undefined && Object.keys(others).length === 0) return undefined;
  return nodeAffinity === undefined ? others : { ...others, nodeAffinity };
}

/** `spec.nodeName: "a" -> "b"` for each place in which two values differ. */
function differences(before: unknown, after: unknown, path: string): readonly string[] {
  if (jsonEqual(before, after)) return [];
  if (isObject(before) && isObject(after)) {
    const keys = [...new Set([...Object.keys(before), ...Object.keys(after)])].sort();
    return keys.flatMap((key) => {
      const at = Array.isArray(after) ? `${path}[${key}]` : `${path}.${key}`;
      return differences(before[key], after[key], at);
    });
  }
  const show = (value: unknown): string => JSON.stringify(value) ?? 'null';
  return [`${path}: ${show(before)} -> ${show(after)}`];
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null;
}

const systemConditions = ['PodScheduled', 'Ready', 'Initialized'];

export function validatePodStatusUpdate(next: Pod, old: Pod): FieldError[] {
  const errors: FieldError[] = [];
  const { conditions = [], nominatedNodeName = '', observedGeneration = 0 } = next.status ?? {};
  for (const [index, { type }] of conditions.entries()) {
    if (systemConditions.includes(type)) continue;
    for (const problem of qualifiedNameProblems(type)) {
      errors.push(invalid(`status.conditions[${index}].Type`, type, problem));
    }
  }
  if (nominatedNodeName !== '' && nominatedNodeName !== (old.status?.nominatedNodeName ?? '')) {
    for (const problem of subdomainProblems(nominatedNodeName)) {
      errors.push(invalid('status.nominatedNodeName', nominatedNodeName, problem));
    }
    if (old.spec?.nodeName) {
      const detail = 'may not be set on pods that are already bound to a node';
      errors.push(forbidden('status.nominatedNodeName', detail));
    }
  }
  if (observedGeneration < 0) {
    const detail = 'must be a non-negative integer';
    errors.push(invalid('status.observedGeneration', observedGeneration, detail));
  }
  const known = new Set(old.status?.podIPs?.map(({ ip }) => ip));
  for (const [index, { ip }] of (next.status?.podIPs ?? []).entries()) {
    if (!known.has(ip)) errors.push(...validateIP(ip, `status.podIPs[${index}]`));
  }
  for (const name of ['podIPs', 'hostIPs'] as const) {
    const addresses = next.status?.[name] ?? [];
    const families = new Set(addresses.map(({ ip }) => isIP(ip ?? '')));
    if (addresses.length === families.size) continue;
    const detail = 'may specify no more than one IP for each IP family';
    errors.push(invalid(`status.${name}`, addresses, detail));
  }
  const knownHosts = new Set(old.status?.hostIPs?.map(({ ip }) => ip));
  for (const [index, { ip }] of (next.status?.hostIPs ?? []).entries()) {
    if (!knownHosts.has(ip)) errors.push(...validateIP(ip, `status.hostIPs[${index}]`));
    const { hostIP = '' } = next.status ?? {};
    if (index > 0 || ip === hostIP) continue;
    errors.push(invalid('status.hostIPs[0].ip', ip ?? '', 'must be equal to `hostIP`'));
  }
  const was = old.status?.qosClass;
  if (was && next.status?.qosClass !== was) {
    errors.push(invalid('status.qosClass', next.status?.qosClass, 'field is immutable'));
  }
  if (next.spec?.restartPolicy !== 'Always') errors.push(...validateTransitions(next, old));
  return errors;
}

/** A container that has ended for good does not come back to life. */
function validateTransitions(next: Pod, old: Pod): FieldError[] {
  const errors: FieldError[] = [];
  // All of them do where one may start all again.
  const all = [...(next.spec?.initContainers ?? []), ...(next.spec?.containers ?? [])];
  const rules = all.flatMap(({ restartPolicyRules }) => restartPolicyRules ?? []);
  if (rules.some(({ action }) => action === 'RestartAllContainers')) return errors;
  for (const [index, { name, state }] of (next.status?.containerStatuses ?? []).entries()) {
    const was = old.status?.containerStatuses?.find((status) => status.name === name)?.state;
    if (was?.terminated === undefined || state?.terminated !== undefined) continue;
    if (next.spec?.restartPolicy === 'OnFailure' && was.terminated.exitCode !== 0) continue;
    const container = next.spec?.containers.find((one) => one.name === name);
    if (container?.restartPolicy !== undefined) continue;
    errors.push(
      forbidden(
        `status.containerStatuses[${index}].state`,
        'may not be transitioned to non-terminated state',
      ),
    );
  }
  return errors;
}
