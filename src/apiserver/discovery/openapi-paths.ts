/**
 * Paths with their operations in the words of both editions of OpenAPI, from the facts of
 * `openapi-operations.ts`.
 *
 * Where an edition keeps bodies, answers and parameters differs; what is said is the same.
 * Parameters stand where they are used, since kubectl looks for them there.
 */
import { type Operation, parameterTypes, patchBody, patchTypes } from './openapi-operations.ts';

export type PathDocument = Readonly<Record<string, object>>;

const answerTypes = [
  'application/json',
  'application/yaml',
  'application/vnd.kubernetes.protobuf',
] as const;

/** Operations by path, in the order in which the paths first come. */
export function byPath(
  operations: readonly Operation[],
): ReadonlyMap<string, readonly [Operation, ...Operation[]]> {
  const paths = new Map<string, [Operation, ...Operation[]]>();
  for (const operation of operations) {
    const found = paths.get(operation.path);
    if (found === undefined) paths.set(operation.path, [operation]);
    else found.push(operation);
  }
  return paths;
}

export function pathV2(operations: readonly [Operation, ...Operation[]]): PathDocument {
  const [{ path }] = operations;
  return {
    ...Object.fromEntries(
      operations.map((operation) => [operation.method, operationV2(operation)]),
    ),
    ...inPath(path, (name) => ({
      ...{ uniqueItems: true, type: 'string', name, in: 'path', required: true },
    })),
  };
}

function operationV2({ method, action, id, tag, mark, body, answer, query }: Operation): object {
  const inBody =
    body === undefined
      ? []
      : [{ name: 'body', in: 'body', required: method !== 'delete', schema: refV2(body) }];
  const inQuery = query.map((name) => ({
    ...{ uniqueItems: true, type: parameterTypes[name] ?? 'string', name, in: 'query' },
  }));
  const content = answer === undefined ? {} : { schema: refV2(answer) };
  return {
    consumes: method === 'patch' && body === patchBody ? patchTypes : ['*/*'],
    produces: answer === undefined ? ['*/*'] : answerTypes,
    schemes: ['https'],
    tags: [tag],
    operationId: id,
    ...(inBody.length + inQuery.length === 0 ? {} : { parameters: [...inBody, ...inQuery] }),
    responses: {
      ...Object.fromEntries(
        codesOf(method).map(([code, description]) => [code, { description, ...content }]),
      ),
      401: { description: 'Unauthorized' },
    },
    'x-kubernetes-action': action,
    'x-kubernetes-group-version-kind': mark,
  };
}

export function pathV3(operations: readonly [Operation, ...Operation[]]): PathDocument {
  const [{ path }] = operations;
  return {
    ...Object.fromEntries(
      operations.map((operation) => [operation.method, operationV3(operation)]),
    ),
    ...inPath(path, (name) => ({
      ...{ name, in: 'path', required: true, schema: { type: 'string', uniqueItems: true } },
    })),
  };
}

function operationV3({ method, action, id, tag, mark, body, answer, query }: Operation): object {
  const isPatch = method === 'patch' && body === patchBody;
  const parameters = query.map((name) => ({
    ...{ name, in: 'query' },
    schema: { type: parameterTypes[name] ?? 'string', uniqueItems: true },
  }));
  const content = answer === undefined ? {} : { content: contentV3(answer, answerTypes) };
  const asked =
    body === undefined
      ? {}
      : { requestBody: { content: contentV3(body, isPatch ? patchTypes : ['*/*']) } };
  return {
    tags: [tag],
    operationId: id,
    ...(parameters.length === 0 ? {} : { parameters }),
    ...asked,
    responses: {
      ...Object.fromEntries(
        codesOf(method).map(([code, description]) => [code, { description, ...content }]),
      ),
      401: { description: 'Unauthorized' },
    },
    'x-kubernetes-action': action,
    'x-kubernetes-group-version-kind': mark,
  };
}

const ok = ['200', 'OK'] as const;
const created = ['201', 'Created'] as const;
const accepted = ['202', 'Accepted'] as const;

function codesOf(method: Operation['method']): readonly (readonly [string, string])[] {
  if (method === 'get') return [ok];
  if (method === 'delete') return [ok, accepted];
  return method === 'post' ? [ok, created, accepted] : [ok, created];
}

function inPath(path: string, parameter: (name: string) => object): { parameters?: object[] } {
  const names = [...path.matchAll(/\{(\w+)\}/g)].map(([, name = '']) => name);
  return names.length === 0 ? {} : { parameters: names.map(parameter) };
}

function refV2(definition: string): object {
  return { $ref: `#/definitions/${definition}` };
}

function contentV3(definition: string, types: readonly string[]): object {
  const schema = { $ref: `#/components/schemas/${definition}` };
  return Object.fromEntries(types.map((type) => [type, { schema }]));
}
