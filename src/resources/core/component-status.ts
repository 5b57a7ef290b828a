/**
 * ComponentStatus: whether a part of the control plane is well, as the API server finds it when
 * somebody asks. Never stored; deprecated upstream since v1.19, and still what `kubectl get cs`
 * shows.
 */
import { defineResource, type Resource } from '#api/resource.ts';
import { nameColumn } from '../columns.ts';
import { textColumn } from '../text-column.ts';
import type { ComponentStatus } from '../types/core-v1.ts';
import { hubView } from '../view.ts';

const words: Readonly<Record<string, string>> = { True: 'Healthy', False: 'Unhealthy' };

export function componentStatusResource(): Resource {
  return defineResource<ComponentStatus>({
    kind: 'ComponentStatus',
    plural: 'componentstatuses',
    singular: 'componentstatus',
    shortNames: ['cs'],
    categories: [],
    namespaced: false,
    storagePrefix: 'componentstatuses',
    verbs: ['get', 'list'],
    views: [
      hubView<ComponentStatus>({
        group: '',
        version: 'v1',
        definition: 'io.k8s.api.core.v1.ComponentStatus',
      }),
    ],
    hasStatus: false,
    specChanged: () => false,
    validate: () => [],
    columns: [
      nameColumn(),
      textColumn({
        name: 'Status',
        description: 'Whether it is well.',
        cell: (status) => words[healthOf(status)?.status ?? ''] ?? 'Unknown',
      }),
      textColumn({
        name: 'Message',
        description: 'What it says of itself.',
        cell: (status) => healthOf(status)?.message ?? '',
      }),
      textColumn({
        name: 'Error',
        description: 'Why it could not be asked.',
        cell: (status) => healthOf(status)?.error ?? '',
      }),
    ],
  });
}

function healthOf({ conditions = [] }: ComponentStatus) {
  return conditions.find(({ type }) => type === 'Healthy');
}
