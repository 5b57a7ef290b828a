/** The three patches: what they make of an object, and how bad ones are refused. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { covers } from '#test/covers.ts';
import { ApiError } from './errors.ts';
import { applyJsonPatch, applyMergePatch, applyStrategicPatch } from './patch.ts';
import type { Definitions, Schema } from './schema.ts';

const container: Schema = {
  type: 'object',
  fields: {
    name: { type: 'string' },
    image: { type: 'string' },
    command: { type: 'array', items: { type: 'string' } },
    ports: {
      type: 'array',
      items: { type: 'object', fields: { containerPort: { type: 'integer' } } },
      patchMergeKey: 'containerPort',
      patchStrategy: 'merge',
    },
  },
};
const known: Readonly<Record<string, Schema>> = {
  Container: container,
  Thing: {
    type: 'object',
    fields: {
      metadata: {
        type: 'object',
        fields: {
          labels: { type: 'object', values: { type: 'string' } },
          finalizers: { type: 'array', items: { type: 'string' }, patchStrategy: 'merge' },
        },
      },
      spec: {
        type: 'object',
        fields: {
          replicas: { type: 'integer' },
          containers: {
            type: 'array',
            items: { ref: 'Container' },
            patchMergeKey: 'name',
            patchStrategy: 'merge',
          },
          tolerations: { type: 'array', items: { type: 'object' } },
          strategy: {
            type: 'object',
            patchStrategy: 'retainKeys',
            fields: {
              type: { type: 'string' },
              rollingUpdate: { type: 'object', fields: { maxSurge: { type: 'integer' } } },
            },
          },
          keyless: { type: 'array', items: { type: 'object' }, patchStrategy: 'merge' },
        },
      },
    },
  },
};
const definitions: Definitions = { get: (name) => known[name] };

const strategic = (target: unknown, patch: unknown): unknown =>
  applyStrategicPatch(target, patch, { ref: 'Thing' }, definitions);

const withContainers = (...names: string[]) => ({
  spec: { containers: names.map((name) => ({ name, image: `${name}:1` })) },
});

function namesOf(object: unknown): readonly string[] {
  return Object(object).spec.containers.map(({ name }: { name: string }) => name);
}

function refused(apply: () => unknown): { readonly code: number; readonly why: string } {
  try {
    apply();
  } catch (error) {
    assert.ok(error instanceof ApiError, String(error));
    const why = error.status.details?.causes?.[0]?.message ?? error.message;
    return { code: error.status.code, why };
  }
  return { code: 200, why: 'accepted' };
}

test('a JSON patch changes one place after the other', () => {
  const target = { a: [1, 2], b: { c: 'x' } };
  const result = applyJsonPatch(target, [
    { op: 'test', path: '/b/c', value: 'x' },
    { op: 'add', path: '/a/-', value: 3 },
    { op: 'add', path: '/a/0', value: 0 },
    { op: 'replace', path: '/b/c', value: { d: null } },
    { op: 'copy', from: '/a/3', path: '/b/e' },
    { op: 'move', from: '/a/1', path: '/f' },
    { op: 'remove', path: '/a/0' },
  ]);
  assert.deepEqual(result, { a: [2, 3], b: { c: { d: null }, e: 3 }, f: 1 });
  assert.deepEqual(target, { a: [1, 2], b: { c: 'x' } });
});

test('a JSON pointer escapes slashes and tildes', () => {
  covers('API-135');
  const path = '/status/capacity/example.com~1foo~0bar';
  assert.deepEqual(
    applyJsonPatch({ status: { capacity: {} } }, [{ op: 'add', path, value: '4' }]),
    {
      status: { capacity: { 'example.com/foo~bar': '4' } },
    },
  );
});

test('a JSON patch that does not fit is refused', () => {
  const target = { a: [1], b: {} };
  const one = (operation: unknown) => refused(() => applyJsonPatch(target, [operation]));
  const why = 'the server rejected our request due to an error in our request';
  // A member that is not there is added.
  assert.equal(one({ op: 'replace', path: '/x', value: 1 }).code, 200);
  assert.deepEqual(one({ op: 'replace', path: '/x/y', value: 1 }), { code: 422, why });
  assert.deepEqual(one({ op: 'test', path: '/a/0', value: 2 }), { code: 422, why });
  assert.equal(one({ op: 'remove', path: '/a/7' }).code, 422);
  assert.equal(one({ op: 'add', path: '/x/y', value: 1 }).code, 422);
  assert.equal(one({ op: 'test', path: '/b/absent', value: null }).code, 200);
  assert.equal(one({ op: 'jump', path: '/a' }).code, 422);
  assert.equal(one({ op: 'copy', path: '/a' }).code, 422);
  assert.equal(refused(() => applyJsonPatch(target, { op: 'add' })).code, 400);
  const endless = Array.from({ length: 10_001 }, () => ({ op: 'test', path: '/b', value: {} }));
  assert.equal(refused(() => applyJsonPatch(target, endless)).code, 413);
});

test('a merge patch merges objects, replaces lists and removes with null', () => {
  covers('API-109');
  const target = { a: { b: 1, c: 2 }, d: [1, 2], e: 'x' };
  assert.deepEqual(applyMergePatch(target, { a: { b: null, f: { g: null } }, d: [3] }), {
    a: { c: 2, f: {} },
    d: [3],
    e: 'x',
  });
  assert.deepEqual(target.a, { b: 1, c: 2 });
  assert.equal(refused(() => applyMergePatch(target, [1])).code, 400);
  const patch = JSON.parse('{"__proto__": {"polluted": true}}');
  assert.equal(Object.getPrototypeOf(applyMergePatch({}, patch)), Object.prototype);
});

test('a strategic patch merges lists by their key, new items first', () => {
  covers('API-108');
  const result = strategic(withContainers('nginx'), {
    spec: { containers: [{ name: 'redis', image: 'redis' }] },
  });
  assert.deepEqual(result, {
    spec: {
      containers: [
        { name: 'redis', image: 'redis' },
        { name: 'nginx', image: 'nginx:1' },
      ],
    },
  });
  const changed = strategic(withContainers('a', 'b'), {
    spec: { containers: [{ name: 'b', image: 'b:2' }] },
  });
  assert.deepEqual(changed, {
    spec: {
      containers: [
        { name: 'a', image: 'a:1' },
        { name: 'b', image: 'b:2' },
      ],
    },
  });
});

test('a strategic patch merges the given fields and removes with null', () => {
  covers('API-070');
  const target = { metadata: { labels: { a: '1', b: '2' } }, spec: { replicas: 3 } };
  assert.deepEqual(
    strategic(target, { metadata: { labels: { a: null, c: '3' } }, spec: { replicas: 5 } }),
    { metadata: { labels: { b: '2', c: '3' } }, spec: { replicas: 5 } },
  );
});

test('lists without a strategy are replaced', () => {
  const target = {
    spec: { tolerations: [{ key: 'a' }], containers: [{ name: 'x', command: ['a'] }] },
  };
  assert.deepEqual(
    strategic(target, {
      spec: { tolerations: [{ key: 'b' }], containers: [{ name: 'x', command: ['b'] }] },
    }),
    { spec: { tolerations: [{ key: 'b' }], containers: [{ name: 'x', command: ['b'] }] } },
  );
});

test('directives delete, replace and order items', () => {
  const abc = withContainers('a', 'b', 'c');
  assert.deepEqual(
    namesOf(strategic(abc, { spec: { containers: [{ name: 'b', $patch: 'delete' }] } })),
    ['a', 'c'],
  );
  assert.deepEqual(
    namesOf(strategic(abc, { spec: { containers: [{ name: 'z' }, { $patch: 'replace' }] } })),
    ['z'],
  );
  const order = ['c', 'a'].map((name) => ({ name }));
  assert.deepEqual(namesOf(strategic(abc, { spec: { '$setElementOrder/containers': order } })), [
    'b',
    'c',
    'a',
  ]);
  const both = {
    spec: {
      '$setElementOrder/containers': [{ name: 'c' }, { name: 'new' }, { name: 'a' }],
      containers: [{ name: 'new' }, { name: 'b', $patch: 'delete' }],
    },
  };
  assert.deepEqual(namesOf(strategic(abc, both)), ['c', 'new', 'a']);
});

test('directives on objects', () => {
  const target = { spec: { strategy: { type: 'RollingUpdate', rollingUpdate: { maxSurge: 1 } } } };
  assert.deepEqual(
    strategic(target, { spec: { strategy: { $retainKeys: ['type'], type: 'Recreate' } } }),
    { spec: { strategy: { type: 'Recreate' } } },
  );
  assert.deepEqual(
    strategic(target, { spec: { strategy: { $patch: 'replace', type: 'Recreate' } } }),
    { spec: { strategy: { type: 'Recreate' } } },
  );
  assert.deepEqual(strategic(target, { spec: { strategy: { $patch: 'delete' } } }), { spec: {} });
  const mismatch = { spec: { strategy: { $retainKeys: ['type'], rollingUpdate: {} } } };
  assert.equal(refused(() => strategic(target, mismatch)).code, 400);
  const unknown = { spec: { strategy: { $patch: 'melt' } } };
  assert.deepEqual(
    refused(() => strategic(target, unknown)),
    {
      code: 500,
      why: 'unknown patch type: melt in map: map[$patch:melt]',
    },
  );
});

test('lists of plain values are merged as sets', () => {
  const target = { metadata: { finalizers: ['a', 'b'] } };
  assert.deepEqual(strategic(target, { metadata: { finalizers: ['b', 'c'] } }), {
    metadata: { finalizers: ['a', 'b', 'c'] },
  });
  assert.deepEqual(
    strategic(target, { metadata: { '$deleteFromPrimitiveList/finalizers': ['a'] } }),
    { metadata: { finalizers: ['b'] } },
  );
});

test('a patch without what merging needs is refused', () => {
  assert.equal(
    refused(() => strategic(withContainers('a'), { spec: { containers: [{ image: 'x' }] } })).why,
    'map: map[image:x] does not contain declared merge key: name',
  );
  const keyless = { spec: { keyless: [{ a: 1 }] } };
  assert.equal(refused(() => strategic(keyless, keyless)).code, 500);
  assert.equal(refused(() => strategic({}, 'x')).code, 400);
});

test('directives never reach the object, also where nothing was before', () => {
  const patch = {
    spec: {
      $patch: 'replace',
      containers: [
        { name: 'a', ports: [{ containerPort: 1, $patch: 'delete' }, { containerPort: 2 }] },
        { name: 'b', $patch: 'delete' },
      ],
      strategy: { $retainKeys: ['type'], type: 'x' },
    },
  };
  for (const target of [{}, { spec: { replicas: 1 } }]) {
    assert.deepEqual(strategic(target, patch), {
      spec: {
        containers: [{ name: 'a', ports: [{ containerPort: 2 }] }],
        strategy: { type: 'x' },
      },
    });
  }
  const fresh = strategic({}, { spec: { containers: [{ name: 'b', $patch: 'delete' }] } });
  assert.doesNotMatch(JSON.stringify(fresh), /\$/);
});

test('what is patched is left as it was', () => {
  const freeze = (value: unknown): unknown => {
    if (typeof value === 'object' && value !== null) {
      for (const member of Object.values(value)) freeze(member);
    }
    return Object.freeze(value);
  };
  const target = freeze(withContainers('a', 'b'));
  strategic(target, freeze({ spec: { containers: [{ name: 'b', ports: [] }, { name: 'c' }] } }));
  applyJsonPatch(target, [{ op: 'remove', path: '/spec/containers/0' }]);
  applyMergePatch(target, { spec: { containers: null } });
  assert.deepEqual(target, withContainers('a', 'b'));
});

test('a JSON patch of too many operations is refused for its size', () => {
  const add = { op: 'add', path: '/a', value: 1 };
  const patch = Array.from({ length: 10_001 }, () => add);
  assert.throws(() => applyJsonPatch({}, patch), {
    message:
      'Request entity too large: The allowed maximum operations in a JSON patch is 10000, got 10001',
  });
});
