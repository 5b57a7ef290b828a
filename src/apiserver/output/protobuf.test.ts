/**
 * Answers in protobuf: every kind goes there and back, and lists, watches, errors and metadata have
 * the frames that clients expect.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Catalog } from '#api/catalog.ts';
import { formatGroupVersion } from '#api/object.ts';
import type { Schema } from '#api/schema.ts';
import { formatMicroTime, formatTime } from '#kit/clock.ts';
import { Reader } from '#kit/protobuf-wire.ts';
import { type Random, seededRandom } from '#kit/random.ts';
import { openCatalog } from '#resources/resources.ts';
import { covers } from '#test/covers.ts';
import { openTestServer, type TestServer } from '#test/fixtures.ts';
import { ProtobufBodies } from '../protobuf-body.ts';
import { ProtobufOutput } from './protobuf.ts';

const type = 'application/vnd.kubernetes.protobuf';
const maps = '/api/v1/namespaces/default/configmaps';

/** Objects from a schema, nothing empty: protobuf does not keep empty and absent apart. */
class Generator {
  readonly #random: Random;
  readonly #catalog: Catalog;

  constructor(random: Random, catalog: Catalog) {
    this.#random = random;
    this.#catalog = catalog;
  }

  value(schema: Schema, depth: number): unknown {
    if (schema.ref !== undefined) {
      return this.value(this.#catalog.get(schema.ref) ?? { opaque: true }, depth);
    }
    if (schema.opaque === true) return { any: { thing: [1, 'ü'] } };
    if (schema.fields !== undefined) {
      // Deep down only what is flat, so that it ends; on top all, so that nothing is left out.
      const isWhole = schema.fields['metadata'] !== undefined;
      const entries = Object.entries(schema.fields)
        // Of a whole object inside another one, protobuf has no kind.
        .filter(([name]) => !isWhole || (name !== 'kind' && name !== 'apiVersion'))
        .filter(() => depth < 2 || this.#random.integer(depth) < 2)
        .map(([name, field]) => [name, this.value(field, depth + 1)] as const);
      const found = entries.filter(([, value]) => value !== undefined);
      return found.length === 0 && depth > 0 ? undefined : Object.fromEntries(found);
    }
    const { items, values } = schema;
    if (items !== undefined) {
      const list = [1, 2].map(() => this.value(items, depth + 1));
      return list.some((item) => item === undefined) ? undefined : list;
    }
    if (values !== undefined) {
      const value = this.value(values, depth + 1);
      return value === undefined ? undefined : { 'a/b': value, c: value };
    }
    return this.#scalar(schema);
  }

  #scalar({ type: name, format }: Schema): unknown {
    const number = 1 + this.#random.integer(2 ** 31 - 2);
    switch (format) {
      case 'byte':
        return Buffer.from(`bytes ${number}`).toString('base64');
      case 'date-time':
        return formatTime(number * 1000);
      case 'micro-time':
        return formatMicroTime(number * 1000);
      case 'quantity':
        return `${number}m`;
      case 'int-or-string':
        return number % 2 === 0 ? number : `${number}%`;
      case 'double':
        return number / 4;
      case 'int64':
        return number % 2 === 0 ? -number : number * 100_000;
      default:
    }
    if (name === 'boolean') return true;
    if (name === 'integer') return number;
    if (name === 'number') return number / 4;
    return `text ${number} ü`;
  }
}

test('every kind and version goes to protobuf and comes back the same', () => {
  const catalog = openCatalog();
  const [output, bodies] = [new ProtobufOutput(catalog), new ProtobufBodies(catalog)];
  const generator = new Generator(seededRandom(7), catalog);
  const without: string[] = [];
  let compared = 0;
  for (const { kind, views } of catalog.resources) {
    for (const [index, view] of views.entries()) {
      const apiVersion = formatGroupVersion(view);
      const isKnown = output.knows(apiVersion, kind);
      if (!isKnown && index === 0) without.push(`${apiVersion} ${kind}`);
      for (let round = 0; round < 8 && isKnown; round++) {
        const generated = generator.value(view.schema, 0);
        const object = { ...(generated as object), apiVersion, kind };
        const bytes = output.object(object);
        assert.ok(bytes !== undefined);
        assert.deepEqual(bodies.decode(bytes), object, `${apiVersion} ${kind}`);
        compared += 1;
      }
    }
  }
  // Versions that upstream has dropped altogether have no numbers any more; they stay JSON.
  assert.deepEqual(without, []);
  assert.ok(compared > 200);
});

interface Raw {
  readonly status: number;
  readonly contentType: string | undefined;
  readonly bytes: Buffer;
}

async function raw(server: TestServer, path: string, accept = type): Promise<Raw> {
  const { signal } = new AbortController();
  const request = { method: 'GET', path, headers: { accept } };
  const { status, headers, body } = await server.transport.send(request, { signal });
  const parts: Uint8Array[] = [];
  if (body instanceof Uint8Array) parts.push(body);
  else for await (const part of body) parts.push(part);
  return { status, contentType: headers['content-type'], bytes: Buffer.concat(parts) };
}

interface Wire {
  readonly number: number;
  readonly bytes: Buffer;
}

/** The length-delimited fields of a message. */
function fieldsOf(message: Uint8Array): readonly Wire[] {
  const reader = new Reader(message);
  const found: Wire[] = [];
  while (reader.offset < message.length) {
    const tag = reader.whole();
    if (tag % 8 === 2) found.push({ number: tag >> 3, bytes: Buffer.from(reader.bytes()) });
    else reader.skip(tag % 8);
  }
  return found;
}

function envelopeOf(bytes: Buffer): { kind: string; apiVersion: string; raw: Buffer } {
  assert.equal(bytes.subarray(0, 4).toString('latin1'), 'k8s\0');
  const [typeMeta, message] = fieldsOf(bytes.subarray(4));
  assert.ok(typeMeta?.number === 1 && message?.number === 2);
  const [apiVersion = '', kind = ''] = fieldsOf(typeMeta.bytes).map(({ bytes: text }) => `${text}`);
  return { apiVersion, kind, raw: message.bytes };
}

async function withMaps(count: number): Promise<TestServer> {
  const server = await openTestServer();
  for (let index = 0; index < count; index++) {
    const body = { metadata: { name: `c${index}`, labels: { a: 'b' } }, data: { key: 'value' } };
    assert.equal((await server.request('POST', maps, body)).status, 201);
  }
  return server;
}

test('get answers in protobuf, and the same again from the cache', async () => {
  covers('API-048');
  await using server = await withMaps(1);
  const bodies = new ProtobufBodies(server.catalog);
  const first = await raw(server, `${maps}/c0`);
  assert.deepEqual([first.status, first.contentType], [200, type]);
  assert.deepEqual((await raw(server, `${maps}/c0`)).bytes, first.bytes);
  const { body } = await server.request('GET', `${maps}/c0`);
  assert.deepEqual(bodies.decode(first.bytes), body);
  await server.request('PATCH', `${maps}/c0`, { data: { key: 'other' } });
  const { body: changed } = await server.request('GET', `${maps}/c0`);
  assert.deepEqual(bodies.decode((await raw(server, `${maps}/c0`)).bytes), changed);
});

test('a list is one envelope around its metadata and its items', async () => {
  await using server = await withMaps(3);
  const list = await raw(server, `${maps}?limit=2`);
  const { kind, apiVersion, raw: message } = envelopeOf(list.bytes);
  assert.deepEqual([kind, apiVersion], ['ConfigMapList', 'v1']);
  const [metadata, ...items] = fieldsOf(message);
  const { body } = await server.request('GET', `${maps}?limit=2`);
  assert.ok(metadata?.bytes.includes(body.metadata.continue));
  assert.deepEqual(
    items.map(({ bytes }) => `${fieldsOf(fieldsOf(bytes)[0]?.bytes ?? bytes)[0]?.bytes}`),
    ['c0', 'c1'],
  );
  const bodies = new ProtobufBodies(server.catalog);
  assert.deepEqual(bodies.decode(list.bytes), {
    ...body,
    items: body.items.map(({ metadata, data }: Record<string, unknown>) => ({ metadata, data })),
  });
});

test('a long list comes in pieces and is whole', async () => {
  await using server = await openTestServer();
  const text = 'x'.repeat(20_000);
  for (let index = 0; index < 30; index++) {
    await server.request('POST', maps, { metadata: { name: `c${index}` }, data: { text } });
  }
  const list = await raw(server, maps);
  assert.ok(list.bytes.length > 600_000);
  assert.equal(fieldsOf(envelopeOf(list.bytes).raw).length, 31);
});

test('a watch is frames of a length and an event, with its bookmark and its objects', async () => {
  await using server = await withMaps(1);
  const controller = new AbortController();
  const query = 'watch=true&sendInitialEvents=true&resourceVersionMatch=NotOlderThan';
  const path = `${maps}?${query}&allowWatchBookmarks=true`;
  const { headers, body } = await server.transport.send(
    { method: 'GET', path, headers: { accept: `${type},application/json` } },
    { signal: controller.signal },
  );
  assert.equal(headers['content-type'], `${type};stream=watch`);
  assert.ok(!(body instanceof Uint8Array));
  const parts = body[Symbol.asyncIterator]();
  const bodies = new ProtobufBodies(server.catalog);
  let buffered = Buffer.alloc(0);
  const next = async (): Promise<{ event: string; object: Record<string, unknown> }> => {
    while (buffered.length < 4 || buffered.length < 4 + buffered.readUInt32BE(0)) {
      const part = await parts.next();
      buffered = Buffer.concat([buffered, part.value ?? Buffer.alloc(0)]);
    }
    const end = 4 + buffered.readUInt32BE(0);
    const [event, object] = fieldsOf(buffered.subarray(4, end));
    buffered = buffered.subarray(end);
    const [content] = fieldsOf(object?.bytes ?? Buffer.alloc(0));
    const decoded = bodies.decode(content?.bytes ?? Buffer.alloc(0));
    return { event: `${event?.bytes}`, object: decoded as Record<string, unknown> };
  };
  const initial = await next();
  const { body: stored } = await server.request('GET', `${maps}/c0`);
  assert.deepEqual(initial, { event: 'ADDED', object: stored });
  const bookmark = await next();
  assert.equal(bookmark.event, 'BOOKMARK');
  assert.deepEqual(bookmark.object['metadata'], {
    resourceVersion: stored.metadata.resourceVersion,
    annotations: { 'k8s.io/initial-events-end': 'true' },
  });
  await server.request('PATCH', `${maps}/c0`, { data: { key: '2' } });
  const { body: patched } = await server.request('GET', `${maps}/c0`);
  assert.deepEqual(await next(), { event: 'MODIFIED', object: patched });
  await server.request('DELETE', `${maps}/c0`);
  const deleted = await next();
  assert.equal(deleted.event, 'DELETED');
  assert.deepEqual(deleted.object['data'], { key: '2' });
  controller.abort();
});

test('errors come in the encoding that was asked for', async () => {
  await using server = await openTestServer();
  const missing = await raw(server, `${maps}/none`);
  assert.deepEqual([missing.status, missing.contentType], [404, type]);
  const { body } = await server.request('GET', `${maps}/none`);
  assert.deepEqual(new ProtobufBodies(server.catalog).decode(missing.bytes), body);
});

test('a Table is not made in protobuf; metadata alone is', async () => {
  await using server = await withMaps(2);
  const asTable = `${type};as=Table;v=v1;g=meta.k8s.io`;
  assert.equal((await raw(server, maps, asTable)).status, 406);
  const fallen = await raw(server, maps, `${asTable},application/json;as=Table;v=v1;g=meta.k8s.io`);
  assert.equal(fallen.contentType, 'application/json');
  assert.equal(JSON.parse(`${fallen.bytes}`).kind, 'Table');
  const partial = `${type};as=PartialObjectMetadata;v=v1;g=meta.k8s.io`;
  const one = envelopeOf((await raw(server, `${maps}/c1`, partial)).bytes);
  assert.deepEqual([one.kind, one.apiVersion], ['PartialObjectMetadata', 'meta.k8s.io/v1']);
  assert.deepEqual(
    fieldsOf(one.raw).map(({ number }) => number),
    [1],
  );
  const partials = `${type};as=PartialObjectMetadataList;v=v1;g=meta.k8s.io`;
  const list = envelopeOf((await raw(server, maps, partials)).bytes);
  assert.equal(list.kind, 'PartialObjectMetadataList');
  assert.equal(fieldsOf(list.raw).length, 3);
});

test('what clients send beside protobuf still gets what it asks for', async () => {
  await using server = await withMaps(1);
  const get = async (accept: string) => (await raw(server, `${maps}/c0`, accept)).contentType;
  assert.equal(await get(`${type},application/json`), type);
  assert.equal(await get(`application/json,${type}`), 'application/json');
  assert.equal(await get(`${type};q=0.5,application/json`), 'application/json');
  assert.equal(await get('*/*'), 'application/json');
  assert.equal((await raw(server, '/api')).contentType, 'application/json');
});
