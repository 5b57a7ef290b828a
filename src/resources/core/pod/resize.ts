/**
 * `pods/NAME/resize`: other CPU and memory for containers of a pod that runs. Only the resources of
 * containers change on this way; the node applies them without a new pod.
 *
 * Texts are upstream's. Behaviour: kubernetes.io, "Resize CPU and Memory Resources assigned to
 * Containers".
 */
import { type FieldError, forbidden } from '#api/field-error.ts';
import type { PartialUpdate } from '#api/resource.ts';
import { jsonEqual } from '#kit/json-equal.ts';
import type { Container, Pod, PodSpec, ResourceRequirements } from '#resources/types/core-v1.ts';
import { qosClassOf } from './qos-class.ts';

const mirrorAnnotation = 'kubernetes.io/config.mirror';
const lists = ['containers', 'initContainers'] as const;

export const resizeUpdate: PartialUpdate<Pod> = {
  prepare: (next, old) => {
    if (old.spec === undefined || next.spec === undefined) return old;
    const spec: PodSpec = {
      ...old.spec,
      containers: withResources(old.spec.containers, next.spec.containers) ?? [],
      initContainers: withResources(old.spec.initContainers, next.spec.initContainers),
    };
    return { ...old, spec };
  },
  validate: (next, old) => {
    const { spec } = next;
    const before = old.spec;
    if (spec === undefined || before === undefined) return [];
    const errors: FieldError[] = [];
    if (old.metadata.annotations?.[mirrorAnnotation] !== undefined) {
      errors.push(forbidden('', 'static pods cannot be resized'));
    }
    if (qosClassOf(spec) !== (old.status?.qosClass || qosClassOf(before))) {
      errors.push(forbidden('spec', 'Pod QOS Class may not change as a result of resizing'));
    }
    for (const list of lists) {
      for (const [index, container] of (spec[list] ?? []).entries()) {
        const was = before[list]?.[index];
        if (was === undefined || jsonEqual(was.resources, container.resources)) continue;
        const field = `spec.${list}[${index}].resources`;
        if (list === 'initContainers' && container.restartPolicy !== 'Always') {
          errors.push(forbidden(field, 'only restartable init containers can be resized'));
        }
        errors.push(...validateChange(container.resources, was.resources, field));
      }
    }
    return errors;
  },
};

function withResources(
  old: readonly Container[] | undefined,
  next: readonly Container[] | undefined,
): readonly Container[] | undefined {
  return old?.map((container) => {
    const wanted = next?.find(({ name }) => name === container.name);
    return wanted === undefined ? container : { ...container, resources: wanted.resources };
  });
}

function validateChange(
  next: ResourceRequirements = {},
  old: ResourceRequirements = {},
  field: string,
): FieldError[] {
  const errors: FieldError[] = [];
  for (const list of ['requests', 'limits'] as const) {
    const names = new Set([...Object.keys(next[list] ?? {}), ...Object.keys(old[list] ?? {})]);
    for (const name of names) {
      const value = next[list]?.[name];
      const was = old[list]?.[name];
      if (value === was) continue;
      if (name !== 'cpu' && name !== 'memory') {
        errors.push(forbidden(`${field}.${list}`, 'only cpu and memory resources are mutable'));
      } else if (value === undefined) {
        errors.push(forbidden(`${field}.${list}`, `resource ${list} cannot be removed`));
      }
    }
  }
  if (!jsonEqual(next.claims, old.claims)) {
    errors.push(forbidden(`${field}.claims`, 'only cpu and memory resources are mutable'));
  }
  return errors;
}
