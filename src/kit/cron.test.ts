/** When schedules are due, as tables: fields, words, steps, and the two odd days of summer time. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { cronProblem, parseCron } from './cron.ts';

function times(schedule: string, after: string, count: number, zone?: string): readonly string[] {
  const parsed = parseCron(schedule, zone);
  assert.ok(parsed.ok, parsed.ok ? '' : parsed.problem);
  const found: string[] = [];
  for (let at: number | undefined = Date.parse(after); found.length < count; ) {
    at = parsed.cron.next(at);
    if (at === undefined) return [...found, 'never'];
    found.push(new Date(at).toISOString().slice(0, 16));
  }
  return found;
}

test('the next times of a schedule', () => {
  const cases: readonly (readonly [schedule: string, after: string, wanted: readonly string[]])[] =
    [
      ['* * * * *', '2026-01-01T10:00:00Z', ['2026-01-01T10:01', '2026-01-01T10:02']],
      ['*/1 * * * *', '2026-01-01T10:00:59Z', ['2026-01-01T10:01']],
      ['*/20 * * * ?', '2026-01-01T10:30Z', ['2026-01-01T10:40', '2026-01-01T11:00']],
      ['5/25 * * * *', '2026-01-01T10:00Z', ['2026-01-01T10:05', '2026-01-01T10:30']],
      ['0 9-17/4 * * mon-fri', '2026-01-02T14:00Z', ['2026-01-02T17:00', '2026-01-05T09:00']],
      ['15,45 8 * * *', '2026-01-01T08:20Z', ['2026-01-01T08:45', '2026-01-02T08:15']],
      ['0 0 29 2 *', '2026-01-01T00:00Z', ['2028-02-29T00:00']],
      ['59 23 31 2 *', '2026-01-01T00:00Z', ['never']],
      ['0 0 31 2,4 *', '2026-01-01T00:00Z', ['never']],
      ['0 0 31 2,3 *', '2026-01-01T00:00Z', ['2026-03-31T00:00']],
      ['0 0 31 2 mon', '2026-01-01T00:00Z', ['2026-02-02T00:00', '2026-02-09T00:00']],
      ['0 0 , 2 mon', '2026-01-01T00:00Z', ['2026-02-02T00:00']],
      [', 0 1 2 *', '2026-01-01T00:00Z', ['never']],
      ['0 , 1 2 *', '2026-01-01T00:00Z', ['never']],
      ['0 0 , 2 *', '2026-01-01T00:00Z', ['never']],
      ['0 0 1 , mon', '2026-01-01T00:00Z', ['never']],
      ['0 0 * 2 ,', '2026-01-01T00:00Z', ['never']],
      ['0 0 1 jan,JUL *', '2026-01-01T00:00Z', ['2026-07-01T00:00', '2027-01-01T00:00']],
      [
        '0 0 13 * 5',
        '2026-01-01T00:00Z',
        ['2026-01-02T00:00', '2026-01-09T00:00', '2026-01-13T00:00'],
      ],
      ['0 0 13 * *', '2026-01-01T00:00Z', ['2026-01-13T00:00']],
      ['0 0 */2 * 5', '2026-01-01T00:00Z', ['2026-01-02T00:00', '2026-01-03T00:00']],
      ['@hourly', '2026-01-01T10:30Z', ['2026-01-01T11:00', '2026-01-01T12:00']],
      ['@midnight', '2026-01-01T10:30Z', ['2026-01-02T00:00']],
      ['@weekly', '2026-01-01T10:30Z', ['2026-01-04T00:00']],
      ['@monthly', '2026-01-01T10:30Z', ['2026-02-01T00:00']],
      ['@yearly', '2026-01-01T10:30Z', ['2027-01-01T00:00']],
      ['@every 90m', '2026-01-01T10:30Z', ['2026-01-01T12:00', '2026-01-01T13:30']],
      ['TZ=Asia/Tokyo 0 4 * * *', '2026-01-01T10:30Z', ['2026-01-01T19:00']],
    ];
  for (const [schedule, after, wanted] of cases) {
    assert.deepEqual(times(schedule, after, wanted.length), wanted, schedule);
  }
});

test('time zones, also on the days when summer time begins and ends', () => {
  const at = (schedule: string, zone: string, after: string, ...wanted: readonly string[]) =>
    assert.deepEqual(times(schedule, after, wanted.length, zone), wanted, `${schedule} ${zone}`);
  at('30 9 * * *', 'Asia/Kolkata', '2026-01-01T00:00Z', '2026-01-01T04:00', '2026-01-02T04:00');
  at('0 0 * * *', 'America/New_York', '2026-03-07T06:00Z', '2026-03-08T05:00', '2026-03-09T04:00');
  // 2:30 does not exist on 8 March in New York.
  at('30 2 * * *', 'America/New_York', '2026-03-07T08:00Z', '2026-03-09T06:30');
  // 1:30 comes twice on 1 November.
  at('30 1 * * *', 'America/New_York', '2026-10-31T06:00Z', '2026-11-01T05:30', '2026-11-01T06:30');
  at('0 * * * *', 'America/New_York', '2026-11-01T04:30Z', '2026-11-01T05:00', '2026-11-01T06:00');
  // Midnight does not exist on 4 November 2018 in São Paulo.
  at('0 5 4 11 *', 'America/Sao_Paulo', '2018-01-01T00:00Z', '2018-11-04T07:00');
  at('0 12 * * *', 'Australia/Lord_Howe', '2026-04-04T12:00Z', '2026-04-05T01:30');
});

test('what never comes is known without looking at a single day', ({ mock }) => {
  const looks = mock.method(Intl.DateTimeFormat.prototype, 'formatToParts').mock;
  const zone = 'Asia/Tokyo';
  for (const schedule of ['0 0 31 2 *', '0 0 30-31 feb *', '0 0 31 4,6,9,11 *', ', * * * *']) {
    assert.deepEqual(times(schedule, '2026-01-01T00:00Z', 1, zone), ['never'], schedule);
  }
  assert.equal(looks.callCount(), 0);
  // What comes seldom is looked for month by month, and day by day in the right one.
  assert.deepEqual(times('0 0 29 2 *', '2024-03-01T00:00Z', 1, zone), ['2028-02-28T15:00']);
  assert.ok(looks.callCount() > 0 && looks.callCount() < 1_000, `${looks.callCount()} looks`);
});

test('what is wrong with a schedule', () => {
  const cases: readonly (readonly [string, string | undefined])[] = [
    ['* * * * *', undefined],
    ['* * *', 'expected exactly 5 fields, found 3: [* * *]'],
    ['60 * * * *', 'end of range (60) above maximum (59): 60'],
    ['* * 0 * *', 'beginning of range (0) below minimum (1): 0'],
    ['9-5 * * * *', 'beginning of range (9) beyond end of range (5): 9-5'],
    ['*/0 * * * *', 'step of range should be a positive number: */0'],
    ['@fortnightly', 'unrecognized descriptor: @fortnightly'],
    ['@every x', 'failed to parse duration @every x: time: invalid duration "x"'],
  ];
  for (const [schedule, problem] of cases) assert.equal(cronProblem(schedule), problem, schedule);
  const parsed = parseCron('* * * * *', 'Mars/Olympus');
  assert.deepEqual(parsed, {
    ok: false,
    problem: 'provided bad location Mars/Olympus: unknown time zone Mars/Olympus',
  });
});
