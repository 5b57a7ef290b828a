/**
 * Reads, deletes and scale of every kind: selectors, pages, other shapes of output, preconditions
 * and propagation, and verbs that a path does not have.
 */
import type { Json } from './fixtures.ts';
import type { ParityRequest } from './request.ts';

const table = 'application/json;as=Table;v=v1;g=meta.k8s.io';
const partialList = 'application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io';
const partial = 'application/json;as=PartialObjectMetadata;v=v1;g=meta.k8s.io';

export function readCases(path: string, item: string, label: string): ParityRequest[] {
  const mine = `labelSelector=parity%3D${label}`;
  const get = (id: string, at: string, accept?: string): ParityRequest => ({
    id,
    method: 'GET',
    path: at,
    ...(accept === undefined ? {} : { accept }),
  });
  const list = (id: string, query: string, accept?: string): ParityRequest =>
    get(id, `${path}?${mine}&${query}`, accept);
  return [
    get('get', item),
    get('get nothing', `${path}/missing-one`),
    get('get as Table', item, table),
    get('get metadata only', item, partial),
    get('get with an odd revision', `${item}?resourceVersion=abc`),
    get('get as something odd', item, 'text/plain'),
    list('list', ''),
    list('list as Table', '', table),
    list('list as Table without objects', 'includeObject=None', table),
    list('list as Table with objects', 'includeObject=Object', table),
    list('list metadata only', '', partialList),
    list('list by name', `fieldSelector=metadata.name%3D${item.replace(/^.*\//, '')}`),
    list('list by another name', 'fieldSelector=metadata.name%3Dother'),
    list('list by an odd field', 'fieldSelector=odd.field%3Dx'),
    list('list by a bad field selector', 'fieldSelector=odd'),
    list('list with a limit', 'limit=5'),
    list('list with a bad limit', 'limit=abc'),
    list('list at a bad revision', 'resourceVersion=abc'),
    list('list with an odd match', 'resourceVersion=1&resourceVersionMatch=Odd'),
    list('list with a match and no revision', 'resourceVersionMatch=Exact'),
    list('list from a bad token', 'limit=5&continue=nonsense'),
    get('list by a bad label selector', `${path}?labelSelector=a%3D%3D%3Db`),
    get('list by an odd label', `${path}?labelSelector=bad%20key!%3Db`),
    list('watch at a bad revision', 'watch=true&resourceVersion=abc'),
    list('watch with initial events and no match', 'watch=true&sendInitialEvents=true'),
    get('unknown sub-resource', `${item}/odd`),
    { id: 'post to an object', method: 'POST', path: item, body: {} },
    { id: 'put to the collection', method: 'PUT', path, body: {} },
  ];
}

export function deleteCases(
  path: string,
  make: (name: string, more: Json) => Json,
): ParityRequest[] {
  const requests: ParityRequest[] = [];
  const cases: Readonly<
    Record<string, { readonly body?: unknown; readonly query?: string; readonly more?: Json }>
  > = {
    plain: {},
    'dry run': { query: '?dryRun=All' },
    'dry run in the body': { body: { dryRun: ['All'] } },
    'odd dry run': { body: { dryRun: ['Odd'] } },
    'right uid': { body: { preconditions: { uid: '$UID' } } },
    'wrong uid': { body: { preconditions: { uid: 'other' } } },
    'wrong revision': { body: { preconditions: { resourceVersion: '1' } } },
    'right revision': { body: { preconditions: { resourceVersion: '$RV' } } },
    orphan: { body: { propagationPolicy: 'Orphan' } },
    foreground: { body: { propagationPolicy: 'Foreground' } },
    background: { query: '?propagationPolicy=Background' },
    'odd propagation': { body: { propagationPolicy: 'Odd' } },
    'both ways': { body: { propagationPolicy: 'Orphan', orphanDependents: true } },
    'old way': { body: { orphanDependents: false } },
    'at once': { body: { gracePeriodSeconds: 0 } },
    'with grace': { query: '?gracePeriodSeconds=7' },
    'negative grace': { body: { gracePeriodSeconds: -1 } },
    'grace of the wrong type': { body: { gracePeriodSeconds: 'x' } },
    'with kind': { body: { kind: 'DeleteOptions', apiVersion: 'v1', gracePeriodSeconds: 3 } },
    'of another kind': { body: { kind: 'Odd', apiVersion: 'v1' } },
    'no JSON': { body: '{nonsense' },
    'a list': { body: [1] },
    'held by a finalizer': { more: { finalizers: ['example.com/hold'] } },
  };
  for (const [id, { body, query = '', more = {} }] of Object.entries(cases)) {
    const name = `gone-${id.replaceAll(' ', '-').toLowerCase()}`;
    const object = make(name, more);
    // `make` gives metadata with a name.
    const item = `${path}/${(object['metadata'] as { readonly name: string }).name}`;
    requests.push(
      { id: `${id}: stored`, method: 'POST', path, body: object, setup: true },
      { id, method: 'DELETE', path: item + query, ...(body === undefined ? {} : { body }) },
      { id: `${id}: after`, method: 'GET', path: item },
    );
    if (id === 'held by a finalizer') {
      requests.push(
        { id: `${id}: again`, method: 'DELETE', path: item },
        finalizers(`${id}: more`, item, ['example.com/hold', 'example.com/more']),
        finalizers(`${id}: none`, item, null),
      );
    }
    requests.push({
      id: `${id}: end`,
      method: 'DELETE',
      path: `${item}?gracePeriodSeconds=0`,
      setup: true,
    });
  }
  return [...requests, ...collectionCases(path, make)];
}

function finalizers(id: string, path: string, value: readonly string[] | null): ParityRequest {
  const body = { metadata: { finalizers: value } };
  return { id, method: 'PATCH', path, type: 'application/merge-patch+json', body };
}

function collectionCases(path: string, make: (name: string, more: Json) => Json): ParityRequest[] {
  const labels = { parity: 'collection' };
  const mine = `${path}?labelSelector=parity%3Dcollection`;
  const remove = (id: string, query: string, body?: unknown): ParityRequest => ({
    id,
    method: 'DELETE',
    path: mine + query,
    ...(body === undefined ? {} : { body }),
  });
  return [
    { id: 'delete nothing', method: 'DELETE', path: `${path}/missing-one` },
    { id: 'collection: stored', method: 'POST', path, body: make('many', { labels }), setup: true },
    remove('collection: bad selector', '&fieldSelector=odd'),
    remove('collection: dry run', '&dryRun=All'),
    remove('collection: odd propagation', '', { propagationPolicy: 'Odd' }),
    remove('collection: no JSON', '', '{nonsense'),
    remove('collection', ''),
    { id: 'collection: after', method: 'GET', path: mine },
  ];
}

export function scaleCases(item: string, name: string): ParityRequest[] {
  const path = `${item}/scale`;
  const scale = (spec: unknown, more: Json = {}): Json => ({
    apiVersion: 'autoscaling/v1',
    kind: 'Scale',
    metadata: { name, namespace: 'NAMESPACE', ...more },
    spec,
  });
  const put = (id: string, body: unknown, query = '?dryRun=All'): ParityRequest => ({
    id,
    method: 'PUT',
    path: path + query,
    body,
  });
  const merge = 'application/merge-patch+json';
  const patch = (id: string, body: unknown, type = merge): ParityRequest => ({
    id,
    method: 'PATCH',
    path: `${path}?dryRun=All`,
    type,
    body,
  });
  return [
    { id: 'shown', method: 'GET', path },
    { id: 'of nothing', method: 'GET', path: path.replace(name, 'missing-one') },
    put('five', scale({ replicas: 5 })),
    put('none', scale({ replicas: 0 })),
    put('without replicas', scale({})),
    put('negative', scale({ replicas: -1 })),
    put('of the wrong type', scale({ replicas: 'many' })),
    put('other name', scale({ replicas: 1 }, { name: 'other' })),
    put('no name', { ...scale({ replicas: 1 }), metadata: {} }),
    put('other namespace', scale({ replicas: 1 }, { namespace: 'other' })),
    put('old revision', scale({ replicas: 1 }, { resourceVersion: '1' })),
    put('other uid', scale({ replicas: 1 }, { uid: 'other' })),
    put('other kind', { ...scale({ replicas: 1 }), kind: 'Odd' }),
    put('unknown field', scale({ replicas: 1, odd: 1 }), '?dryRun=All&fieldValidation=Strict'),
    patch('patched', { spec: { replicas: 7 } }),
    patch('patched to nothing', { spec: null }),
    patch('patched to less than none', { spec: { replicas: -7 } }),
    patch(
      'by JSON patch',
      [{ op: 'replace', path: '/spec/replicas', value: 4 }],
      'application/json-patch+json',
    ),
    patch('strategic', { spec: { replicas: 2 } }, 'application/strategic-merge-patch+json'),
    put('really', scale({ replicas: 4 }), ''),
    { id: 'after', method: 'GET', path },
    { id: 'the object after', method: 'GET', path: item },
  ];
}
