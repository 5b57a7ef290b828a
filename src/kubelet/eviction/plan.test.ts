/** Who goes when a node is short of something, and when it counts as short. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Pod, PodSpec } from '#resources/types/core-v1.ts';
import { covers, superseded } from '#test/covers.ts';
import { defaultSettings } from '../settings.ts';
import {
  noMemory,
  type PodUse,
  planEviction,
  planPressures,
  planStorageEvictions,
} from './plan.ts';
import { type Observations, parseThresholds, type Signal, type Threshold } from './thresholds.ts';

const mebibyte = 1024 ** 2;

function pod(name: string, memory: string | undefined, spec: Partial<PodSpec> = {}): Pod {
  const resources = memory === undefined ? {} : { requests: { memory } };
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name, namespace: 'default', uid: name },
    spec: { containers: [{ name: 'c', resources }], ...spec },
  };
}

function using(one: Pod, mebibytes: number | undefined): PodUse {
  const memoryBytes = mebibytes === undefined ? undefined : mebibytes * mebibyte;
  const containers = memoryBytes === undefined ? [] : [{ name: 'c', memoryBytes }];
  return { pod: one, memoryBytes, containers, emptyDirs: new Map() };
}

const memoryLow: Threshold = { signal: 'memory.available', value: '100Mi', graceMs: 0 };
const seen = (available: number, capacity = 1000): Observations =>
  new Map([
    ['memory.available', { available: available * mebibyte, capacity: capacity * mebibyte }],
  ]);

/** Names in the order in which they would go. */
function order(...uses: readonly PodUse[]): readonly string[] {
  const left = [...uses];
  const names: string[] = [];
  for (;;) {
    const options = { observed: undefined, maxGraceSeconds: 0 };
    const next = planEviction(memoryLow, left, options)?.pod;
    if (next === undefined) return names;
    names.push(next.metadata.name ?? '');
    left.splice(
      left.findIndex((use) => use.pod === next),
      1,
    );
  }
}

test('who uses more than it asked for goes first, then the less important, then the greedier', () => {
  covers('POD-123');
  const modest = using(pod('modest', '500Mi'), 400);
  const greedy = using(pod('greedy', '100Mi'), 300);
  const greedier = using(pod('greedier', '100Mi'), 400);
  const careless = using(pod('careless', undefined), 50);
  const important = using(pod('important', '100Mi', { priority: 1000 }), 900);
  assert.deepEqual(order(modest, careless, greedy, important, greedier), [
    'greedier',
    'greedy',
    'careless',
    'important',
    'modest',
  ]);
});

test('who uses most of the disk that is short goes, where images have one of their own', () => {
  const of = (name: string, layer: number, volumes: number): PodUse => ({
    ...{ pod: pod(name, undefined), containers: [], emptyDirs: new Map(), inodes: layer },
    ...{ diskBytes: (layer + volumes) * mebibyte, layerBytes: layer * mebibyte },
  });
  const uses = [of('writer', 100, 10), of('keeper', 20, 110)];
  const first = (signal: Signal, hasImageDisk: boolean) => {
    const threshold: Threshold = { signal, value: '10%', graceMs: 0 };
    const facts = { observed: undefined, maxGraceSeconds: 0, hasImageDisk };
    return planEviction(threshold, uses, facts)?.pod.metadata.name;
  };
  assert.equal(first('nodefs.available', false), 'keeper');
  assert.equal(first('imagefs.available', false), 'keeper');
  assert.equal(first('imagefs.available', true), 'writer');
  assert.equal(first('nodefs.available', true), 'keeper');
  assert.equal(first('nodefs.inodesFree', true), 'writer');
  const now = 'disks as said; over the request, then priority, then by how much, inodes too';
  superseded('POD-258', { by: 'v1.9', now });
});

test('a pod of a DaemonSet goes like any other', () => {
  covers('POD-262');
  const owner = { apiVersion: 'apps/v1', kind: 'DaemonSet', name: 'd', uid: 'd', controller: true };
  const plain = pod('daemon', '100Mi');
  const daemon = { ...plain, metadata: { ...plain.metadata, ownerReferences: [owner] } };
  assert.deepEqual(order(using(pod('web', '100Mi'), 200), using(daemon, 300)), ['daemon', 'web']);
});

test('of whom nothing is known goes first, and the critical never', () => {
  const unknown = using(pod('unknown', '1Gi'), undefined);
  const critical = using(pod('critical', undefined, { priority: 2_000_001_000 }), 900);
  const known = using(pod('known', '100Mi'), 200);
  assert.deepEqual(order(known, critical, unknown), ['unknown', 'known']);
});

test('the message says what was short, and who used more of it than it asked for', () => {
  const greedy = using(pod('greedy', '100Mi'), 300);
  const plan = planEviction(memoryLow, [greedy], {
    observed: { available: 50 * mebibyte, capacity: 1000 * mebibyte },
    maxGraceSeconds: 60,
  });
  assert.equal(
    plan?.message,
    'The node was low on resource: memory. Threshold quantity: 100Mi, available: 50Mi. ' +
      'Container c was using 300Mi, request is 100Mi, has larger consumption of memory. ',
  );
  assert.equal(plan?.graceSeconds, 1, 'a hard threshold gives no time');
  const soft = { ...memoryLow, graceMs: 60_000 };
  const graceOf = (max: number) =>
    planEviction(soft, [greedy], { observed: undefined, maxGraceSeconds: max })?.graceSeconds;
  assert.deepEqual([graceOf(0), graceOf(10), graceOf(90)], [1, 10, 30]);
});

test('a soft threshold counts when it has lasted, a condition outlives the shortage', () => {
  covers('POD-254');
  const soft: Threshold = { signal: 'memory.available', value: '20%', graceMs: 30_000 };
  const look = (available: number, nowMs: number, memory = noMemory) =>
    planPressures(
      { thresholds: [soft], observations: seen(available), memory, transitionMs: 300_000 },
      nowMs,
    );
  const first = look(150, 1000);
  assert.deepEqual([first.pressures, first.starved], [['MemoryPressure'], undefined]);
  const second = look(150, 31_000, first.memory);
  assert.deepEqual([second.pressures, second.starved], [['MemoryPressure'], 'memory']);
  const relieved = look(300, 41_000, second.memory);
  assert.deepEqual([relieved.pressures, relieved.starved], [['MemoryPressure'], undefined]);
  const again = look(150, 51_000, relieved.memory);
  assert.equal(again.starved, undefined, 'the time begins anew');
  assert.deepEqual(look(300, 342_000, relieved.memory).pressures, []);
});

test('what was short stays so until the least that is to be won back is there', () => {
  covers('POD-259');
  const settings = {
    ...defaultSettings,
    evictionHard: { 'nodefs.available': '1Gi', 'imagefs.available': '100Gi' },
    evictionMinimumReclaim: { 'nodefs.available': '500Mi', 'imagefs.available': '2Gi' },
  };
  const starved = (signal: Signal, mebibytes: number, memory = noMemory) =>
    planPressures(
      {
        thresholds,
        observations: new Map([[signal, { available: mebibytes * mebibyte, capacity: 1e15 }]]),
        memory,
        transitionMs: 0,
      },
      0,
    );
  const thresholds = parseThresholds(settings);
  assert.equal(starved('nodefs.available', 1100).starved, undefined, 'never was below 1Gi');
  const short = starved('nodefs.available', 1000);
  assert.equal(short.starved, 'ephemeral-storage');
  assert.equal(starved('nodefs.available', 1500, short.memory).starved, 'ephemeral-storage');
  assert.equal(starved('nodefs.available', 1525, short.memory).starved, undefined);
  const images = starved('imagefs.available', 99 * 1024);
  assert.equal(
    starved('imagefs.available', 101 * 1024, images.memory).starved,
    'ephemeral-storage',
  );
  assert.equal(starved('imagefs.available', 102 * 1024, images.memory).starved, undefined);
});

test('memory comes before disk, disk and processes show as conditions of their own', () => {
  covers('POD-252');
  const thresholds = parseThresholds({
    ...defaultSettings,
    evictionHard: { 'pid.available': '10%', 'nodefs.inodesFree': '5%', 'memory.available': '1Gi' },
  });
  const low = { available: 1, capacity: 1000 };
  const observations: Observations = new Map([
    ['pid.available', low],
    ['nodefs.inodesFree', low],
    ['memory.available', low],
  ]);
  const plan = planPressures({ thresholds, observations, memory: noMemory, transitionMs: 0 }, 0);
  assert.equal(plan.starved, 'memory');
  assert.deepEqual(plan.pressures, ['DiskPressure', 'MemoryPressure', 'PIDPressure']);
  // A condition does not wait for the time after which pods are evicted.
  const soft = thresholds.map((threshold) => ({ ...threshold, graceMs: 90_000 }));
  const waiting = planPressures(
    { thresholds: soft, observations, memory: noMemory, transitionMs: 0 },
    0,
  );
  assert.deepEqual([waiting.starved, waiting.pressures], [undefined, plan.pressures]);
});

test('thresholds are amounts or shares; what makes no sense is refused at the start', () => {
  covers('POD-244', 'POD-248');
  const parse = (given: Partial<typeof defaultSettings>) =>
    parseThresholds({
      ...{ ...defaultSettings, enforceNodeAllocatable: [], evictionHard: {} },
      ...given,
    });
  const hard = {
    'memory.available': '1.5Gi',
    'nodefs.available': '10%',
    'nodefs.inodesFree': '5%',
    'imagefs.available': '15%',
    'imagefs.inodesFree': '1000',
  };
  assert.deepEqual(
    parse({ evictionHard: hard }).map(({ signal, value }) => [signal, value]),
    Object.entries(hard),
  );
  assert.deepEqual(parse({ evictionHard: { 'memory.available': '0%' } }), []);
  assert.throws(() => parse({ evictionHard: { 'tape.available': '1Gi' } }), /unsupported/);
  const refused = (name: string, value: string, why: RegExp) =>
    assert.throws(() => parse({ evictionHard: { [name]: value } }), why);
  refused('memory.available', 'much', /quantities must match the regular expression/);
  refused('memory.available', '0', /eviction threshold memory.available must be positive: 0/);
  refused('nodefs.available', '-1%', /threshold nodefs.available must be >= 0%: -1%/);
  refused('nodefs.available', '101%', /threshold nodefs.available must be <= 100%: 101%/);
  refused('nodefs.available', 'x%', /strconv.ParseFloat: parsing "x": invalid syntax/);
  const evictionSoft = { 'memory.available': '1Gi' };
  assert.throws(() => parse({ evictionSoft }), /grace period must be specified/);
  const evictionSoftGracePeriodMs = { 'memory.available': 90_000 };
  assert.equal(parse({ evictionSoft, evictionSoftGracePeriodMs })[0]?.graceMs, 90_000);
  const reclaim = (value: string) =>
    parse({ evictionMinimumReclaim: { 'memory.available': value } });
  assert.throws(
    () => reclaim('0%'),
    /percentage minimum reclaim memory.available must be positive/,
  );
  assert.throws(() => reclaim('-1Gi'), /negative eviction minimum reclaim specified for memory/);
  const other = { 'tape.available': '1Gi' };
  assert.throws(() => parse({ evictionMinimumReclaim: other }), /unsupported eviction signal tape/);
});

test('only the disks of the node and of images count; pods in all are held to what is theirs', () => {
  const evictionHard = { 'memory.available': '1Gi', 'containerfs.available': '5%' };
  const parsed = parseThresholds({ ...defaultSettings, evictionHard });
  assert.deepEqual(
    parsed.map(({ signal, value }) => [signal, value]),
    [
      ['memory.available', '1Gi'],
      ['allocatableMemory.available', '1Gi'],
    ],
  );
});

test('who uses more of the disk than it may goes, whatever the node has left', () => {
  covers('POD-127');
  superseded('VOL-027', {
    by: 'v1.25',
    now: 'an emptyDir may have a sizeLimit and counts with what its pod may write; it is kept to by eviction',
  });
  const limited = (limit: string): Partial<PodSpec> => ({
    containers: [{ name: 'c', resources: { limits: { 'ephemeral-storage': limit } } }],
    volumes: [{ name: 'scratch', emptyDir: { sizeLimit: '10Mi' } }],
  });
  const messages = (layer: number, scratch: number, spec = limited('20Mi')) =>
    planStorageEvictions([
      {
        pod: pod('p', undefined, spec),
        containers: [{ name: 'c', diskBytes: layer * mebibyte }],
        diskBytes: (layer + scratch) * mebibyte,
        emptyDirs: new Map([['scratch', scratch * mebibyte]]),
      },
    ]).map(({ message }) => message);
  assert.deepEqual(messages(10, 5), []);
  assert.deepEqual(messages(1, 11), [
    'Usage of EmptyDir volume "scratch" exceeds the limit "10Mi". ',
  ]);
  assert.deepEqual(messages(15, 6), [
    'Pod ephemeral local storage usage exceeds the total limit of containers 20Mi. ',
  ]);
  const two: Partial<PodSpec> = {
    containers: [
      { name: 'c', resources: { limits: { 'ephemeral-storage': '20Mi' } } },
      { name: 'd', resources: { limits: { 'ephemeral-storage': '20Mi' } } },
    ],
  };
  assert.deepEqual(messages(21, 0, two), [
    'Container c exceeded its local ephemeral storage limit "20Mi". ',
  ]);
  assert.deepEqual(messages(500, 0, { containers: [{ name: 'c' }] }), []);
});
