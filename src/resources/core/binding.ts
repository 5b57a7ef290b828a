/**
 * Binding: the word that a pod runs on a node. It is only ever created, and changes the pod that it
 * names; the sub-resource `pods/binding` is the usual way to say the same.
 */
import { defineResource, type Resource } from '#api/resource.ts';
import { ageColumn, nameColumn } from '../columns.ts';
import type { Binding } from '../types/core-v1.ts';
import { hubView } from '../view.ts';

export function bindingResource(): Resource {
  return defineResource<Binding>({
    kind: 'Binding',
    plural: 'bindings',
    singular: 'binding',
    shortNames: [],
    categories: [],
    namespaced: true,
    storagePrefix: 'bindings',
    verbs: ['create'],
    views: [
      hubView<Binding>({ group: '', version: 'v1', definition: 'io.k8s.api.core.v1.Binding' }),
    ],
    hasStatus: false,
    specChanged: () => false,
    validate: () => [],
    columns: [nameColumn(), ageColumn()],
  });
}
