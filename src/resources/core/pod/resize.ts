/**
 * `pods/NAME/resize`: other CPU and memory for containers of a pod that runs, or for the pod as a
 * whole. Only the resources of containers, what is to be restarted for them, and the resources of
 * the pod change on this way; the node applies them without a new pod.
 *
 * Texts are upstream's. Behaviour: kubernetes.io, "Resize CPU and Memory Resources assigned to
 * Containers".
 */
import { type FieldError, forbidden, invalid } from '#api/field-error.ts';
import { compareQuantities } from '#api/quantity.ts';
import type { PartialUpdate } from '#api/resource.ts';
import { jsonEqual } from '#kit/json-equal.ts';
import type { Container, Pod, PodSpec, ResourceRequirements } from '#resources/types/core-v1.ts';
import { isMirror } from './mirror.ts';
import { qosClassOf } from './qos-class.ts';

type Amounts = Readonly<Record<string, string>>;

const lists = ['containers', 'initContainers'] as const;
const kinds = ['requests', 'limits'] as const;
const onlyThese = 'only cpu and memory resources are mutable';

export const resizeUpdate: PartialUpdate<Pod> = {
  prepare: (next, old) => {
    if (old.spec === undefined || next.spec === undefined) return old;
    const spec: PodSpec = {
      ...old.spec,
      containers: withResources(old.spec.containers, next.spec.containers) ?? [],
      initContainers: withResources(old.spec.initContainers, next.spec.initContainers),
      resources: next.spec.resources,
    };
    return { ...old, spec };
  },
  validate: ({ spec }, old) => {
    if (spec === undefined || old.spec === undefined) return [];
    if (isMirror(old)) return [forbidden('', 'static pods cannot be resized')];
    if (old.spec.os?.name === 'windows') return [forbidden('', 'windows pods cannot be resized')];
    const errors = [...classErrors(spec, old), ...wholeErrors(spec.resources, old.spec.resources)];
    const order = orderErrors(spec, old.spec);
    if (order.length > 0) return [...errors, ...order];
    return [...errors, ...removalErrors(spec, old.spec), ...containerErrors(spec, old.spec)];
  },
};

/** Others than those that were there are left for validation to find. */
function withResources(
  old: readonly Container[] | undefined,
  next: readonly Container[] | undefined,
): readonly Container[] | undefined {
  const hasAll = old?.length === next?.length;
  if (!hasAll || !old?.every(({ name }, index) => next?.[index]?.name === name)) return next;
  return old.map((container, index) => {
    const { resources, resizePolicy } = next?.[index] ?? {};
    return { ...container, resources, resizePolicy };
  });
}

function classErrors(spec: PodSpec, { spec: before, status }: Pod): FieldError[] {
  const errors: FieldError[] = [];
  const was = status?.qosClass || (before === undefined ? '' : qosClassOf(before));
  if (qosClassOf(spec) !== was) {
    const detail = 'Pod QOS Class may not change as a result of resizing';
    errors.push(invalid('spec', status?.qosClass ?? '', detail));
  }
  // A kubelet that can do it tells what its containers have.
  const running = status?.containerStatuses?.find(({ state }) => state?.running !== undefined);
  if (running !== undefined && running.resources === undefined) {
    errors.push(forbidden('spec', 'Pod running on node without support for resize'));
  }
  return errors;
}

function wholeErrors(
  next: ResourceRequirements | undefined,
  old: ResourceRequirements | undefined,
): FieldError[] {
  if (old !== undefined && next === undefined) {
    return [forbidden('spec.resources', 'pod-level resources cannot be removed')];
  }
  const errors: FieldError[] = kinds
    .filter((kind) => isRemoved(next?.[kind], old?.[kind]))
    .map((kind) =>
      forbidden(`spec.resources.${kind}`, `pod-level resource ${kind} cannot be removed`),
    );
  if (next !== undefined && !isSameBesides(next, old ?? {})) {
    errors.push(forbidden('spec', `${onlyThese} at pod-level`));
  }
  return errors;
}

function orderErrors(spec: PodSpec, before: PodSpec): FieldError[] {
  return lists.flatMap((list) => {
    const now = spec[list] ?? [];
    const old = before[list] ?? [];
    if (now.length !== old.length) {
      return [forbidden(`spec.${list}`, `${list} may not be added or removed on resize`)];
    }
    return old.flatMap(({ name }, index) =>
      name === now[index]?.name
        ? []
        : [
            forbidden(
              `spec.${list}[${index}].name`,
              `${list} may not be renamed or reordered on resize`,
            ),
          ],
    );
  });
}

function removalErrors(spec: PodSpec, before: PodSpec): FieldError[] {
  return (['initContainers', 'containers'] as const).flatMap((list) =>
    (before[list] ?? []).flatMap(({ resources: old }, index) =>
      kinds
        .filter((kind) => isRemoved(spec[list]?.[index]?.resources?.[kind], old?.[kind]))
        .map((kind) =>
          forbidden(
            `spec.${list}[${index}].resources.${kind}`,
            `resource ${kind} cannot be removed`,
          ),
        ),
    ),
  );
}

function containerErrors(spec: PodSpec, before: PodSpec): FieldError[] {
  const errors: FieldError[] = [];
  for (const [index, container] of spec.containers.entries()) {
    if (!isSameContainer(container, before.containers[index])) {
      errors.push(forbidden('spec', onlyThese));
    }
  }
  for (const [index, container] of (spec.initContainers ?? []).entries()) {
    const old = before.initContainers?.[index];
    const field = `spec.initContainers[${index}]`;
    if (!isSameContainer(container, old)) {
      const detail = 'only cpu and memory resources for init or sidecar containers are mutable';
      errors.push(forbidden(field, detail));
    }
    if (container.restartPolicy === 'Always' || jsonEqual(container, old)) continue;
    for (const { restartPolicy } of container.resizePolicy ?? []) {
      if (restartPolicy !== 'RestartContainer') continue;
      const detail =
        'non-sidecar init containers with a resize policy of RestartContainer cannot be resized';
      errors.push(forbidden(field, detail));
    }
  }
  return errors;
}

/** But for CPU and memory. */
function isSameContainer(next: Container, old: Container | undefined): boolean {
  return (
    jsonEqual(next.resizePolicy ?? [], old?.resizePolicy ?? []) &&
    isSameBesides(next.resources ?? {}, old?.resources ?? {})
  );
}

function isSameBesides(next: ResourceRequirements, old: ResourceRequirements): boolean {
  return (
    jsonEqual(next.claims ?? [], old.claims ?? []) &&
    kinds.every((kind) => {
      const names = new Set([...Object.keys(next[kind] ?? {}), ...Object.keys(old[kind] ?? {})]);
      return [...names].every(
        (name) => name === 'cpu' || name === 'memory' || isSame(next[kind], old[kind], name),
      );
    })
  );
}

function isSame(next: Amounts = {}, old: Amounts = {}, name: string): boolean {
  const [a, b] = [next[name], old[name]];
  return a !== undefined && b !== undefined && compareQuantities(a, b) === 0;
}

function isRemoved(next: Amounts = {}, old: Amounts = {}): boolean {
  return Object.keys(old).some((name) => next[name] === undefined);
}
