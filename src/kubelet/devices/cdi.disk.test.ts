/** Names of devices, read by the kubelet for runtimes that do not know them. */
import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { applyNames, knowsNames, readCdiSpecs } from './cdi.ts';
import { nothing } from './devices.ts';

const named = (...names: readonly string[]) => {
  return { ...nothing, cdiDevices: names.map((name) => ({ name })) };
};

test('what the names stand for is asked for, of the later folder first', () => {
  const root = mkdtempSync(join(tmpdir(), 'coracle-cdi-'));
  try {
    const [one, two] = [join(root, 'one'), join(root, 'two')];
    mkdirSync(one);
    mkdirSync(two);
    const old = { kind: 'v.com/gpu', devices: [{ name: 'a', containerEdits: { env: ['A=0'] } }] };
    writeFileSync(join(one, 'v.json'), JSON.stringify(old));
    writeFileSync(join(one, 'broken.json'), '{');
    writeFileSync(
      join(two, 'v.yaml'),
      [
        'cdiVersion: 0.5.0',
        'kind: v.com/gpu',
        'containerEdits: {env: ["ALL=1"]}',
        'devices:',
        '- name: a',
        '  containerEdits:',
        '    env: ["A=x=y"]',
        '    deviceNodes: [{path: /dev/g0, hostPath: /dev/null, permissions: r}, {path: /dev/g1}]',
        '    mounts: [{hostPath: /opt/g, containerPath: /g, options: [ro, bind]}]',
        '- name: hooked',
        '  containerEdits: {hooks: []}',
      ].join('\n'),
    );
    const specs = readCdiSpecs([one, two, join(root, 'none')]);
    assert.deepEqual(applyNames(named('v.com/gpu=a'), specs), {
      envs: new Map([
        ['ALL', '1'],
        ['A', 'x=y'],
      ]),
      mounts: [{ hostPath: '/opt/g', containerPath: '/g', readonly: true }],
      devices: [
        { containerPath: '/dev/g0', hostPath: '/dev/null', permissions: 'r' },
        { containerPath: '/dev/g1', hostPath: '/dev/g1', permissions: 'rwm' },
      ],
      annotations: {},
      cdiDevices: [],
    });
    assert.equal(
      applyNames(named('v.com/gpu=a', 'v.com/gpu=z'), specs),
      'unresolvable CDI devices v.com/gpu=z',
    );
    assert.equal(
      applyNames(named('v.com/gpu=hooked'), specs),
      'the container runtime cannot apply hooks of CDI devices',
    );
  } finally {
    rmSync(root, { recursive: true, force: true });
  }
});

test('runtimes that know names are left to it', () => {
  assert.equal(knowsNames('containerd', '1.6.20~ds1'), false);
  assert.equal(knowsNames('containerd', 'v1.7.2'), true);
  assert.equal(knowsNames('containerd', '2.0.1'), true);
  assert.equal(knowsNames('cri-o', '1.0.0'), true);
});
