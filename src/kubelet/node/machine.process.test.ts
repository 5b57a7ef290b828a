/** Who makes the cgroups of pods: the kubelet does as its runtime does. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { silentLog } from '#kit/log.ts';
import { VirtualClock } from '#kit/virtual-clock.ts';
import { superseded } from '#test/covers.ts';
import { defaultSettings } from '../settings.ts';
import { openMachine } from './machine.ts';

const clock = new VirtualClock();

function runtimeOf(told: 'systemd' | 'cgroupfs' | undefined) {
  const version = { version: '0.1.0', runtimeName: 'containerd', runtimeVersion: '2.1.0' };
  return {
    version: async () => ({ ...version, runtimeApiVersion: 'v1' }),
    cgroupDriver: async () => told,
  };
}

test('the runtime says how cgroups are made, the setting where it does not', async ({ signal }) => {
  const driver = async (told: 'cgroupfs' | undefined, cgroupDriver: 'systemd' | 'cgroupfs') => {
    const settings = { ...defaultSettings, cgroupDriver };
    const deps = { runtime: runtimeOf(told), clock, log: silentLog };
    return (await openMachine(deps, { settings, signal })).cgroups.driver;
  };
  assert.equal(await driver('cgroupfs', 'systemd'), 'cgroupfs');
  assert.equal(await driver('cgroupfs', 'cgroupfs'), 'cgroupfs');
  assert.equal(await driver(undefined, 'cgroupfs'), 'cgroupfs');
  // That pods run in slices where both say so is in test/e2e/systemd.e2e.ts.
  const now = 'the kubelet does as the runtime tells; the flag counts where it tells nothing';
  superseded('POD-015', { by: 'v1.34', now });
});

test('figures that end while they are read are as those that were never there', async ({
  signal,
}) => {
  const deps = { runtime: runtimeOf('cgroupfs'), clock, log: silentLog };
  const machine = await openMachine(deps, { signal });
  // The kernel's answer for a link that is just removed; loopback has no speed to tell, and gives
  // the same one at any time.
  assert.throws(() => readFileSync('/sys/class/net/lo/speed'), { code: 'EINVAL' });
  assert.equal(machine.readFile('/sys/class/net/lo/speed'), '');
  assert.equal(machine.readFile('/sys/class/net/none/speed'), '');
});
