/**
 * The requests of the parity run: for each kind scenarios of create, update, patch, status, scale,
 * delete and read, drawn from its fixtures by a seed.
 *
 * A scenario has a namespace of its own (or names of its own) and is played in order; requests in
 * it either have a name of their own or are dry runs, so that no answer depends on another, except
 * where that is the point. Pure: the same seed gives the same requests.
 */
import type { Catalog } from '#api/catalog.ts';
import { type Random, seededRandom } from '#kit/random.ts';
import { bodyCases, metadataCases } from './create-cases.ts';
import { type Fixture, type Json, readFixtures } from './fixtures.ts';
import { changes, type Mutation, mistypes, outOfRange, removals } from './mutations.ts';
import { patchCases } from './patch-cases.ts';
import { deleteCases, readCases, scaleCases } from './read-cases.ts';
import type { ParityRequest, Scenario } from './request.ts';

/** How many of a kind's spoilt objects are sent, by the way in which they are spoilt. */
const draws = { removals: 26, mistypes: 12, outOfRange: 40, changes: 22, status: 18 } as const;
/** Kinds that everybody uses are asked more. */
const often: Readonly<Record<string, number>> = {
  pods: 8,
  services: 3,
  'deployments.v1.apps': 2,
  'statefulsets.v1.apps': 2,
  'jobs.v1.batch': 2,
  persistentvolumeclaims: 2,
  persistentvolumes: 2,
};

/** Kinds whose objects change what other requests see: kept out of the store. */
const effects: ReadonlySet<string> = new Set([
  'priorityclasses.v1.scheduling.k8s.io',
  'storageclasses.v1.storage.k8s.io',
  'ingressclasses.v1.networking.k8s.io',
  'servicecidrs.v1.networking.k8s.io',
  'validatingwebhookconfigurations.v1.admissionregistration.k8s.io',
  'mutatingwebhookconfigurations.v1.admissionregistration.k8s.io',
  'validatingadmissionpolicies.v1.admissionregistration.k8s.io',
  'mutatingadmissionpolicies.v1.admissionregistration.k8s.io',
  'validatingadmissionpolicybindings.v1.admissionregistration.k8s.io',
  'mutatingadmissionpolicybindings.v1.admissionregistration.k8s.io',
]);

export function makeScenarios(catalog: Catalog, seed: number): readonly Scenario[] {
  return readFixtures(catalog).flatMap((fixture, index) => {
    const random = seededRandom(seed + index);
    return new KindScenarios({ catalog, random }, fixture).all();
  });
}

class KindScenarios {
  readonly #catalog: Catalog;
  readonly #random: Random;
  readonly #fixture: Fixture;
  readonly #factor: number;

  constructor(deps: { readonly catalog: Catalog; readonly random: Random }, fixture: Fixture) {
    this.#catalog = deps.catalog;
    this.#random = deps.random;
    this.#fixture = fixture;
    this.#factor = often[fixture.title] ?? 1;
  }

  all(): readonly Scenario[] {
    const { createOnly, status, served } = this.#fixture;
    if (createOnly) return [this.#create()];
    // Another issue's kinds: a few requests, so that they are counted.
    if (served === undefined) return [this.#brief()];
    const scenarios = [this.#create(), this.#update(), this.#patch(), this.#delete(), this.#read()];
    if (status !== undefined) scenarios.push(this.#status('status', status));
    if (this.#fixture.approval !== undefined) {
      scenarios.push(this.#status('approval', this.#fixture.approval));
    }
    if (served?.resource.scale !== undefined) scenarios.push(this.#scale());
    return scenarios;
  }

  #scenario(name: string, requests: readonly ParityRequest[]): Scenario {
    const { title, namespaced } = this.#fixture;
    const namespace = `parity-${title.replaceAll(/[./]/g, '-')}-${name}`.slice(0, 63);
    const setup = namespaced ? setupOf(namespace) : [];
    // What stands for a namespace is replaced in paths, bodies and names alike.
    const text = JSON.stringify(requests).replaceAll('NAMESPACE', namespace);
    const own = JSON.parse(text) as readonly ParityRequest[];
    return { kind: title, name, requests: [...setup, ...own] };
  }

  #create(): Scenario {
    const { path, full, minimal, others, schema, createOnly } = this.#fixture;
    const dry = effects.has(this.#fixture.title) ? '?dryRun=All' : '';
    const post = (id: string, object: Json, name: string, query = dry): ParityRequest => ({
      id,
      method: 'POST',
      path: path + query,
      body: this.object(object, name),
    });
    const requests = [post('minimal', minimal, 'minimal'), post('full', full, 'full')];
    for (const [index, other] of others.entries()) {
      requests.push(post(`other ${index}`, other, `other-${index}`));
    }
    const spoilt = [
      ...this.#draw(removals(full, schema, this.#catalog), draws.removals),
      ...this.#draw(mistypes(full, schema, this.#catalog), draws.mistypes),
      ...this.#draw(outOfRange(full, schema, this.#catalog), draws.outOfRange),
    ];
    for (const [index, { what, object }] of spoilt.entries()) {
      requests.push(post(what, object, `spoilt-${index}`));
    }
    if (createOnly) return this.#scenario('create', requests);
    requests.push(
      post('dry run', full, 'dry', '?dryRun=All'),
      post('same name again', minimal, 'minimal', ''),
      ...metadataCases(this.#fixture, dry, (object, name, more) => this.object(object, name, more)),
      ...bodyCases(this.#fixture, dry, (object, name, more) => this.object(object, name, more)),
    );
    return this.#scenario('create', requests);
  }

  #update(): Scenario {
    const { path, full, minimal, schema } = this.#fixture;
    const stored = this.object(full, 'stored');
    const item = `${path}/${nameOf(stored)}`;
    const put = (id: string, object: Json, query = '', at = item): ParityRequest => ({
      id,
      method: 'PUT',
      path: at + query,
      body: object,
    });
    const withMetadata = (more: Json): Json => {
      // Every object that `object()` makes has metadata.
      const metadata = stored['metadata'] as Json;
      return { ...stored, metadata: { ...metadata, ...more } };
    };
    const requests: ParityRequest[] = [
      { id: 'stored', method: 'POST', path, body: stored },
      put('unchanged', stored),
      put('unchanged, at its revision', withMetadata({ resourceVersion: '$RV' })),
      put(
        'with a label',
        withMetadata({ resourceVersion: '$RV', labels: { new: 'label' } }),
        '?dryRun=All',
      ),
      put('to minimal', withMinimal(this.object(minimal, 'stored')), '?dryRun=All'),
      put('old revision', withMetadata({ resourceVersion: '1' })),
      put('strange revision', withMetadata({ resourceVersion: 'abc' })),
      put('other uid', withMetadata({ uid: 'c1d2', resourceVersion: '$RV' })),
      put('right uid', withMetadata({ uid: '$UID', resourceVersion: '$RV' }), '?dryRun=All'),
      put('other name', { ...withMetadata({ name: 'another' }) }),
      put('without name', { ...stored, metadata: { resourceVersion: '$RV' } }, '?dryRun=All'),
      put(
        'nothing there',
        this.object(full, 'missing'),
        '',
        `${path}/${nameOf(this.object(full, 'missing'))}`,
      ),
      { id: 'stored again', method: 'GET', path: item },
      put('unknown field, strict', { ...stored, unknown: 1 }, '?fieldValidation=Strict&dryRun=All'),
      put('bad label', withMetadata({ resourceVersion: '$RV', labels: { 'bad key!': 'v' } })),
      put(
        'finalizer',
        withMetadata({ resourceVersion: '$RV', finalizers: ['example.com/x'] }),
        '?dryRun=All',
      ),
      put(
        'time of creation',
        withMetadata({ resourceVersion: '$RV', creationTimestamp: '2001-01-01T00:00:00Z' }),
        '?dryRun=All',
      ),
      put('generation', withMetadata({ resourceVersion: '$RV', generation: 77 }), '?dryRun=All'),
    ];
    const spoilt = [
      ...this.#draw(changes(full, schema, this.#catalog), draws.changes),
      ...this.#draw(removals(full, schema, this.#catalog), draws.changes),
      ...this.#draw(outOfRange(full, schema, this.#catalog), draws.changes / 2),
    ];
    for (const { what, object } of spoilt) {
      const named = this.object(object, 'stored');
      // As above.
      const metadata = named['metadata'] as Json;
      const revised = { ...named, metadata: { ...metadata, resourceVersion: '$RV' } };
      requests.push(put(what, revised, '?dryRun=All'));
    }
    requests.push(...this.#end(item));
    return this.#scenario('update', requests);
  }

  #patch(): Scenario {
    const { path, full } = this.#fixture;
    const stored = this.object(full, 'patched');
    const item = `${path}/${nameOf(stored)}`;
    const make = (object: Json, name: string, more?: Json): Json => this.object(object, name, more);
    return this.#scenario('patch', [
      { id: 'stored', method: 'POST', path, body: stored },
      ...patchCases(this.#fixture, item, make),
      ...this.#end(item),
    ]);
  }

  #status(subresource: 'status' | 'approval', status: Json): Scenario {
    const { path, full, schema } = this.#fixture;
    const stored = this.object(full, subresource);
    const item = `${path}/${nameOf(stored)}`;
    const at = `${item}/${subresource}`;
    const asked = { ...full, status };
    const requests: ParityRequest[] = [
      { id: 'stored', method: 'POST', path, body: { ...stored, status } },
      { id: 'empty', method: 'GET', path: at },
      {
        id: 'through the object',
        method: 'PUT',
        path: `${item}?dryRun=All`,
        body: this.#at({ ...stored, status }),
      },
      { id: 'written', method: 'PUT', path: at, body: this.#at({ ...stored, status }) },
      { id: 'shown', method: 'GET', path: at },
      { id: 'taken away', method: 'PUT', path: `${at}?dryRun=All`, body: this.#at(stored) },
      {
        id: 'patched',
        method: 'PATCH',
        path: `${at}?dryRun=All`,
        type: 'application/merge-patch+json',
        body: {
          metadata: { labels: { from: 'status' }, annotations: { from: 'status' } },
          spec: { odd: 1 },
        },
      },
    ];
    const onlyStatus = (all: readonly Mutation[]): readonly Mutation[] =>
      all.filter(({ what }) => /^(without )?status\./.test(what));
    const spoilt = [
      ...this.#draw(onlyStatus(removals(asked, schema, this.#catalog)), draws.status),
      ...this.#draw(onlyStatus(changes(asked, schema, this.#catalog)), draws.status),
      ...this.#draw(onlyStatus(outOfRange(asked, schema, this.#catalog)), draws.status),
      ...this.#draw(onlyStatus(mistypes(asked, schema, this.#catalog)), draws.status / 4),
      ...this.#draw(changes(full, schema, this.#catalog), draws.status / 4),
    ];
    for (const { what, object } of spoilt) {
      const body = this.#at(
        this.object({ ...object, status: object['status'] ?? status }, subresource),
      );
      requests.push({ id: what, method: 'PUT', path: `${at}?dryRun=All`, body });
    }
    requests.push(...this.#end(item));
    return this.#scenario(subresource, requests);
  }

  #at(object: Json): Json {
    // Every object that `object()` makes has metadata.
    const metadata = object['metadata'] as Json;
    return { ...object, metadata: { ...metadata, resourceVersion: '$RV' } };
  }

  #scale(): Scenario {
    const { path, full } = this.#fixture;
    const stored = this.object(full, 'scaled');
    const item = `${path}/${nameOf(stored)}`;
    return this.#scenario('scale', [
      { id: 'stored', method: 'POST', path, body: stored },
      ...scaleCases(item, nameOf(stored)),
    ]);
  }

  #delete(): Scenario {
    const { path } = this.#fixture;
    const make = (name: string, more: Json): Json => this.object(this.#fixture.minimal, name, more);
    return this.#scenario('delete', deleteCases(path, make));
  }

  #brief(): Scenario {
    const { path, full } = this.#fixture;
    const body = this.object(full, 'brief');
    const { spec: _spec, ...bare } = body;
    const create = { method: 'POST', path: `${path}?dryRun=All` } as const;
    return this.#scenario('brief', [
      { id: 'dry run', ...create, body },
      { id: 'without spec', ...create, body: bare },
      { id: 'get nothing', method: 'GET', path: `${path}/missing-one` },
      { id: 'delete nothing', method: 'DELETE', path: `${path}/missing-one` },
      { id: 'list nothing', method: 'GET', path: `${path}?labelSelector=parity%3Dnone` },
    ]);
  }

  #read(): Scenario {
    const { path, full } = this.#fixture;
    const stored = this.object(full, 'read', { labels: { parity: this.#label('read') } });
    const item = `${path}/${nameOf(stored)}`;
    return this.#scenario('read', [
      { id: 'stored', method: 'POST', path, body: stored },
      ...readCases(path, item, this.#label('read')),
      ...this.#end(item),
    ]);
  }

  #label(name: string): string {
    return `${this.#fixture.title.split('.')[0]}-${name}`;
  }

  /** What would have an effect on others is taken away at the end. */
  #end(item: string): readonly ParityRequest[] {
    return [{ id: 'end', method: 'DELETE', path: item, setup: true }];
  }

  #draw(all: readonly Mutation[], count: number): readonly Mutation[] {
    const wanted = Math.ceil(count * this.#factor);
    const rest = [...all];
    const drawn: Mutation[] = [];
    while (drawn.length < wanted && rest.length > 0) {
      drawn.push(...rest.splice(this.#random.integer(rest.length), 1));
    }
    return drawn;
  }

  /** The object with kind, version and a name that no other scenario has. */
  object(object: Json, name: string, more: Json = {}): Json {
    const { apiVersion, kind, createOnly, title } = this.#fixture;
    const metadata = object['metadata'] as Json | undefined;
    if (createOnly) return { apiVersion, kind, ...object };
    const own = this.#fixture.name.replaceAll('NAME', name).replaceAll('ADDRESS', addressOf(name));
    const text = JSON.stringify({ ...object, metadata: undefined });
    // A copy of an object is an object.
    const rest = JSON.parse(text.replaceAll('NAME.example', `${name}.example`)) as Json;
    const unique = this.#fixture.namespaced ? own : clusterName(own, title);
    return { apiVersion, kind, metadata: { name: unique, ...metadata, ...more }, ...rest };
  }
}

function withMinimal(object: Json): Json {
  // As every object of a fixture.
  return { ...object, metadata: { ...(object['metadata'] as Json), resourceVersion: '$RV' } };
}

function clusterName(name: string, title: string): string {
  return title.startsWith('namespaces') ? `parity-ns-${name}` : name;
}

/** An address of its own for each name. */
function addressOf(name: string): string {
  let sum = 7;
  for (const letter of name) sum = (sum * 31 + letter.charCodeAt(0)) % 65_000;
  return `10.44.${Math.floor(sum / 256)}.${sum % 256}`;
}

function nameOf(object: Json): string {
  // Every object that the scenarios make has a name.
  return (object['metadata'] as { readonly name: string }).name;
}

function setupOf(namespace: string): readonly ParityRequest[] {
  const metadata = { name: namespace };
  return [
    {
      id: 'namespace',
      method: 'POST',
      path: '/api/v1/namespaces',
      body: { apiVersion: 'v1', kind: 'Namespace', metadata },
      setup: true,
    },
    {
      id: 'service account',
      method: 'POST',
      path: `/api/v1/namespaces/${namespace}/serviceaccounts`,
      body: { apiVersion: 'v1', kind: 'ServiceAccount', metadata: { name: 'default' } },
      setup: true,
    },
  ];
}
