/** The configuration of containerd for both formats, and where its files are. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { containerdLayout } from './containerd.ts';
import { formatContainerdConfig, mayLowerScores } from './containerd-config.ts';

const config = {
  majorVersion: 1,
  root: '/d/root',
  state: '/d/state',
  socketPath: '/d/containerd.sock',
  cniBinDir: '/d/cni/bin',
  cniConfDir: '/d/cni/conf',
  registryDirs: ['/d/registries'],
  runc: '/usr/sbin/runc',
  mayLowerScores: false,
  appArmor: false,
  pauseImage: 'localhost/pause:1',
  systemdCgroup: false,
};

test('containerd 1 gets one CRI plugin, containerd 2 its two', () => {
  const first = formatContainerdConfig(config);
  assert.match(first, /^version = 2\n/);
  assert.match(
    first,
    /\n\[plugins\."io\.containerd\.grpc\.v1\.cri"\]\n {2}sandbox_image = "localhost\/pause:1"/,
  );
  assert.match(first, /\n {2}restrict_oom_score_adj = true\n/);
  assert.match(first, /\n {2}disable_apparmor = true\n/);
  const confined = formatContainerdConfig({ ...config, appArmor: true });
  assert.match(confined, /\n {2}disable_apparmor = false\n/);
  assert.match(first, /\n {2}bin_dir = "\/d\/cni\/bin"\n {2}conf_dir = "\/d\/cni\/conf"\n/);
  assert.match(first, /\n {2}BinaryName = "\/usr\/sbin\/runc"\n/);
  const second = formatContainerdConfig({ ...config, majorVersion: 2 });
  assert.match(second, /^version = 3\n/);
  assert.match(
    second,
    /\n\[plugins\."io\.containerd\.cri\.v1\.images"\.pinned_images\]\n {2}sandbox = /,
  );
  assert.match(first, /\n {2}enable_cdi = true\n/);
  assert.match(second, /\n {2}enable_cdi = true\n/);
  assert.match(second, /\n {2}bin_dirs = \["\/d\/cni\/bin"\]\n/);
});

test('paths are quoted', () => {
  const odd = formatContainerdConfig({ ...config, root: '/a "b"\\c' });
  assert.match(odd, /\nroot = "\/a \\"b\\"\\\\c"\n/);
});

test('the socket moves near the root when its path would be too long', () => {
  const near = containerdLayout('/var/lib/coracle', 'abcde').socketPath;
  assert.equal(near, '/var/lib/coracle/agent/containerd/containerd.sock');
  const far = containerdLayout(`/tmp/${'x'.repeat(90)}`, 'abcde').socketPath;
  assert.match(far, /^\/run\/coracle-abcde-[0-9a-f]{8}\/containerd\.sock$/);
});

test('scores are only left alone where the machine does not let us lower them', () => {
  const status = (capabilities: string) => `Name:\tnode\nCapEff:\t${capabilities}\nSeccomp:\t2\n`;
  assert.equal(mayLowerScores(status('000001ffffffffff')), true);
  assert.equal(mayLowerScores(status('000001fffeffffff')), false);
  assert.equal(mayLowerScores(''), false);
  const free = formatContainerdConfig({ ...config, mayLowerScores: true });
  assert.match(free, /\n {2}restrict_oom_score_adj = false\n/);
});
