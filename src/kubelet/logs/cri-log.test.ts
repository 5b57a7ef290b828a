/** Records of the runtime's log format. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseLogLine } from './cri-log.ts';
import { LogFormatter } from './log-reader.ts';

const time = '2026-01-01T00:00:00.123456789Z';
const line = (rest: string): Buffer => Buffer.from(`${time} ${rest}`);

test('full and partial records, also empty ones', () => {
  const record = parseLogLine(line('stderr P some text '));
  assert.deepEqual(
    [record?.time, record?.stream, record?.isPartial, record?.content.toString()],
    [time, 'stderr', true, 'some text '],
  );
  assert.equal(parseLogLine(line('stdout F '))?.content.length, 0);
  assert.equal(parseLogLine(line('stdout F'))?.content.length, 0);
  assert.equal(parseLogLine(Buffer.from('garbage')), undefined);
  assert.equal(parseLogLine(line('stdin F x')), undefined);
});

test('times without the zeros at their end, whatever stands where a usual one ends', () => {
  for (const short of ['2026-01-01T00:00:00Z', '2026-01-01T00:00:00.12Z']) {
    const record = parseLogLine(Buffer.from(`${short} stdout F  indented`));
    assert.deepEqual([record?.time, record?.content.toString()], [short, ' indented']);
  }
});

test('pieces of a long line are joined, with one time in front', () => {
  const formatter = new LogFormatter({ follow: false, timestamps: true });
  const texts = ['stdout P abc', 'stderr F other', 'stdout F def'].map((rest) =>
    formatter.format(line(rest)).toString(),
  );
  assert.deepEqual(texts, [`${time} abc`, `${time} other\n`, 'def\n']);
});

test('older records and other streams are left out', () => {
  const sinceMs = Date.parse('2026-01-01T00:00:01Z');
  const late = new LogFormatter({ follow: false, timestamps: false, sinceMs });
  assert.equal(late.format(line('stdout F old')).toString(), '');
  const errors = new LogFormatter({ follow: false, timestamps: false, stream: 'stderr' });
  assert.equal(errors.format(line('stdout F x')).toString(), '');
  assert.equal(errors.format(line('stderr F x')).toString(), 'x\n');
});

test('many lines at a time are what each of them would be', () => {
  const rests = ['stdout F one', 'stdout P long', 'stderr F other', 'stdout F  line', 'stdout F '];
  const lines = rests.map((rest) => line(rest).toString());
  const together = new LogFormatter({ follow: false, timestamps: false });
  const text = together.format(Buffer.from(`${lines.join('\n')}\ngarbage\n`)).toString();
  assert.equal(text, 'one\nlongother\n line\n\n');
});

test('times of any length, tags with more behind them, and lines that are cut', () => {
  const record = parseLogLine(Buffer.from('2026-01-01T00:00:00.1+02:00 stdout P:x some text'));
  assert.deepEqual(
    [record?.time, record?.isPartial, record?.content.toString()],
    ['2026-01-01T00:00:00.1+02:00', true, 'some text'],
  );
  assert.equal(parseLogLine(line('stdout Full text'))?.isPartial, false);
  for (const rest of ['', 'std', 'stdout', 'stdoutF x']) {
    assert.equal(parseLogLine(line(rest)), undefined, rest);
  }
});
