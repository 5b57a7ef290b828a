/**
 * What can be done at which path: every operation of a group version, as facts from which both
 * editions of OpenAPI are written.
 *
 * Each names the kind that it is about, which is how kubectl finds a kind's path, and the query
 * parameters that it takes, which is how kubectl knows that the server can rehearse a write.
 */
import { formatGroupVersion } from '#api/object.ts';
import type { Resource, ResourceView } from '#api/resource.ts';
import type { ReviewFacts } from '../subresources/reviews.ts';
import { type SubresourceFacts, subresourcesOf } from '../subresources/subresources.ts';
import type { KindMark } from './openapi-schemas.ts';

export interface Operation {
  readonly path: string;
  readonly method: 'get' | 'put' | 'post' | 'patch' | 'delete';
  readonly action: string;
  readonly id: string;
  readonly tag: string;
  readonly mark: KindMark;
  /** Definition of the body; `patchBody` for patches. */
  readonly body?: string;
  /** Definition of the answer; absent where it is not an object. */
  readonly answer?: string;
  readonly query: readonly string[];
}

const metaPackage = 'io.k8s.apimachinery.pkg.apis.meta.v1';
export const patchBody = `${metaPackage}.Patch`;
export const patchTypes = [
  'application/json-patch+json',
  'application/merge-patch+json',
  'application/strategic-merge-patch+json',
  'application/apply-patch+yaml',
] as const;

const selectionQuery = [
  'allowWatchBookmarks',
  'continue',
  'fieldSelector',
  'labelSelector',
  'limit',
  'resourceVersion',
  'resourceVersionMatch',
  'sendInitialEvents',
  'timeoutSeconds',
  'watch',
] as const;
const writeQuery = ['dryRun', 'fieldManager', 'fieldValidation'] as const;
const deleteQuery = [
  'dryRun',
  'gracePeriodSeconds',
  'orphanDependents',
  'propagationPolicy',
] as const;

/** All parameters that are not text. */
export const parameterTypes: Readonly<Record<string, 'boolean' | 'integer'>> = {
  allowWatchBookmarks: 'boolean',
  force: 'boolean',
  gracePeriodSeconds: 'integer',
  limit: 'integer',
  orphanDependents: 'boolean',
  sendInitialEvents: 'boolean',
  timeoutSeconds: 'integer',
  watch: 'boolean',
};

/** `io.k8s.api.core.v1.PodList` for `io.k8s.api.core.v1.Pod`. */
export function listDefinition(view: ResourceView): string {
  return `${view.definition}List`;
}

/** `authentication.k8s.io/v1 TokenRequest` → `io.k8s.api.authentication.v1.TokenRequest`. */
export function definitionOf({ group, version, kind }: KindMark): string {
  const [first = ''] = group.split('.');
  return `io.k8s.api.${first === '' ? 'core' : first}.${version}.${kind}`;
}

interface Place {
  readonly root: string;
  readonly tag: string;
  /** `CoreV1`, `AppsV1`, `RbacAuthorizationV1`. */
  readonly prefix: string;
}

function placeOf(at: { readonly group: string; readonly version: string }): Place {
  const groupVersion = formatGroupVersion(at);
  const parts = at.group === '' ? ['core'] : at.group.replace(/\.k8s\.io$/, '').split('.');
  const name = parts.map(capitalized).join('');
  return {
    root: at.group === '' ? `/api/${groupVersion}` : `/apis/${groupVersion}`,
    tag: `${name.slice(0, 1).toLowerCase()}${name.slice(1)}_${at.version}`,
    prefix: name + capitalized(at.version),
  };
}

function capitalized(text: string): string {
  return text.slice(0, 1).toUpperCase() + text.slice(1);
}

export function operationsOf(resource: Resource, view: ResourceView): readonly Operation[] {
  const { kind, plural, namespaced } = resource;
  const { root, tag, prefix } = placeOf(view);
  const noun = `${namespaced ? 'Namespaced' : ''}${kind}`;
  const base = namespaced ? `${root}/namespaces/{namespace}` : root;
  const mark: KindMark = { group: view.group, kind, version: view.version };
  const collection = `${base}/${plural}`;
  const one = `${collection}/{name}`;
  const facts = { tag, mark };
  const whole = collectionOperations(view, { prefix, noun }).map((operation) => ({
    ...operation,
    ...facts,
    path: collection,
  }));
  const single = objectOperations(view, { prefix, noun }).map((operation) => ({
    ...operation,
    ...facts,
    path: one,
  }));
  const everywhere = whole
    .filter(({ action }) => namespaced && action === 'list')
    .map((operation) => ({
      ...operation,
      path: `${root}/${plural}`,
      id: `list${prefix}${kind}ForAllNamespaces`,
    }));
  const verbs: readonly string[] | undefined = resource.verbs;
  const served = [...whole, ...everywhere, ...single].filter(
    ({ verb }) => verbs === undefined || verbs.includes(verb),
  );
  return [
    ...served.map(({ verb: _verb, ...operation }) => operation),
    ...subresourcesOf(resource, view).flatMap((sub) =>
      subresourceOperations(sub, { path: one, tag, prefix, noun }),
    ),
  ];
}

interface Names {
  readonly prefix: string;
  readonly noun: string;
}

type Unplaced = Omit<Operation, 'path' | 'tag' | 'mark'> & { readonly verb: string };

const status = `${metaPackage}.Status`;
const deleteOptions = `${metaPackage}.DeleteOptions`;

function collectionOperations(view: ResourceView, { prefix, noun }: Names): readonly Unplaced[] {
  const { definition } = view;
  const id = (word: string): string => `${word}${prefix}${noun}`;
  return [
    {
      ...{ verb: 'list', method: 'get', action: 'list', id: id('list') },
      ...{ answer: listDefinition(view), query: selectionQuery },
    },
    {
      ...{ verb: 'create', method: 'post', action: 'post', id: id('create') },
      ...{ body: definition, answer: definition, query: writeQuery },
    },
    {
      ...{ verb: 'deletecollection', method: 'delete', action: 'deletecollection' },
      ...{ id: `delete${prefix}Collection${noun}`, body: deleteOptions, answer: status },
      query: [...new Set([...deleteQuery, ...selectionQuery])].filter(
        (name) => name !== 'watch' && name !== 'allowWatchBookmarks',
      ),
    },
  ];
}

function objectOperations(
  { definition }: ResourceView,
  { prefix, noun }: Names,
): readonly Unplaced[] {
  const id = (word: string): string => `${word}${prefix}${noun}`;
  const answer = definition;
  return [
    { verb: 'get', method: 'get', action: 'get', id: id('read'), answer, query: [] },
    {
      ...{ verb: 'update', method: 'put', action: 'put', id: id('replace') },
      ...{ body: definition, answer, query: writeQuery },
    },
    {
      ...{ verb: 'patch', method: 'patch', action: 'patch', id: id('patch') },
      ...{ body: patchBody, answer, query: [...writeQuery, 'force'] },
    },
    {
      ...{ verb: 'delete', method: 'delete', action: 'delete', id: id('delete') },
      ...{ body: deleteOptions, answer: status, query: deleteQuery },
    },
  ];
}

const methods: Readonly<Record<string, readonly [Operation['method'], string]>> = {
  get: ['get', 'read'],
  create: ['post', 'create'],
  update: ['put', 'replace'],
  patch: ['patch', 'patch'],
  delete: ['delete', 'delete'],
};

/** Those that pass a connection on answer with whatever comes through it. */
const connecting = new Set(['attach', 'exec', 'portforward', 'proxy']);

function subresourceOperations(
  { name, kind, verbs }: SubresourceFacts,
  { path, tag, prefix, noun }: Names & { readonly path: string; readonly tag: string },
): readonly Operation[] {
  const definition = definitionOf(kind);
  const suffix = capitalized(name);
  return verbs.flatMap((verb): readonly Operation[] => {
    const [method, word] = methods[verb] ?? ['get', 'read'];
    const at = { path: `${path}/${name}`, method, tag, mark: kind };
    if (connecting.has(name)) {
      const id = `connect${prefix}${capitalized(method)}${noun}${suffix}`;
      return [{ ...at, action: 'connect', id, query: [] }];
    }
    const id = `${word}${prefix}${noun}${suffix}`;
    if (name === 'log') return [{ ...at, action: 'get', id, query: logQuery }];
    const action = method;
    if (method === 'get') return [{ ...at, action, id, answer: definition, query: [] }];
    const body = method === 'patch' ? patchBody : definition;
    const query = method === 'patch' ? [...writeQuery, 'force'] : writeQuery;
    return [{ ...at, action, id, body, answer: definition, query }];
  });
}

const logQuery = ['container', 'follow', 'previous', 'sinceSeconds', 'tailLines', 'timestamps'];

/** Questions that are answered and never stored. */
export function reviewOperation(facts: ReviewFacts): Operation {
  const { group, version, kind, namespaced } = facts;
  const { root, tag, prefix } = placeOf(facts);
  const definition = definitionOf(facts);
  return {
    path: `${root}/${namespaced ? 'namespaces/{namespace}/' : ''}${kind.toLowerCase()}s`,
    method: 'post',
    action: 'post',
    id: `create${prefix}${namespaced ? 'Namespaced' : ''}${kind}`,
    tag,
    mark: { group, kind, version },
    body: definition,
    answer: definition,
    query: writeQuery,
  };
}
