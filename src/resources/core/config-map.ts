/**
 * ConfigMap: text and bytes under keys, at most 1 MiB, optionally fixed for ever (`immutable`).
 */
import { type FieldError, forbidden, invalid, tooLong } from '#api/field-error.ts';
import { byteLength, configMapKeyProblems } from '#api/names.ts';
import { defineResource, type Resource } from '#api/resource.ts';
import { jsonEqual } from '#kit/json-equal.ts';
import { ageColumn, nameColumn } from '../columns.ts';
import type { ConfigMap } from '../types/core-v1.ts';
import { hubView } from '../view.ts';

const configMapBytesMax = 1024 * 1024;

export function configMapResource(): Resource {
  return defineResource<ConfigMap>({
    kind: 'ConfigMap',
    plural: 'configmaps',
    singular: 'configmap',
    shortNames: ['cm'],
    categories: [],
    namespaced: true,
    storagePrefix: 'configmaps',
    views: [hubView({ group: '', version: 'v1', definition: 'io.k8s.api.core.v1.ConfigMap' })],
    hasStatus: false,
    specChanged: () => false,
    validate: validateConfigMap,
    validateUpdate: validateConfigMapUpdate,
    columns: [
      nameColumn(),
      {
        name: 'Data',
        type: 'string',
        description: 'Number of keys.',
        priority: 0,
        cell: ({ data, binaryData }) =>
          Object.keys(data ?? {}).length + Object.keys(binaryData ?? {}).length,
      },
      ageColumn(),
    ],
  });
}

function validateConfigMap({ data = {}, binaryData = {} }: ConfigMap): FieldError[] {
  const errors: FieldError[] = [];
  let bytes = 0;
  for (const [key, value] of Object.entries(data)) {
    for (const problem of configMapKeyProblems(key)) {
      errors.push(invalid(`data[${key}]`, key, problem));
    }
    if (Object.hasOwn(binaryData, key)) {
      errors.push(invalid(`data[${key}]`, key, 'duplicate of key present in binaryData'));
    }
    bytes += byteLength(value);
  }
  for (const [key, value] of Object.entries(binaryData)) {
    for (const problem of configMapKeyProblems(key)) {
      errors.push(invalid(`binaryData[${key}]`, key, problem));
    }
    bytes += Buffer.byteLength(value, 'base64');
  }
  if (bytes > configMapBytesMax) errors.push(tooLong('', configMapBytesMax));
  return errors;
}

function validateConfigMapUpdate(next: ConfigMap, old: ConfigMap): FieldError[] {
  if (old.immutable !== true) return [];
  const errors: FieldError[] = [];
  if (next.immutable !== true) {
    errors.push(forbidden('immutable', 'field is immutable when `immutable` is set'));
  }
  for (const field of ['data', 'binaryData'] as const) {
    if (jsonEqual(next[field] ?? {}, old[field] ?? {})) continue;
    errors.push(forbidden(field, 'field is immutable when `immutable` is set'));
  }
  return errors;
}
