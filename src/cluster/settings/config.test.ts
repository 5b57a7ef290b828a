/** Settings: defaults by what the machine can do, and one clear sentence for each bad value. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type Flags, type Machine, readConfig } from './config.ts';

const server: Machine = { isRoot: true, platform: 'linux', missing: [] };
const laptop: Machine = { isRoot: false, platform: 'darwin', missing: ['containerd'] };

test('root on Linux gets containers, anybody else a hollow node', () => {
  const root = readConfig({}, server);
  assert.equal(root.node, 'containerd');
  assert.equal(root.dataDir, '/var/lib/coracle');
  assert.equal(root.store, 'sqlite');
  const user = readConfig({}, laptop);
  assert.equal(user.node, 'hollow');
  assert.match(user.dataDir, /\.local\/share\/coracle$/);
});

test('bad settings name the flag', () => {
  const cases: readonly (readonly [Flags, Machine, RegExp])[] = [
    [{ apiPort: '0' }, server, /--api-port 0: must be a whole number from 1 to 65535/],
    [{ apiPort: 'x' }, server, /--api-port x/],
    [{ node: 'docker' }, server, /--node docker: must be containerd, hollow or none/],
    [{ node: 'containerd' }, laptop, /containers need Linux, this is darwin/],
    [{ store: 'files' }, server, /--store files: must be sqlite or memory/],
    [{ nodes: '3' }, server, /--nodes 3: one containerd node/],
    [{ backupInterval: '1d' }, server, /--backup-interval 1d: must be a duration, as 30s or 24h/],
    [{ backupInterval: '1s' }, server, /--backup-interval 1s: must be 0 or at least 1m/],
    [{ backupKeep: '0' }, server, /--backup-keep 0: must be a whole number from 1/],
    [{ shutdownDelayDuration: '-1s' }, server, /--shutdown-delay-duration -1s: must be a duration/],
    [{ serviceNodePortRange: '9-' }, server, /--service-node-port-range 9-: must be two ports/],
  ];
  for (const [flags, machine, message] of cases) {
    assert.throws(() => readConfig(flags, machine), message);
  }
});

test('copies are daily and seven, and a stop waits for nothing, unless told', () => {
  const { backupIntervalMs, backupKeep, shutdownDelayMs } = readConfig({}, server);
  assert.deepEqual([backupIntervalMs, backupKeep, shutdownDelayMs], [86_400_000, 7, 0]);
  assert.equal(readConfig({}, server).leaderElect, false);
  assert.equal(readConfig({ leaderElect: true }, server).leaderElect, true);
  const told = readConfig({ backupInterval: '0', shutdownDelayDuration: '1m10s' }, server);
  assert.deepEqual([told.backupIntervalMs, told.shutdownDelayMs], [0, 70_000]);
});
