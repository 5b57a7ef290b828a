/** Selectors: the grammar, what matches, and how they are printed. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { covers } from '#test/covers.ts';
import { ApiError } from './errors.ts';
import {
  formatLabelSelector,
  labelSelectorMatches,
  mapMatches,
  parseFieldSelector,
  parseLabelSelector,
} from './selectors.ts';

function matching(selector: string): readonly string[] {
  const { matches } = parseLabelSelector(selector);
  return Object.entries(objects)
    .filter(([, labels]) => matches(labels))
    .map(([name]) => name);
}

const objects: Readonly<Record<string, Record<string, string>>> = {
  web: { app: 'web', tier: 'frontend', weight: '5' },
  api: { app: 'api', tier: 'backend' },
  db: { app: 'db', tier: '' },
  bare: {},
};

test('equality', () => {
  covers('API-038');
  assert.deepEqual(matching('app=web'), ['web']);
  assert.deepEqual(matching('app==web'), ['web']);
  assert.deepEqual(matching('tier!=frontend'), ['api', 'db', 'bare']);
  assert.deepEqual(matching('tier='), ['db']);
});

test('sets and existence', () => {
  covers('API-039');
  assert.deepEqual(matching('tier in (frontend, backend)'), ['web', 'api']);
  assert.deepEqual(matching('tier notin (frontend,backend)'), ['db', 'bare']);
  assert.deepEqual(matching('tier'), ['web', 'api', 'db']);
  assert.deepEqual(matching('!tier'), ['bare']);
  assert.deepEqual(matching('tier in (,frontend)'), ['web', 'db']);
  assert.deepEqual(matching('weight>4'), ['web']);
  assert.deepEqual(matching('weight<5'), []);
});

test('a comma is a logical and, kinds may be mixed', () => {
  covers('API-036');
  assert.deepEqual(matching('app in (web, api),tier!=backend'), ['web']);
  assert.deepEqual(matching('app,!weight'), ['api', 'db']);
});

test('an empty selector selects everything, none selects nothing', () => {
  covers('API-037');
  assert.deepEqual(matching(''), Object.keys(objects));
  assert.ok(labelSelectorMatches({}, {}));
  assert.ok(!labelSelectorMatches(undefined, { a: 'b' }));
});

test('bad selectors are refused with a reason', () => {
  const cases: readonly [string, string][] = [
    ['a=b=c', "found '=', expected: ',' or 'end of string'"],
    ['a in b', "unable to parse requirement: found 'b' expected: '('"],
    ['a,', "found '', expected: identifier after ','"],
    ['=b', "found '=', expected: !, identifier, or 'end of string'"],
    ['a,!=b', "found '!=', expected: identifier after ','"],
  ];
  for (const [text, message] of cases) {
    assert.throws(
      () => parseLabelSelector(text),
      (error) =>
        error instanceof ApiError && error.status.code === 400 && error.message === message,
      text,
    );
  }
  for (const text of ['a_=b', 'a=b_', 'a in (b c)', `${'x'.repeat(64)}=a`, 'a>b']) {
    assert.throws(() => parseLabelSelector(text), ApiError, text);
  }
});

test('object selectors: labels and expressions all have to hold', () => {
  const selector = {
    matchLabels: { app: 'web' },
    matchExpressions: [
      { key: 'tier', operator: 'In', values: ['frontend', 'edge'] },
      { key: 'weight', operator: 'Exists' },
      { key: 'old', operator: 'DoesNotExist' },
      { key: 'app', operator: 'NotIn', values: ['api'] },
    ],
  };
  assert.ok(labelSelectorMatches(selector, objects['web']));
  assert.ok(!labelSelectorMatches(selector, objects['api']));
  assert.ok(!labelSelectorMatches(selector, { ...objects['web'], old: '' }));
  assert.ok(!labelSelectorMatches(selector, { app: 'web', tier: 'edge' }));
});

test('object selectors print as text that means the same', () => {
  const selector = {
    matchLabels: { tier: 'x', app: 'web' },
    matchExpressions: [
      { key: 'b', operator: 'In', values: ['2', '1'] },
      { key: 'c', operator: 'DoesNotExist' },
      { key: 'a', operator: 'Exists' },
    ],
  };
  const text = formatLabelSelector(selector);
  assert.equal(text, 'a,app=web,b in (1,2),!c,tier=x');
  assert.ok(parseLabelSelector(text).matches({ a: '', app: 'web', b: '1', tier: 'x' }));
  assert.equal(formatLabelSelector(undefined), '<none>');
});

test('a map of labels never matches by inherited names', () => {
  assert.ok(!mapMatches({ constructor: 'x' }, {}));
  assert.ok(!parseLabelSelector('toString').matches({}));
});

test('field selectors', () => {
  const pod: Readonly<Record<string, string>> = {
    'metadata.name': 'web-1',
    'status.phase': 'Running',
  };
  const matches = (text: string): boolean =>
    parseFieldSelector(text).matches((field) => pod[field] ?? '');
  assert.ok(matches('metadata.name=web-1'));
  assert.ok(matches('metadata.name==web-1,status.phase!=Failed'));
  assert.ok(!matches('status.phase!=Running'));
  assert.ok(matches(''));
  assert.ok(matches('spec.nodeName='));
  assert.deepEqual(parseFieldSelector('a=b\\,c,d=\\=').requirements, [
    { field: 'a', operator: '=', value: 'b,c' },
    { field: 'd', operator: '=', value: '=' },
  ]);
  for (const text of ['name', 'a=b,c', 'a=b=c']) {
    assert.throws(() => parseFieldSelector(text), ApiError, text);
  }
});
