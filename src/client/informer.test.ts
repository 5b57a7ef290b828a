/**
 * Informers against a collection of ConfigMaps that lives in this file: it lists in pages, keeps a
 * history, and can end watches, break them and forget its history. Time is virtual.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { silentLog } from '#kit/log.ts';
import { seededRandom } from '#kit/random.ts';
import type { PlainRequest, PlainResponse, Transport } from '#kit/transport.ts';
import { settle, VirtualClock } from '#kit/virtual-clock.ts';
import { configMaps } from '#resources/kinds.ts';
import type { ConfigMap } from '#resources/types/core-v1.ts';
import { type Informers, openClient, openInformers } from './client.ts';

interface Watcher {
  readonly push: (line: string) => void;
  readonly end: (error?: Error) => void;
}

/** Speaks list and watch as the API server does. */
class Collection implements Transport {
  revision = 10;
  oldest = 0;
  readonly objects = new Map<string, ConfigMap>();
  readonly history: { readonly revision: number; readonly line: string }[] = [];
  readonly watchers = new Set<Watcher>();
  readonly requests: string[] = [];
  failures = 0;

  put(name: string, value: string, uid = `uid-${name}`): void {
    this.revision += 1;
    const before = this.objects.get(name);
    const metadata = {
      namespace: 'web',
      name,
      uid,
      resourceVersion: String(this.revision),
      managedFields: [{ manager: 'somebody' }],
    };
    const object = { apiVersion: 'v1', kind: 'ConfigMap', metadata, data: { value } };
    this.objects.set(name, object);
    this.#tell(before === undefined ? 'ADDED' : 'MODIFIED', object);
  }

  remove(name: string): void {
    const before = this.objects.get(name);
    if (before === undefined) return;
    this.revision += 1;
    this.objects.delete(name);
    const metadata = { ...before.metadata, resourceVersion: String(this.revision) };
    this.#tell('DELETED', { ...before, metadata });
  }

  bookmark(): void {
    const metadata = { resourceVersion: String(this.revision) };
    const object = { apiVersion: 'v1', kind: 'ConfigMap', metadata };
    for (const { push } of this.watchers) push(line({ type: 'BOOKMARK', object }));
  }

  /** Forgets the history, so that a watch from before now is Expired. */
  compact(): void {
    this.oldest = this.revision;
    this.history.length = 0;
  }

  endWatches(error?: Error): void {
    for (const { end } of this.watchers) end(error);
    this.watchers.clear();
  }

  async send(
    request: PlainRequest,
    { signal }: { readonly signal: AbortSignal },
  ): Promise<PlainResponse> {
    this.requests.push(request.path);
    if (this.failures > 0) {
      this.failures -= 1;
      throw new Error('connection refused');
    }
    const query = new URLSearchParams(request.path.split('?')[1]);
    return query.get('watch') ? this.#watch(query, signal) : this.#list(query);
  }

  #list(query: URLSearchParams): PlainResponse {
    const [at = String(this.revision), from = '0'] = (query.get('continue') ?? '').split(':');
    const revision = at === '' ? this.revision : Number(at);
    if (revision < this.oldest) return answer(410, expired);
    const limit = Number(query.get('limit') ?? 1e9);
    const all = [...this.objects.values()];
    const items = all.slice(Number(from), Number(from) + limit);
    const more = Number(from) + limit < all.length;
    const next = more ? `${revision}:${Number(from) + limit}` : '';
    return answer(200, { metadata: { resourceVersion: String(revision), continue: next }, items });
  }

  #watch(query: URLSearchParams, signal: AbortSignal): PlainResponse {
    const from = Number(query.get('resourceVersion'));
    const waiting = this.history.filter(({ revision }) => revision > from).map((e) => e.line);
    const late = from < this.oldest ? [line({ type: 'ERROR', object: expired })] : waiting;
    let wake = (): void => {};
    let ended: { readonly error?: Error | undefined } | undefined;
    const watcher: Watcher = {
      push: (text) => {
        late.push(text);
        wake();
      },
      end: (error) => {
        ended = { error };
        wake();
      },
    };
    this.watchers.add(watcher);
    const abort = (): void => watcher.end(signal.reason);
    signal.addEventListener('abort', abort);
    const body = (async function* () {
      for (;;) {
        for (const text of late.splice(0)) yield new TextEncoder().encode(text);
        if (ended?.error !== undefined) throw ended.error;
        if (ended !== undefined) return;
        await new Promise<void>((resolve) => {
          wake = resolve;
        });
      }
    })();
    return { status: 200, headers: {}, body };
  }

  #tell(type: string, object: ConfigMap): void {
    const text = line({ type, object });
    this.history.push({ revision: this.revision, line: text });
    for (const { push } of this.watchers) push(text);
  }
}

const expired = {
  kind: 'Status',
  apiVersion: 'v1',
  metadata: {},
  status: 'Failure',
  reason: 'Expired',
  message: 'too old resource version',
  code: 410,
};

const line = (event: unknown): string => `${JSON.stringify(event)}\n`;

function answer(status: number, body: unknown): PlainResponse {
  return { status, headers: {}, body: new TextEncoder().encode(JSON.stringify(body)) };
}

interface World {
  readonly collection: Collection;
  readonly clock: VirtualClock;
  readonly informers: Informers;
  /** What the handlers were told, as `+ name=value`. */
  readonly told: string[];
  readonly stop: () => Promise<void>;
}

async function open(prepare?: (collection: Collection) => void): Promise<World> {
  const collection = new Collection();
  prepare?.(collection);
  const clock = new VirtualClock();
  const client = openClient({ transport: collection, clock });
  const deps = { client, clock, log: silentLog, random: seededRandom(1) };
  const informers = openInformers(deps, { freeze: true });
  const told: string[] = [];
  const say = (mark: string) => (object: ConfigMap) => {
    told.push(`${mark} ${object.metadata.name}=${object.data?.['value']}`);
  };
  informers.of(configMaps).addHandler({
    onAdd: say('+'),
    onUpdate: (object, old) => {
      say('~')(object);
      assert.notEqual(object.metadata.resourceVersion, old.metadata.resourceVersion);
    },
    onDelete: say('-'),
  });
  const controller = new AbortController();
  const running = informers.run(controller.signal);
  const stop = async (): Promise<void> => {
    controller.abort(new Error('the test is over'));
    await running;
  };
  await clock.advance(0);
  return { collection, clock, informers, told, stop };
}

test('lists, then follows the watch, without gap or repeat', async () => {
  const { collection, informers, told, stop } = await open((c) => c.put('a', '1'));
  const informer = informers.of(configMaps);
  assert.equal(informer.hasSynced, true);
  collection.put('b', '1');
  collection.put('a', '2');
  collection.remove('b');
  await settle();
  assert.deepEqual(told, ['+ a=1', '+ b=1', '~ a=2', '- b=1']);
  assert.deepEqual(
    [...informer.list()].map((object) => object.metadata.name),
    ['a'],
  );
  assert.equal(informer.get('web/a')?.data?.['value'], '2');
  await stop();
});

test('goes on from the last event or bookmark when a watch ends or breaks', async () => {
  const { collection, clock, told, stop } = await open();
  collection.put('a', '1');
  await settle();
  collection.endWatches();
  collection.put('b', '1');
  await clock.advance(1_000);
  collection.revision += 100;
  collection.bookmark();
  await settle();
  collection.endWatches(new Error('connection reset'));
  collection.compact();
  collection.put('c', '1');
  await clock.advance(1_000);
  assert.deepEqual(told, ['+ a=1', '+ b=1', '+ c=1']);
  const lists = collection.requests.filter((path) => !path.includes('watch='));
  assert.equal(lists.length, 1, 'nothing was listed again');
  await stop();
});

test('lists again after Expired and tells what it missed', async () => {
  const { collection, clock, told, informers, stop } = await open((c) => {
    c.put('a', '1');
    c.put('b', '1');
    c.put('c', '1');
    c.put('d', '1');
  });
  told.length = 0;
  collection.endWatches();
  collection.remove('a');
  collection.put('b', '2');
  collection.remove('d');
  collection.put('d', '1', 'another uid');
  collection.put('e', '1');
  collection.compact();
  await clock.advance(5_000);
  assert.deepEqual(told, ['- a=1', '~ b=2', '- d=1', '+ d=1', '+ e=1']);
  assert.equal(informers.of(configMaps).get('web/a'), undefined);
  await stop();
});

test('keeps asking, ever more seldom, while the server is away', async () => {
  const { collection, clock, told, stop } = await open((c) => {
    c.put('a', '1');
    c.failures = 8;
  });
  assert.deepEqual(told, []);
  await clock.advance(60_000);
  assert.deepEqual(told, ['+ a=1']);
  assert.equal(collection.requests.length, 10);
  await stop();
});

test('reads a long list in pages, and in one piece when the pages expire', async () => {
  const many = (c: Collection): void => {
    for (let i = 0; i < 1201; i++) c.put(`n${i}`, 'x');
  };
  const paged = await open(many);
  assert.equal(paged.told.length, 1201);
  assert.equal(paged.collection.requests.filter((path) => path.includes('limit=')).length, 3);
  await paged.stop();
  const overtaken = await open((c) => {
    many(c);
    const send = c.send.bind(c);
    c.send = async (request, options) => {
      const response = await send(request, options);
      // A write and a compaction come between the first page and the second.
      if (!request.path.includes('continue=')) {
        c.put('n0', 'y');
        c.compact();
      }
      return response;
    };
  });
  await overtaken.clock.advance(1_000);
  assert.equal(overtaken.told.filter((text) => text.startsWith('+')).length, 1201);
  await overtaken.stop();
});

test('keeps no managedFields, and nobody can change an object', async () => {
  const { informers, stop } = await open((c) => c.put('a', '1'));
  const object = informers.of(configMaps).get('web/a');
  assert.equal(object?.metadata.managedFields, undefined);
  assert.ok(Object.isFrozen(object?.data));
  await stop();
});

test('keeps metadata alone where nothing more was asked for', async () => {
  const { collection, clock, informers, stop } = await open((c) => c.put('a', '1'));
  const selection = { namespace: 'web', metadataOnly: true };
  const slim = informers.of(configMaps, selection);
  await clock.advance(0);
  assert.equal(slim.get('web/a')?.metadata.uid, 'uid-a');
  assert.equal(slim.get('web/a')?.data, undefined);
  assert.equal(informers.of(configMaps, selection), slim, 'shared');
  assert.equal(informers.of(configMaps, { metadataOnly: true }), informers.of(configMaps));
  assert.ok(collection.requests.some((path) => path.startsWith('/api/v1/namespaces/web/')));
  await stop();
});

test('finds by index, and follows changes of the indexed value', async () => {
  const { collection, informers, stop } = await open((c) => c.put('a', 'red'));
  const informer = informers.of(configMaps);
  informer.addIndex('colour', (object) => [object.data?.['value'] ?? '']);
  const find = (value: string): (string | undefined)[] =>
    [...informer.byIndex('colour', value)].map((object) => object.metadata.name);
  collection.put('b', 'blue');
  await settle();
  assert.deepEqual([find('red'), find('blue')], [['a'], ['b']]);
  collection.put('a', 'blue');
  collection.remove('b');
  await settle();
  assert.deepEqual([find('red'), find('blue')], [[], ['a']]);
  const inWeb = [...informer.listNamespace('web')].length;
  assert.deepEqual([inWeb, [...informer.listNamespace('other')].length], [1, 0]);
  await stop();
});

test('a handler that throws ends the run with its error', async () => {
  const collection = new Collection();
  collection.put('a', '1');
  const clock = new VirtualClock();
  const client = openClient({ transport: collection, clock });
  const informers = openInformers({ client, clock, log: silentLog, random: seededRandom(1) });
  const error = new Error('a bug');
  informers.of(configMaps).addHandler({
    onAdd: () => {
      throw error;
    },
  });
  await assert.rejects(informers.run(new AbortController().signal), error);
});

test('gives up a watch that outlives its time without a word', async () => {
  const { collection, clock, told, stop } = await open();
  // The connection is dead: the server knows of no watcher any more, the client of no end.
  collection.watchers.clear();
  collection.put('a', '1');
  await clock.advance(11 * 60_000);
  assert.deepEqual(told, ['+ a=1']);
  await stop();
});

test('a handler that wants to is told of everything again, so often', async () => {
  const { collection, clock, informers, stop } = await open();
  collection.put('a', '1');
  await settle();
  const seen: string[] = [];
  informers.of(configMaps).addHandler({
    resyncMs: 60_000,
    onUpdate: (object, old) => seen.push(`${object.metadata.name} ${object === old}`),
  });
  await clock.advance(59_000);
  assert.deepEqual(seen, []);
  await clock.advance(61_000);
  assert.deepEqual(seen, ['a true', 'a true']);
  await stop();
});
