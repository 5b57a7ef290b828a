/** Devices with file systems: one pod after the other, each once. */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { setImmediate } from 'node:timers/promises';
import { LocalDevices } from './local-devices.ts';

const { signal } = new AbortController();

test('of pods that mount a device at the same time one comes after the other', async (context) => {
  const root = mkdtempSync(join(tmpdir(), 'coracle-devices-'));
  context.after(() => rmSync(root, { recursive: true }));
  const device = join(root, 'device');
  writeFileSync(device, '');
  symlinkSync(device, join(root, 'by-name'));
  const mounted: string[] = [];
  let now = 0;
  const devices = new LocalDevices({
    machine: {
      isMounted: (folder) => mounted.includes(folder),
      mountDevice: async (_path, folder) => {
        now += 1;
        assert.equal(now, 1, 'nobody else is at it');
        for (let turn = 0; turn < 3; turn++) await setImmediate();
        mounted.push(folder);
        now -= 1;
      },
    },
  });
  const mount = (path: string, folder: string): Promise<string> =>
    devices.mount(join(root, folder), { path, fsType: 'ext4', mountOptions: [] }, { signal });
  const folders = ['one', 'one', 'two'];
  const paths = [device, device, join(root, 'by-name')];
  await Promise.all(folders.map((folder, index) => mount(paths[index] ?? '', folder)));
  assert.deepEqual(mounted, [join(root, 'one'), join(root, 'two')]);
});
