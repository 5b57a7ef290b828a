/**
 * Patches of every sort, good and bad, and server-side apply, on one stored object. All but a few
 * are dry runs, so that each meets the object as it was created.
 */
import type { Fixture, Json } from './fixtures.ts';
import type { ParityRequest } from './request.ts';

type Make = (object: Json, name: string, more?: Json) => Json;

const json = 'application/json-patch+json';
const merge = 'application/merge-patch+json';
const strategic = 'application/strategic-merge-patch+json';
const apply = 'application/apply-patch+yaml';

export function patchCases(fixture: Fixture, item: string, make: Make): ParityRequest[] {
  return [
    ...jsonCases(item),
    ...mergeCases(item, merge),
    ...mergeCases(item, strategic),
    ...strategicCases(item),
    ...templateCases(fixture, item),
    ...otherCases(item),
    ...applyCases(fixture, item, make),
  ];
}

function patch(item: string, type: string, sort: string) {
  return (id: string, body: unknown, query = '?dryRun=All'): ParityRequest => ({
    id: `${sort}: ${id}`,
    method: 'PATCH',
    path: item + query,
    type,
    body,
  });
}

function jsonCases(item: string): ParityRequest[] {
  const send = patch(item, json, 'json');
  return [
    send('add a label', [{ op: 'add', path: '/metadata/labels', value: { a: 'b' } }]),
    send('replace what is not there', [{ op: 'replace', path: '/metadata/none', value: 1 }]),
    send('remove what is not there', [{ op: 'remove', path: '/metadata/none' }]),
    send('test that fails', [{ op: 'test', path: '/kind', value: 'Odd' }]),
    send('add below nothing', [{ op: 'add', path: '/none/below', value: 1 }]),
    send('unknown operation', [{ op: 'odd', path: '/metadata/labels' }]),
    send('no list', { op: 'add', path: '/a', value: 1 }),
    send('bad path', [{ op: 'add', path: 'metadata', value: 1 }]),
    send('copy', [
      { op: 'add', path: '/metadata/annotations', value: { a: '1' } },
      { op: 'copy', from: '/metadata/annotations/a', path: '/metadata/annotations/b' },
    ]),
    send('move', [
      { op: 'add', path: '/metadata/annotations', value: { a: '1' } },
      { op: 'move', from: '/metadata/annotations/a', path: '/metadata/annotations/c' },
    ]),
    send('rename', [{ op: 'replace', path: '/metadata/name', value: 'renamed' }]),
    send('wrong type', [{ op: 'add', path: '/metadata/labels', value: 'text' }]),
    send('remove metadata', [{ op: 'remove', path: '/metadata' }]),
    send('nothing', []),
    send('other kind', [{ op: 'replace', path: '/kind', value: 'Odd' }]),
  ];
}

function mergeCases(item: string, type: string): ParityRequest[] {
  const send = patch(item, type, type === merge ? 'merge' : 'strategic');
  return [
    send('labels', { metadata: { labels: { a: 'b', c: null } } }),
    send('no JSON', '{nonsense'),
    send('a list', [1]),
    send('a text', '"text"'),
    send('unknown field', { unknown: 1 }),
    send('unknown field, strict', { unknown: 1 }, '?dryRun=All&fieldValidation=Strict'),
    send('wrong type', { metadata: { labels: 'text' } }),
    send('bad label', { metadata: { labels: { 'bad key!': 'v' } } }),
    send('rename', { metadata: { name: 'renamed' } }),
    send('other namespace', { metadata: { namespace: 'elsewhere' } }),
    send('other uid', { metadata: { uid: 'other' } }),
    send('old revision', { metadata: { resourceVersion: '1' } }),
    send('other kind', { kind: 'Odd' }),
    send('other version', { apiVersion: 'odd/v1' }),
    send('nothing', {}, ''),
    send('empty', ''),
    send('finalizers', { metadata: { finalizers: ['example.com/x'] } }),
    send('spec gone', { spec: null }),
    send(
      'annotation',
      { metadata: { annotations: { written: 'now' } } },
      '?dryRun=All&fieldManager=other',
    ),
  ];
}

function strategicCases(item: string): ParityRequest[] {
  const send = patch(item, strategic, 'strategic');
  return [
    send('replace labels', { metadata: { labels: { $patch: 'replace', only: 'one' } } }),
    send('delete labels', { metadata: { labels: { $patch: 'delete' } } }),
    send('odd directive', { metadata: { labels: { $patch: 'odd' } } }),
    send('delete a finalizer', { metadata: { '$deleteFromPrimitiveList/finalizers': ['x'] } }),
    send('owner without key', { metadata: { ownerReferences: [{ kind: 'A' }] } }),
    send('owner', {
      metadata: { ownerReferences: [{ apiVersion: 'v1', kind: 'A', name: 'b', uid: '1' }] },
    }),
    send('retain keys', { metadata: { $retainKeys: ['name'], labels: { a: 'b' } } }),
  ];
}

/** What merges by key: containers and the like, for kinds with a pod template. */
function templateCases({ full }: Fixture, item: string): ParityRequest[] {
  const spec = full['spec'] as Json | undefined;
  if (spec?.['template'] === undefined) return [];
  const send = patch(item, strategic, 'strategic');
  const template = (containers: unknown, more: Json = {}): Json => ({
    spec: { template: { spec: { containers, ...more } } },
  });
  return [
    send('image', template([{ name: 'main', image: 'app:9' }])),
    send('second container', template([{ name: 'second', image: 'other' }])),
    send('container gone', template([{ name: 'main', $patch: 'delete' }])),
    send('containers replaced', template([{ $patch: 'replace' }, { name: 'new', image: 'x' }])),
    send('container without name', template([{ image: 'x' }])),
    send(
      'order',
      template([{ name: 'b', image: 'x' }], {
        '$setElementOrder/containers': [{ name: 'b' }, { name: 'main' }],
      }),
    ),
    send(
      'environment',
      template([
        {
          name: 'main',
          env: [
            { name: 'A', value: 'c' },
            { name: 'B', value: 'd' },
          ],
        },
      ]),
    ),
    send('ports', template([{ name: 'main', ports: [{ containerPort: 80, name: 'new' }] }])),
    send(
      'volumes',
      template([{ name: 'main' }], { volumes: [{ name: 'data', hostPath: { path: '/a' } }] }),
    ),
  ];
}

function otherCases(item: string): ParityRequest[] {
  const body = { metadata: { labels: { a: 'b' } } };
  const missing = item.replace(/[^/]*$/, 'missing-one');
  return [
    patch(item, 'application/json', 'other')('plain JSON', body),
    patch(item, 'text/plain', 'other')('text', body),
    patch(missing, merge, 'other')('nothing there', body),
    patch(missing, strategic, 'other')('nothing there, strategic', body),
    patch(item, merge, 'other')('odd dry run', body, '?dryRun=Odd'),
    patch(item, merge, 'other')('force', body, '?dryRun=All&force=true'),
    patch(item, merge, 'other')('odd validation', body, '?dryRun=All&fieldValidation=Odd'),
    patch(item, merge, 'other')('really', body, ''),
  ];
}

function applyCases(
  { apiVersion, kind, full }: Fixture,
  item: string,
  make: Make,
): ParityRequest[] {
  const send = patch(item, apply, 'apply');
  const name = item.replace(/^.*\//, '');
  const by = '?dryRun=All&fieldManager=applier';
  const labels = { apiVersion, kind, metadata: { name, labels: { applied: 'yes' } } };
  const fresh = make(full, 'applied');
  const freshAt = item.replace(/[^/]*$/, String((fresh['metadata'] as Json)['name']));
  const create = patch(freshAt, apply, 'apply');
  return [
    send('labels', labels, by),
    send('without manager', labels),
    send('other version', { ...labels, apiVersion: 'odd/v1' }, by),
    send('other kind', { ...labels, kind: 'Odd' }, by),
    send('other name', { ...labels, metadata: { name: 'other' } }, by),
    send('no YAML', '{nonsense', by),
    send('a list', '[1]', by),
    send('empty', '', by),
    send('unknown field', { ...labels, unknown: 1 }, by),
    send('unknown field, strict', { ...labels, unknown: 1 }, `${by}&fieldValidation=Strict`),
    send('wrong type', { ...labels, metadata: { name, labels: 'text' } }, by),
    send(
      'managed fields',
      { ...labels, metadata: { name, managedFields: [{ manager: 'a' }] } },
      by,
    ),
    send('a uid', { ...labels, metadata: { name, uid: 'other' } }, by),
    send('old revision', { ...labels, metadata: { name, resourceVersion: '1' } }, by),
    send('all of it', { ...make(full, 'x'), metadata: { name, labels: { applied: 'all' } } }, by),
    send('all of it, by force', { ...make(full, 'x'), metadata: { name } }, `${by}&force=true`),
    create('new, dry', fresh, by),
    create('new', fresh, '?fieldManager=applier'),
    create('the same again', fresh, '?fieldManager=applier'),
    create(
      'by another',
      { ...fresh, metadata: { ...(fresh['metadata'] as Json), labels: { mine: 'now' } } },
      '?fieldManager=another',
    ),
    create(
      'less',
      {
        apiVersion,
        kind,
        metadata: { name: freshAt.replace(/^.*\//, ''), labels: { only: 'this' } },
      },
      by,
    ),
    { id: 'apply: end', method: 'DELETE', path: freshAt, setup: true },
  ];
}
