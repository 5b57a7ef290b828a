/** Words of YAML as programs in Go understand them, and what is said of bad texts. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { formatSortedYaml, parseFirstYaml, parseYaml, YamlError } from './yaml.ts';

test('plain words mean what they mean to programs in Go', () => {
  const text = `
booleans: [yes, Off, y, true, "yes", yEs]
numbers: [0644, 0o17, 0x1f, 0b101, 1_000, -5, +7, 08, 1.5, .5, 1e3, 1E+2]
texts: [2001-12-14, 12:30:45, 1.2.3, 0x, "1", 1.10.0, '']
nothing: [~, null, ]
merged: {<<: {a: 1}, b: 2}
1: one
`;
  assert.deepEqual(parseYaml(text), {
    booleans: [true, false, true, true, 'yes', 'yEs'],
    numbers: [420, 15, 31, 5, 1000, -5, 7, 8, 1.5, 0.5, 1000, 100],
    texts: ['2001-12-14', '12:30:45', '1.2.3', '0x', '1', '1.10.0', ''],
    nothing: [null, null],
    merged: { a: 1, b: 2 },
    1: 'one',
  });
  assert.equal(parseYaml('limit: .inf') instanceof Object, true);
  assert.equal(parseYaml(''), null);
});

test('of a body the first document counts, and repeated keys are told of', () => {
  const { value, repeated } = parseFirstYaml('a: 1\nb: {c: 1, c: 2}\na: 2\n---\nx: [\n');
  assert.deepEqual(value, { a: 2, b: { c: 2 } });
  assert.deepEqual(repeated, [
    'line 2: key "c" already set in map',
    'line 3: key "a" already set in map',
  ]);
  assert.deepEqual(parseFirstYaml('# nothing\n'), { value: null, repeated: [] });
  assert.throws(() => parseYaml('a: 1\n---\nb: 2\n'), YamlError);
  assert.throws(() => parseYaml('a: 1\na: 2\n'), YamlError);
});

test('bad texts are told of in the words of the library that Go programs use', () => {
  const said = (text: string): string => {
    try {
      parseFirstYaml(text);
    } catch (error) {
      if (error instanceof YamlError) return error.goMessage;
      throw error;
    }
    return '';
  };
  assert.equal(said('\t- x'), 'found character that cannot start any token');
  assert.equal(said('x: ['), 'line 1: did not find expected node content');
  assert.equal(said('x: [a'), "line 1: did not find expected ',' or ']'");
});

test('written in order, with what would be read as something else in quotes', () => {
  const value = { kind: 'A', b: [{ d: 'yes', c: '2026-01-01T00:00:00Z' }], a: '0644', e: [] };
  const text = `a: "0644"\nb:\n- c: "2026-01-01T00:00:00Z"\n  d: "yes"\ne: []\nkind: A\n`;
  assert.equal(formatSortedYaml(value), text);
  assert.deepEqual(parseYaml(text), value);
});
