/** What may be asked of a machine's logs, and what of it goes to the journal. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { readLogQuery } from './log-query.ts';

const read = (query: string) => readLogQuery(new URLSearchParams(query));

test('without a name nothing is asked', () => {
  assert.equal(read(''), undefined);
  assert.equal(read('tailLines=5'), undefined);
});

test('services go to the journal, with what is asked of them', () => {
  const asked = read('query=kubelet&query=containerd&tailLines=10&pattern=a%20b&boot=-1');
  assert.deepEqual(asked, {
    do: 'answer',
    services: ['kubelet', 'containerd'],
    file: undefined,
    isPicky: true,
    options: [
      ...['--utc', '--no-pager', '--pager-end', '--lines=10', '--grep=a b'],
      ...['--case-sensitive=false', '--boot', '-1', '--output=short-precise'],
    ],
  });
  const times = read(
    'query=a&sinceTime=2026-01-01T00:00:00Z&untilTime=2026-01-01T02:00:00%2B01:00',
  );
  const since = ['--since=2026-01-01 00:00:00', '--until=2026-01-01 01:00:00'];
  assert.deepEqual(times?.do === 'answer' && times.options.slice(2, 4), since);
  const old = read('unit=a&since=-2h&until=-1h&tail=3&output=cat&grep=x&case-sensitive=true');
  assert.deepEqual(old?.do === 'answer' && old.options.slice(2), [
    ...['--since=-2h', '--until=-1h', '--pager-end', '--lines=3', '--grep=x'],
    ...['--case-sensitive=true', '--output=cat'],
  ]);
});

test('a name with a slash is a file', () => {
  const asked = read('query=/pods%5Ca.log');
  assert.deepEqual(asked?.do === 'answer' && [asked.file, asked.services], ['/pods/a.log', []]);
});

test('what cannot be asked is refused', () => {
  const refused = (query: string): string => {
    const question = read(query);
    return question?.do === 'refuse' ? `${question.status} ${question.text}` : 'answered';
  };
  for (const [query, expected] of [
    ['query=%20', '400 unit: Invalid value: [" "]: unit cannot be empty'],
    ['query=a&sinceTime=now', '400 sinceTime: Invalid value: "now": invalid time format'],
    ['query=a&boot=x', '400 boot: Invalid value: "x": strconv.Atoi: parsing "x": invalid syntax'],
    ['query=a;b', '406 query: Invalid value: "a;b": input contains unsupported characters'],
    ['query=--file', 'answered'],
    [
      `query=${'a'.repeat(257)}`,
      `406 query: Invalid value: "${'a'.repeat(257)}": length must be less than 256`,
    ],
    [
      'query=a&query=b&query=c&query=d&query=e',
      '406 query: Too many: 5: must have at most 4 items',
    ],
    [
      'query=a&query=/b',
      '406 query: Invalid value: "[/b], [a]": cannot specify a file and service',
    ],
    [
      'query=/a&query=/b',
      '406 query: Invalid value: ["/a","/b"]: cannot specify more than one file',
    ],
    ['query=/a&tail=1', '406 query: Invalid value: ["/a"]: cannot specify file with options'],
    ['query=a&boot=1', '406 boot: Invalid value: 1: must be less than 1'],
    [
      'query=a&tailLines=100001',
      '406 tailLines: Invalid value: 100001: must be between 0 and 100000, inclusive',
    ],
    [
      'query=a&sinceTime=2026-01-02T00:00:00Z&untilTime=2026-01-01T00:00:00Z',
      '406 untilTime: Invalid value: "2026-01-01T00:00:00.000Z": must be after `sinceTime`',
    ],
    [
      'query=a&sinceTime=2026-01-02T00:00:00Z&since=-1h',
      '406 sinceTime: Forbidden: `since or until` and `sinceTime` cannot be specified',
    ],
  ] as const) {
    assert.equal(refused(query), expected, query);
  }
  assert.match(refused('query=a&pattern=('), /^406 pattern: Invalid value: "\(": /);
  assert.match(refused('query=a&until=soon'), /^406 until: Invalid value: "soon": date must be/);
  assert.match(refused('query=a&output=xml'), /^406 output: Unsupported value: "xml": supported/);
});
