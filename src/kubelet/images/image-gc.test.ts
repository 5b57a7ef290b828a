/** Which images go, and when. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { silentLog } from '#kit/log.ts';
import { VirtualClock } from '#kit/virtual-clock.ts';
import { FakeRuntime } from '#test/fake-runtime.ts';
import { defaultSettings } from '../settings.ts';
import { ImageGC, type ImageUse, planImageGC } from './image-gc.ts';

function image(id: string, lastUsedMs: number, more: Partial<ImageUse> = {}): ImageUse {
  const facts = { isKept: false, isUsed: false, firstSeenMs: 0, sizeBytes: 10 };
  return { id, lastUsedMs, ...facts, ...more };
}

const ids = (images: readonly ImageUse[]): readonly string[] => images.map(({ id }) => id);

test('the longest unused go first, as many as are needed, never one that is used or kept', () => {
  const images = [
    image('recent', 900),
    image('old', 100),
    image('used', 50, { isUsed: true }),
    image('kept', 50, { isKept: true }),
    image('new', 0, { firstSeenMs: 950 }),
  ];
  const plan = (neededBytes: number) =>
    ids(planImageGC(images, { neededBytes, minimumAgeMs: 100 }, 1000));
  assert.deepEqual(plan(1), ['old']);
  assert.deepEqual(plan(11), ['old', 'recent']);
  assert.deepEqual(plan(1000), ['old', 'recent']);
});

function openGC(used: { percent: number }, settings = defaultSettings) {
  const clock = new VirtualClock();
  const runtime = new FakeRuntime({ clock });
  runtime.imageSizeBytes = 10;
  const said: string[] = [];
  const gc = new ImageGC(
    {
      runtime,
      clock,
      log: silentLog,
      disk: () => ({ bytes: 100, freeBytes: 100 - used.percent }),
      warn: (reason, message) => said.push(`${reason}: ${message}`),
    },
    settings,
  );
  return { clock, runtime, gc, said };
}

const { signal } = new AbortController();

test('above the upper mark images go until the lower mark is reached', async () => {
  const disk = { percent: 84 };
  const { clock, runtime, gc, said } = openGC(disk);
  for (const name of ['a', 'b', 'c', 'd']) runtime.images.add(name);
  await gc.collect(signal);
  assert.equal(runtime.images.size, 4);
  await clock.advance(defaultSettings.imageMinimumGCAgeMs);
  disk.percent = 95;
  await gc.collect(signal);
  assert.equal(runtime.images.size, 2, '15 bytes are two images');
  assert.deepEqual(said, []);
  disk.percent = 100;
  await gc.collect(signal);
  await gc.collect(signal);
  assert.deepEqual(said, [
    'FreeDiskSpaceFailed: Failed to garbage collect required amount of images. ' +
      'Attempted to free 20 bytes, but only found 0 bytes eligible to free.',
  ]);
});

test('an image that nothing has used for long goes where that is wished', async () => {
  const { clock, runtime, gc } = openGC(
    { percent: 1 },
    { ...defaultSettings, imageMaximumGCAgeMs: 60_000 },
  );
  runtime.images.add('a');
  await gc.collect(signal);
  await clock.advance(60_000);
  await gc.collect(signal);
  assert.equal(runtime.images.size, 1);
  await clock.advance(1000);
  await gc.collect(signal);
  assert.equal(runtime.images.size, 0);
});
