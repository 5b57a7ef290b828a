/**
 * Creates that are wrong in the same way for every kind: names, labels, owners, finalizers in
 * metadata, and bodies that are no objects at all.
 */
import type { Fixture, Json } from './fixtures.ts';
import type { ParityRequest } from './request.ts';

type Make = (object: Json, name: string, more?: Json) => Json;

const odd: Readonly<Record<string, Json>> = {
  'name with a capital': { name: 'Capital' },
  'name with an underscore': { name: 'under_score' },
  'name that is too long': { name: 'n'.repeat(254) },
  'name of 64 letters': { name: 'n'.repeat(64) },
  'name with a slash': { name: 'a/b' },
  'name of dots': { name: '..' },
  'name with dots': { name: 'one.two.three' },
  'name that starts with a digit': { name: '1one' },
  'no name': { name: '' },
  'generated name': { name: '', generateName: 'made-' },
  'odd generated name': { name: '', generateName: 'Made_' },
  'bad label key': { labels: { 'bad key!': 'v', '/x': 'y' } },
  'bad label value': { labels: { a: 'not valid!' } },
  'long label': { labels: { ['k'.repeat(64)]: 'v'.repeat(64) } },
  'label with a long prefix': { labels: { [`${'p'.repeat(260)}/a`]: 'b' } },
  'bad annotation key': { annotations: { 'bad key!': 'v' } },
  'large annotation': { annotations: { a: '$LARGE' } },
  'empty owner': { ownerReferences: [{ apiVersion: '', kind: '', name: '', uid: '' }] },
  'two controllers': {
    ownerReferences: [
      { apiVersion: 'v1', kind: 'A', name: 'a', uid: '1', controller: true },
      { apiVersion: 'v1', kind: 'B', name: 'b', uid: '2', controller: true },
    ],
  },
  'event as owner': { ownerReferences: [{ apiVersion: 'v1', kind: 'Event', name: 'a', uid: '1' }] },
  'good owner': {
    ownerReferences: [
      { apiVersion: 'apps/v1', kind: 'A', name: 'a', uid: '1', blockOwnerDeletion: true },
    ],
  },
  finalizers: { finalizers: ['example.com/one', 'foregroundDeletion'] },
  'bad finalizers': { finalizers: ['nodomain', 'bad name!', 'orphan', 'foregroundDeletion'] },
  'what the server sets': {
    uid: 'mine',
    generation: 7,
    creationTimestamp: '2001-01-01T00:00:00Z',
    deletionTimestamp: '2001-01-01T00:00:00Z',
    deletionGracePeriodSeconds: 4,
    selfLink: '/me',
  },
  'a revision': { resourceVersion: '5' },
  'another namespace': { namespace: 'elsewhere' },
  'managed fields': { managedFields: [{ manager: 'x', operation: 'Update', apiVersion: 'v1' }] },
  'bad managed fields': {
    managedFields: [{ manager: 'x', operation: 'Odd', fieldsType: 'FieldsV2' }],
  },
  'negative generation': { generation: -4 },
};

export function metadataCases(fixture: Fixture, query: string, make: Make): ParityRequest[] {
  return Object.entries(odd).map(([id, more], index) => ({
    id,
    method: 'POST',
    path: fixture.path + query,
    body: make(fixture.minimal, `meta-${index}`, more),
  }));
}

export function bodyCases(fixture: Fixture, query: string, make: Make): ParityRequest[] {
  const { path, minimal } = fixture;
  const join = query === '' ? '?' : `${query}&`;
  const post = (id: string, body: unknown, more: Partial<ParityRequest> = {}): ParityRequest => ({
    id,
    method: 'POST',
    path: path + query,
    body,
    ...more,
  });
  const asked = (id: string, ask: string, more: Json = {}): ParityRequest =>
    post(
      id,
      { ...make(minimal, id.replaceAll(' ', '-')), ...more },
      { path: `${path}${join}${ask}` },
    );
  const { kind: _kind, apiVersion: _version, ...bare } = make(minimal, 'bare');
  const twice = JSON.stringify(make(minimal, 'twice')).replace('{', '{"kind":"Odd",');
  return [
    post('empty body', ''),
    post('no JSON', '{nonsense'),
    post('a list', [1, 2]),
    post('null', 'null'),
    post('other kind', { ...make(minimal, 'kind'), kind: 'Odd' }),
    post('other version', { ...make(minimal, 'version'), apiVersion: 'odd/v7' }),
    post('neither kind nor version', bare),
    post('without kind', { ...make(minimal, 'no-kind'), kind: undefined }),
    post('metadata of the wrong type', { ...make(minimal, 'a'), metadata: 'text' }),
    post('labels of the wrong type', make(minimal, 'labels-of-numbers', { labels: { a: 1 } })),
    post('unknown content type', make(minimal, 'a'), { type: 'text/plain' }),
    post('as YAML', yamlOf(make(minimal, 'as-yaml')), { type: 'application/yaml' }),
    post('bad YAML', 'a: [b', { type: 'application/yaml' }),
    post('nulls', make({ ...minimal, metadata: { labels: null, annotations: null } }, 'nulls')),
    asked('unknown strict', 'fieldValidation=Strict', { unknown: 1, another: { a: 1 } }),
    asked('unknown warn', 'fieldValidation=Warn', { unknown: 1, another: { a: 1 } }),
    asked('unknown ignore', 'fieldValidation=Ignore', { unknown: 1 }),
    asked('odd validation', 'fieldValidation=Odd'),
    asked('odd dry run', 'dryRun=Some'),
    asked('manager', 'fieldManager=somebody'),
    asked('long manager', `fieldManager=${'m'.repeat(200)}`),
    post('duplicate field, strict', twice, { path: `${path}${join}fieldValidation=Strict` }),
    post('duplicate field', twice),
  ];
}

/** JSON is YAML; a comment makes it no JSON. */
function yamlOf(object: Json): string {
  return `# yaml\n${JSON.stringify(object)}`;
}
