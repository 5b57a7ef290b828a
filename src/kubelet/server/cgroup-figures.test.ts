/** Files of a cgroup, in both versions, to figures. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type CgroupTexts, parseCgroupFigures, readCgroupFigures } from './cgroup-figures.ts';

const none: CgroupTexts = {
  ...{ cpuStat: '', modes: '', shares: '', period: '', quota: '', memoryStat: '' },
  ...{ memoryLimit: '', memoryMost: '', memoryFailures: '', memoryEvents: '', swap: '' },
  ...{ processes: '', threads: '', cpuUse: '', memoryUse: '', swapLimit: '' },
  ...{ cpuPressure: '', memoryPressure: '', ioPressure: '' },
};

const expected = {
  ...{ cpuNanoseconds: 1_750_000_000, usageBytes: 500, workingSetBytes: 440 },
  ...{ userSeconds: 1.5, systemSeconds: 0.25, periods: 7, throttledPeriods: 3 },
  ...{ throttledSeconds: 0.5, cacheBytes: 100, rssBytes: 200, swapBytes: 30, mappedBytes: 40 },
  ...{ activeFileBytes: 50, inactiveFileBytes: 60, maxUsageBytes: 999, failures: 2 },
  ...{ pageFaults: 8, majorPageFaults: 1, outOfMemory: 1, processes: 2, threads: 3 },
  ...{ cpuShares: 102, cpuPeriodUs: 100_000, cpuQuotaUs: 50_000, memoryLimitBytes: 1024 },
  ...{ swapLimitBytes: undefined, pressures: undefined },
};

test('version 1', () => {
  const texts = {
    ...none,
    cpuUse: '1750000000\n',
    memoryUse: '500\n',
    cpuStat: 'nr_periods 7\nnr_throttled 3\nthrottled_time 500000000\n',
    modes: 'user 150\nsystem 25\n',
    ...{ shares: '102\n', period: '100000\n', quota: '50000\n' },
    memoryStat: [
      ...['cache 1', 'total_cache 100', 'total_rss 200', 'total_swap 30', 'total_mapped_file 40'],
      ...[
        'total_active_file 50',
        'total_inactive_file 60',
        'total_pgfault 8',
        'total_pgmajfault 1',
      ],
    ].join('\n'),
    ...{ memoryLimit: '1024\n', memoryMost: '999\n', memoryFailures: '2\n' },
    memoryEvents: 'oom_kill_disable 0\nunder_oom 0\noom_kill 1\n',
    swap: 'total_swap 30\n',
    ...{ processes: '10\n11\n', threads: '10\n11\n12\n' },
  };
  assert.deepEqual(parseCgroupFigures(texts, 1), expected);
  const free = { ...texts, quota: '-1\n', memoryLimit: '9223372036854771712\n' };
  const { cpuQuotaUs, memoryLimitBytes } = parseCgroupFigures(free, 1);
  assert.deepEqual([cpuQuotaUs, memoryLimitBytes], [undefined, 0]);
});

test('version 2', () => {
  const stat = [
    ...['usage_usec 1750000', 'user_usec 1500000', 'system_usec 250000', 'nr_periods 7'],
    ...['nr_throttled 3', 'throttled_usec 500000'],
  ].join('\n');
  const max = '50000 100000\n';
  const events = 'low 0\nmax 2\noom 1\noom_kill 1\n';
  const texts = {
    ...none,
    ...{ cpuUse: stat, memoryUse: '500\n', swapLimit: 'max\n' },
    ...{ cpuStat: stat, modes: stat, shares: '4\n', period: max, quota: max },
    memoryStat: [
      ...['anon 200', 'file 100', 'file_mapped 40', 'active_file 50', 'inactive_file 60'],
      ...['pgfault 8', 'pgmajfault 1'],
    ].join('\n'),
    ...{ memoryLimit: '1024\n', memoryMost: '999\n', memoryFailures: events, memoryEvents: events },
    ...{ swap: '30\n', processes: '10\n11\n', threads: '10\n11\n12\n' },
  };
  assert.deepEqual(parseCgroupFigures(texts, 2), { ...expected, cpuShares: 80 });
  const free = { ...texts, quota: 'max 100000\n', memoryLimit: 'max\n' };
  const { cpuQuotaUs, memoryLimitBytes } = parseCgroupFigures(free, 2);
  assert.deepEqual([cpuQuotaUs, memoryLimitBytes], [undefined, 0]);
});

test('pressure is told where the kernel tells it, processors without a line for all', () => {
  const line = 'avg10=0.12 avg60=2.00 avg300=10.50 total=4711';
  const idle = { totalMicroseconds: 0, avg10: 0, avg60: 0, avg300: 0 };
  const busy = { totalMicroseconds: 4711, avg10: 0.12, avg60: 2, avg300: 10.5 };
  const { pressures } = parseCgroupFigures(
    { ...none, cpuPressure: `some ${line}\n`, memoryPressure: `some ${line}\nfull ${line}\n` },
    2,
  );
  assert.deepEqual(pressures, {
    cpu: { some: busy, full: idle },
    memory: { some: busy, full: busy },
    io: { some: idle, full: idle },
  });
});

test('a cgroup that is gone tells nothing', async () => {
  const read = async (): Promise<string> => '';
  assert.equal(await readCgroupFigures({ version: 1, read }, '/gone'), undefined);
  assert.equal(parseCgroupFigures(none, 1).processes, 0);
});
