/**
 * ServiceAccount: an identity for pods. Tokens are issued on request (sub-resource `token`, served
 * by the API server); the object itself only names pull secrets and mount habits.
 */
import { defineResource, type Resource } from '#api/resource.ts';
import { ageColumn, nameColumn } from '../columns.ts';
import type { ServiceAccount } from '../types/core-v1.ts';
import { hubView } from '../view.ts';

export function serviceAccountResource(): Resource {
  return defineResource<ServiceAccount>({
    kind: 'ServiceAccount',
    plural: 'serviceaccounts',
    singular: 'serviceaccount',
    shortNames: ['sa'],
    categories: [],
    namespaced: true,
    storagePrefix: 'serviceaccounts',
    views: [hubView({ group: '', version: 'v1', definition: 'io.k8s.api.core.v1.ServiceAccount' })],
    hasStatus: false,
    specChanged: () => false,
    validate: () => [],
    columns: [nameColumn(), ageColumn()],
  });
}
