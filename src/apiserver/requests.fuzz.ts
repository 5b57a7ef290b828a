/**
 * Requests at random: good ones of several kinds in JSON, YAML and protobuf, patches of every sort,
 * selectors, continue tokens, revisions and paths, with bytes exchanged, cut out, doubled and mixed
 * with what often hurts. Whatever comes, the server answers in words of its own: a broken invariant
 * or an unexpected error is thrown at us (`rethrowBugs`), and 500 is an answer to nothing but what
 * upstream answers so. The canary is a kind whose validation trusts its input.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Resource } from '#api/resource.ts';
import { type Random, seededRandom, systemRandom } from '#kit/random.ts';
import { loadDescriptors, openCatalog } from '#resources/resources.ts';
import { openTestServer, type TestServer } from '#test/fixtures.ts';

const seed = Number(process.env['CORACLE_SEED'] ?? systemRandom().integer(2 ** 31));
const rounds = Number(process.env['CORACLE_FUZZ_ITERATIONS'] ?? 1_500);

const space = '/api/v1/namespaces/default';
const apps = '/apis/apps/v1/namespaces/default';
const template = {
  metadata: { labels: { app: 'x' } },
  spec: { containers: [{ name: 'main', image: 'a', resources: { limits: { cpu: '100m' } } }] },
};
const selector = { matchLabels: { app: 'x' } };

/** `[path of the collection, a body that would be stored]`. */
const objects: readonly (readonly [string, object])[] = [
  [`${space}/configmaps`, { data: { a: 'b' }, binaryData: { c: 'AAEC' } }],
  [`${space}/secrets`, { stringData: { a: 'b' }, type: 'Opaque' }],
  [
    `${space}/services`,
    { spec: { ports: [{ port: 80, targetPort: 'web' }], selector: { a: 'b' } } },
  ],
  [`${space}/pods`, { ...template }],
  [`${apps}/deployments`, { spec: { replicas: 2, selector, template } }],
  [
    '/apis/batch/v1/namespaces/default/jobs',
    { spec: { template: { spec: { ...template.spec, restartPolicy: 'Never' } } } },
  ],
  ['/api/v1/namespaces', {}],
];

const hurtful = [
  ...['null', '[]', '{}', '""', '-1', '1e999', '99999999999999999999', '\u0000', '\ud800', '../'],
  ...['__proto__', 'constructor', '%00', '%2f', '$patch', '- ', '&a', '*a', '!!binary', '\uffff'],
  ...['9223372036854775808', '0.1m', '1Ei', 'true', ',', ':', '"', '\\', '{', '[', ' in (', '!='],
];

class Fuzzer {
  readonly #random: Random;

  constructor(random: Random) {
    this.#random = random;
  }

  integer(below: number): number {
    return this.#random.integer(below);
  }

  pick<T>(from: readonly T[]): T {
    const picked = from[this.#random.integer(from.length)];
    assert.ok(picked !== undefined);
    return picked;
  }

  /** Now and then as it is, mostly hurt in a few places. */
  hurt(text: string): Buffer {
    let bytes: Buffer = Buffer.from(text, 'utf8');
    for (let times = this.integer(4); times > 0; times--) bytes = this.#hurtOnce(bytes);
    return bytes;
  }

  /** The same value, or one member somewhere in it gone or exchanged. */
  damage(value: unknown): unknown {
    if (typeof value !== 'object' || value === null || this.integer(3) === 0) {
      return this.pick<unknown>([value, null, 'x', 7, {}, [value]]);
    }
    const entries = Object.entries(value);
    if (entries.length === 0) return value;
    const [key, member] = this.pick(entries);
    const rest = entries.filter(([name]) => name !== key);
    const kept = this.integer(3) === 0 ? rest : [...rest, [key, this.damage(member)]];
    return Array.isArray(value) ? kept.map(([, one]) => one) : Object.fromEntries(kept);
  }

  #hurtOnce(bytes: Buffer): Buffer {
    const at = this.integer(bytes.length + 1);
    const to = Math.min(bytes.length, at + this.integer(12));
    const cut = (middle: Buffer): Buffer =>
      Buffer.concat([bytes.subarray(0, at), middle, bytes.subarray(to)]);
    switch (this.integer(5)) {
      case 0:
        return cut(Buffer.alloc(0));
      case 1:
        return cut(Buffer.from(this.pick(hurtful)));
      case 2:
        return cut(Buffer.from([this.integer(256)]));
      case 3:
        return cut(Buffer.concat([bytes.subarray(at, to), bytes.subarray(at, to)]));
      default:
        return bytes.subarray(0, at);
    }
  }
}

interface Request {
  readonly method: string;
  readonly path: string;
  readonly body?: Buffer;
  readonly headers?: Readonly<Record<string, string>>;
}

const patchTypes = [
  'application/json-patch+json',
  'application/merge-patch+json',
  'application/strategic-merge-patch+json',
  'application/apply-patch+yaml',
];

function write(fuzzer: Fuzzer): Request {
  const [path, body] = fuzzer.pick(objects);
  const name = `x${fuzzer.integer(5)}`;
  const object = { metadata: { name, labels: { a: 'b' } }, ...body };
  const isDamaged = fuzzer.integer(2) === 0;
  const text = JSON.stringify(isDamaged ? fuzzer.damage(object) : object);
  const type = fuzzer.pick(['json', 'json', 'yaml', 'vnd.kubernetes.protobuf']);
  const isProtobuf = type.startsWith('vnd');
  const magic = Buffer.from([0x6b, 0x38, 0x73, 0x00, 0x0a, 0x0f]);
  const hurt = isDamaged ? Buffer.from(text) : fuzzer.hurt(text);
  const headers = { 'content-type': `application/${type}` };
  const query = fuzzer.pick(['', '?fieldValidation=Strict', '?dryRun=All', '?fieldManager=me']);
  return {
    method: fuzzer.pick(['POST', 'POST', 'PUT']),
    path: fuzzer.integer(3) === 0 ? `${path}/${name}${query}` : `${path}${query}`,
    body: isProtobuf ? Buffer.concat([magic, hurt]) : hurt,
    headers,
  };
}

function patch(fuzzer: Fuzzer): Request {
  const [path, body] = fuzzer.pick(objects);
  const type = fuzzer.pick(patchTypes);
  const pointers = ['/metadata/labels/a', '/spec', '/data/a', '/metadata/finalizers/-', ''];
  const operation = {
    op: fuzzer.pick(['add', 'remove', 'replace', 'move', 'copy', 'test']),
    path: fuzzer.pick(pointers),
    from: fuzzer.pick(pointers),
    value: fuzzer.pick<unknown>([null, 'x', {}, [], 1]),
  };
  const value = type.includes('json-patch') ? [operation] : body;
  const sub = fuzzer.pick(['', '', '/status', '/scale', '/finalize']);
  return {
    method: 'PATCH',
    path: `${path}/x${fuzzer.integer(5)}${sub}?fieldManager=me&force=true`,
    body: fuzzer.hurt(JSON.stringify(value)),
    headers: { 'content-type': type },
  };
}

function read(fuzzer: Fuzzer): Request {
  const [path] = fuzzer.pick(objects);
  const token = Buffer.from('{"v":"meta.k8s.io/v1","rv":5,"start":"x1\u0000"}').toString(
    'base64url',
  );
  const queries = [
    'labelSelector=a+in+(b,c),!d,e!=f',
    'fieldSelector=metadata.name=x1,metadata.namespace!=y',
    `continue=${token}&limit=2`,
    'resourceVersion=5&resourceVersionMatch=Exact',
    'limit=3&timeoutSeconds=1',
    'pretty=true',
  ];
  const accept = fuzzer.pick([
    'application/json',
    'application/yaml',
    'application/vnd.kubernetes.protobuf',
    'application/json;as=Table;v=v1;g=meta.k8s.io',
    fuzzer.hurt('application/json;q=0.5,*/*').toString('latin1'),
  ]);
  const query = fuzzer.hurt(fuzzer.pick(queries)).toString('latin1');
  const hurtPath = fuzzer.integer(4) === 0 ? fuzzer.hurt(path).toString('latin1') : path;
  const method = fuzzer.pick(['GET', 'GET', 'GET', 'DELETE']);
  const one = method === 'DELETE' || fuzzer.integer(3) === 0 ? `/x${fuzzer.integer(5)}` : '';
  return { method, path: `${hurtPath}${one}?${query}`, headers: { accept } };
}

/** Answers of the server's own making that are upstream's, too, though they begin with a 5. */
function isExpected(status: number, text: string): boolean {
  if (status < 500) return true;
  return (
    status === 504 ||
    /strconv|unknown patch type|unable to find api field|no corresponding/.test(text)
  );
}

async function run(server: TestServer, random: Random, count: number): Promise<readonly number[]> {
  const fuzzer = new Fuzzer(random);
  // No controller makes it here, and pods would wait for it.
  await server.request('POST', `${space}/serviceaccounts`, { metadata: { name: 'default' } });
  const statuses: number[] = [];
  for (let round = 0; round < count; round++) {
    const request = fuzzer.pick([write, write, patch, read])(fuzzer);
    const { method, path, body, headers = {} } = request;
    // A watch would not end by itself.
    if (/[?&]watch/.test(path) || path.includes('/watch/')) continue;
    const answer = await server.request(method, path, body, { headers });
    const { status, text } = answer;
    const what = `${method} ${path} ${JSON.stringify(headers)} ${body?.toString('latin1') ?? ''}`;
    assert.ok(isExpected(status, text), `${status} ${text.slice(0, 300)} to ${what}`);
    statuses.push(status);
  }
  return statuses;
}

test(`random requests are answered, whatever they are (seed ${seed})`, async () => {
  await using server = await openTestServer();
  const statuses = await run(server, seededRandom(seed), rounds);
  assert.equal(server.server.bugs, 0);
  const share = (from: number) =>
    statuses.filter((status) => status >= from && status < from + 100).length / statuses.length;
  // Neither all good nor all bad would say much.
  assert.ok(share(200) > 0.05 && share(400) > 0.2, `${share(200)} good, ${share(400)} refused`);
});

test('canary: a validator that trusts its input is found', async () => {
  const catalog = openCatalog();
  const plain = loadDescriptors().find(({ kind }) => kind === 'ConfigMap');
  const served = catalog.findKind({ group: '', version: 'v1' }, 'ConfigMap');
  assert.ok(plain !== undefined && served !== undefined);
  catalog.remove(served.resource);
  const trusting: Resource = {
    ...plain,
    validate: (hub) => {
      // Stands for all code that reads what was not checked to be there.
      const { data } = hub as unknown as { readonly data: Readonly<Record<string, string>> };
      return Object.keys(data).length < 0 ? [] : [];
    },
  };
  catalog.add(trusting);
  await using server = await openTestServer({ catalog });
  await assert.rejects(run(server, seededRandom(1), 2_000), TypeError);
});
