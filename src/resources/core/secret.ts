/**
 * Secret: bytes under keys, at most 1 MiB, with a type that says which keys must be there.
 * `stringData` is a convenience for writers: it is folded into `data` and never stored.
 */

import { type FieldError, forbidden, invalid, required, tooLong } from '#api/field-error.ts';
import { jsonProblem } from '#api/json-syntax.ts';
import { configMapKeyProblems } from '#api/names.ts';
import { defineResource, type Resource } from '#api/resource.ts';
import { jsonEqual } from '#kit/json-equal.ts';
import { ageColumn, nameColumn } from '../columns.ts';
import { without } from '../fill-in.ts';
import type { Secret } from '../types/core-v1.ts';
import { hubView } from '../view.ts';

const secretBytesMax = 1024 * 1024;

export function secretResource(): Resource {
  return defineResource<Secret>({
    kind: 'Secret',
    plural: 'secrets',
    singular: 'secret',
    shortNames: [],
    categories: [],
    namespaced: true,
    storagePrefix: 'secrets',
    views: [
      hubView<Secret>({
        group: '',
        version: 'v1',
        definition: 'io.k8s.api.core.v1.Secret',
        setDefaults: setSecretDefaults,
      }),
    ],
    hasStatus: false,
    specChanged: () => false,
    // A type left out of an update is the stored one.
    prepareForUpdate: (next, old) => (next.type ? next : { ...next, type: old.type }),
    validate: validateSecret,
    validateUpdate: validateSecretUpdate,
    columns: [
      nameColumn(),
      {
        name: 'Type',
        type: 'string',
        description: 'What the secret is for.',
        priority: 0,
        cell: ({ type }) => type ?? '',
      },
      {
        name: 'Data',
        type: 'string',
        description: 'Number of keys.',
        priority: 0,
        cell: ({ data }) => Object.keys(data ?? {}).length,
      },
      ageColumn(),
    ],
    selectableFields: { type: ({ type }) => type ?? '' },
  });
}

function setSecretDefaults(secret: Secret): Secret {
  let next = secret.type ? secret : { ...secret, type: 'Opaque' };
  if (next.stringData !== undefined) {
    const encoded = Object.entries(next.stringData).map(([key, value]): [string, string] => [
      key,
      Buffer.from(value).toString('base64'),
    ]);
    next = {
      ...without(next, 'stringData'),
      data: { ...next.data, ...Object.fromEntries(encoded) },
    };
  }
  return next;
}

function validateSecret({ type, data = {}, metadata }: Secret): FieldError[] {
  const errors: FieldError[] = [];
  let bytes = 0;
  for (const [key, value] of Object.entries(data)) {
    for (const problem of configMapKeyProblems(key)) {
      errors.push(invalid(`data[${key}]`, key, problem));
    }
    bytes += Buffer.byteLength(value, 'base64');
  }
  if (bytes > secretBytesMax) errors.push(tooLong('data', secretBytesMax));
  const missing = (key: string): FieldError[] =>
    Object.hasOwn(data, key) ? [] : [required(`data[${key}]`)];
  switch (type) {
    case 'kubernetes.io/service-account-token': {
      const name = 'kubernetes.io/service-account.name';
      if (!metadata.annotations?.[name]) errors.push(required(`metadata.annotations[${name}]`));
      break;
    }
    case 'kubernetes.io/dockercfg':
      errors.push(...missing('.dockercfg'), ...validateJson(data, '.dockercfg'));
      break;
    case 'kubernetes.io/dockerconfigjson':
      errors.push(...missing('.dockerconfigjson'), ...validateJson(data, '.dockerconfigjson'));
      break;
    case 'kubernetes.io/basic-auth':
      if (!Object.hasOwn(data, 'username') && !Object.hasOwn(data, 'password')) {
        errors.push(...missing('username'), ...missing('password'));
      }
      break;
    case 'kubernetes.io/ssh-auth':
      errors.push(...missing('ssh-privatekey'));
      break;
    case 'kubernetes.io/tls':
      errors.push(...missing('tls.crt'), ...missing('tls.key'));
      break;
  }
  return errors;
}

function validateJson(data: Readonly<Record<string, string>>, key: string): FieldError[] {
  const value = Object.hasOwn(data, key) ? data[key] : undefined;
  if (value === undefined) return [];
  const text = Buffer.from(value, 'base64').toString();
  try {
    JSON.parse(text);
    return [];
  } catch {
    return [invalid(`data[${key}]`, '<secret contents redacted>', jsonProblem(text))];
  }
}

function validateSecretUpdate(next: Secret, old: Secret): FieldError[] {
  const errors: FieldError[] = [];
  if (next.type !== old.type) errors.push(invalid('type', next.type, 'field is immutable'));
  if (old.immutable !== true) return errors;
  if (next.immutable !== true) {
    errors.push(forbidden('immutable', 'field is immutable when `immutable` is set'));
  }
  if (!jsonEqual(next.data ?? {}, old.data ?? {})) {
    errors.push(forbidden('data', 'field is immutable when `immutable` is set'));
  }
  return errors;
}
