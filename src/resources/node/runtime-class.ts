/**
 * RuntimeClass: a way to run pods, by the name that the container runtime knows it under, with what
 * it costs on top and where it is to be had. The name for the runtime never changes.
 */
import { duplicate, type FieldError, invalid, required } from '#api/field-error.ts';
import { labelProblems, qualifiedNameProblems } from '#api/names.ts';
import type { KubeObject } from '#api/object.ts';
import { validateLabels } from '#api/object-meta.ts';
import { parseQuantity } from '#api/quantity.ts';
import { defineResource, type Resource, type ResourceView } from '#api/resource.ts';
import { jsonEqual } from '#kit/json-equal.ts';
import { ageColumn, nameColumn } from '../columns.ts';
import { validateTolerations } from '../core/pod/scheduling-validation.ts';
import { sameShapeView } from '../legacy-view.ts';
import { oldLabelMessage } from '../node-label-warnings.ts';
import { textColumn } from '../text-column.ts';
import type { RuntimeClass } from '../types/node-v1.ts';
import { hubView } from '../view.ts';

export function runtimeClassResource(): Resource {
  const view = hubView<RuntimeClass>({
    group: 'node.k8s.io',
    version: 'v1',
    definition: 'io.k8s.api.node.v1.RuntimeClass',
  });
  return defineResource<RuntimeClass>({
    kind: 'RuntimeClass',
    plural: 'runtimeclasses',
    singular: 'runtimeclass',
    shortNames: [],
    categories: [],
    namespaced: false,
    storagePrefix: 'runtimeclasses',
    allowCreateOnUpdate: true,
    allowUnconditionalUpdate: false,
    views: [view, sameShapeView(view, { version: 'v1beta1' }), alphaView()],
    hasStatus: false,
    specChanged: () => false,
    validate: validateRuntimeClass,
    validateUpdate: (next, old) =>
      next.handler === old.handler ? [] : [invalid('handler', next.handler, 'field is immutable')],
    warnings: ({ scheduling }) =>
      Object.keys(scheduling?.nodeSelector ?? {}).flatMap((key) => {
        const message = oldLabelMessage(key);
        return message === undefined ? [] : [`scheduling.nodeSelector: ${message}`];
      }),
    columns: [
      nameColumn(),
      textColumn({
        name: 'Handler',
        description: 'What the runtime knows it as.',
        cell: ({ handler }) => handler,
      }),
      ageColumn(),
    ],
  });
}

interface AlphaRuntimeClass extends KubeObject {
  readonly spec?: Omit<RuntimeClass, keyof KubeObject | 'handler'> & {
    readonly runtimeHandler?: string;
  };
}

/** At first everything stood in a spec. */
function alphaView(): ResourceView<RuntimeClass> {
  const definition = 'io.k8s.api.node.v1alpha1.RuntimeClass';
  return {
    group: 'node.k8s.io',
    version: 'v1alpha1',
    definition,
    schema: { ref: definition },
    legacy: true,
    setDefaults: (object) => object,
    toHub: (object) => {
      // The view's schema has checked the shape.
      const { spec: { runtimeHandler = '', ...rest } = {}, ...alpha } = object as AlphaRuntimeClass;
      return { ...alpha, apiVersion: 'node.k8s.io/v1', handler: runtimeHandler, ...rest };
    },
    fromHub: ({ handler, overhead, scheduling, ...hub }) => {
      const spec = {
        runtimeHandler: handler,
        ...(overhead === undefined ? {} : { overhead }),
        ...(scheduling === undefined ? {} : { scheduling }),
      };
      const alpha: AlphaRuntimeClass = { ...hub, apiVersion: 'node.k8s.io/v1alpha1', spec };
      return alpha;
    },
  };
}

function validateRuntimeClass({ handler, overhead, scheduling }: RuntimeClass): FieldError[] {
  const errors =
    handler === ''
      ? [required('handler')]
      : labelProblems(handler).map((problem) => invalid('handler', handler, problem));
  for (const [name, amount] of Object.entries(overhead?.podFixed ?? {})) {
    const at = `overhead.limits[${name}]`;
    for (const problem of qualifiedNameProblems(name)) errors.push(invalid(at, name, problem));
    if ((parseQuantity(amount)?.nano ?? 0n) >= 0n) continue;
    errors.push(invalid(at, amount, 'must be greater than or equal to 0'));
  }
  const { nodeSelector, tolerations = [] } = scheduling ?? {};
  errors.push(...validateLabels(nodeSelector, 'scheduling.nodeSelector'));
  errors.push(...validateTolerations(tolerations, 'scheduling.tolerations'));
  for (const [index, toleration] of tolerations.entries()) {
    const first = tolerations.findIndex((one) => jsonEqual(one, toleration));
    if (first < index) errors.push(duplicate(`scheduling.tolerations[${index}]`, toleration));
  }
  return errors;
}
