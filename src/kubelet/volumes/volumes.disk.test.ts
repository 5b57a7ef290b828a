/** Files of volumes on a real file system, below a temporary folder. */
import assert from 'node:assert/strict';
import {
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  realpathSync,
  rmdirSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import type {
  ConfigMap,
  Container,
  Pod,
  PodSecurityContext,
  Secret,
  SecurityContext,
  Volume,
  VolumeMount,
} from '#resources/types/core-v1.ts';
import { ConfigError } from '../containers/env.ts';
import { type Payload, writePayload } from './atomic-files.ts';
import { mountsOf } from './mounts.ts';
import { type PayloadSources, payloadOf, VolumeError } from './payload.ts';
import { checkUse } from './persistent-volume.ts';

function folderOf(context: TestContext): string {
  const folder = mkdtempSync(join(tmpdir(), 'coracle-volumes-'));
  context.after(() => rmSync(folder, { recursive: true, force: true }));
  return realpathSync(folder);
}

function payload(files: Readonly<Record<string, string>>, mode = 0o644): Payload {
  return new Map(
    Object.entries(files).map(([path, text]) => [path, { data: Buffer.from(text), mode }]),
  );
}

test('a payload appears through links and changes all at once', (context) => {
  const folder = join(folderOf(context), 'v');
  assert.equal(writePayload(folder, payload({ a: '1', 'sub/b': '2' }), { stamp: '1' }), true);
  assert.equal(readFileSync(join(folder, 'sub/b'), 'utf8'), '2');
  assert.equal(readlinkSync(join(folder, 'a')), '..data/a');
  assert.equal(readlinkSync(join(folder, '..data')), '..1');
  assert.equal(writePayload(folder, payload({ a: '1', 'sub/b': '2' }), { stamp: '2' }), false);
  assert.equal(readlinkSync(join(folder, '..data')), '..1', 'nothing is touched without a change');
  assert.equal(writePayload(folder, payload({ a: 'new' }, 0o400), { stamp: '3' }), true);
  assert.equal(readFileSync(join(folder, 'a'), 'utf8'), 'new');
  assert.equal(statSync(join(folder, 'a')).mode & 0o777, 0o400);
  assert.deepEqual(readdirSync(folder).toSorted(), ['..3', '..data', 'a']);
  if (process.getuid?.() !== 0) return;
  const files = new Map([
    ['a', { data: Buffer.from('1'), mode: 0o600, uid: 1000 }],
    ['b', { data: Buffer.from('2'), mode: 0o644 }],
  ]);
  writePayload(folder, files, { stamp: '4', gid: 7 });
  const ownersOf = (name: string) => [
    statSync(join(folder, name)).uid,
    statSync(join(folder, name)).gid,
  ];
  assert.deepEqual(
    [ownersOf('a'), ownersOf('b')],
    [
      [1000, 7],
      [0, 7],
    ],
  );
});

const pod: Pod = {
  apiVersion: 'v1',
  kind: 'Pod',
  metadata: { name: 'p', namespace: 'default', labels: { app: 'x' } },
  spec: { containers: [{ name: 'c', resources: { limits: { cpu: '2' } } }] },
};

const configMap: ConfigMap = {
  apiVersion: 'v1',
  kind: 'ConfigMap',
  metadata: { name: 'settings' },
  data: { colour: 'green' },
  binaryData: { raw: 'AAE=' },
};
const secret: Secret = {
  apiVersion: 'v1',
  kind: 'Secret',
  metadata: { name: 'key' },
  data: { word: 'cGFzcw==' },
};

const sources: PayloadSources = {
  configMap: async (name) => (name === 'settings' ? configMap : undefined),
  secret: async (name) => (name === 'key' ? secret : undefined),
  token: async ({ audience = 'default' }) => `token for ${audience}`,
  addresses: { podIPs: [], hostIPs: [] },
  allocatable: { cpu: '4' },
};

async function textsOf(volume: Omit<Volume, 'name'>): Promise<Readonly<Record<string, string>>> {
  const files = await payloadOf(pod, { name: 'v', ...volume }, sources);
  assert.ok(files !== undefined);
  return Object.fromEntries(
    [...files].map(([path, { data, mode }]) => [
      path,
      `${mode.toString(8)} ${Buffer.from(data).toString()}`,
    ]),
  );
}

test('ConfigMaps and Secrets, whole or key by key', async () => {
  assert.deepEqual(await textsOf({ configMap: { name: 'settings' } }), {
    colour: '644 green',
    raw: '644 \0\u0001',
  });
  const items = [{ key: 'word', path: 'deep/word', mode: 0o400 }];
  assert.deepEqual(await textsOf({ secret: { secretName: 'key', items } }), {
    'deep/word': '400 pass',
  });
  assert.deepEqual(await textsOf({ configMap: { name: 'nope', optional: true } }), {});
});

test('a projected volume is what Kubernetes mounts for the API', async () => {
  const texts = await textsOf({
    projected: {
      sources: [
        { serviceAccountToken: { path: 'token', audience: 'vault' } },
        { configMap: { name: 'settings', items: [{ key: 'colour', path: 'ca.crt' }] } },
        {
          downwardAPI: {
            items: [
              { path: 'namespace', fieldRef: { fieldPath: 'metadata.namespace' } },
              { path: 'cpu', resourceFieldRef: { containerName: 'c', resource: 'limits.cpu' } },
            ],
          },
        },
      ],
    },
  });
  assert.deepEqual(texts, {
    token: '644 token for vault',
    'ca.crt': '644 green',
    namespace: '644 default',
    cpu: '644 2',
  });
});

test('a token is for the only user of a pod and for its group; all else is anybody’s', async () => {
  const sourcesOf = [
    { serviceAccountToken: { path: 'token' } },
    { configMap: { name: 'settings', items: [{ key: 'colour', path: 'colour' }] } },
  ];
  const volume = { name: 'v', projected: { sources: sourcesOf, defaultMode: 0o440 } };
  const look = async (securityContext: PodSecurityContext, ofContainer: SecurityContext = {}) => {
    const containers = [{ name: 'c' }, { name: 'd', securityContext: ofContainer }];
    const who = { ...pod, spec: { containers, securityContext } };
    const files = await payloadOf(who, volume, sources);
    const { mode, uid } = files?.get('colour') ?? {};
    assert.deepEqual([mode, uid], [0o440, undefined]);
    const token = files?.get('token');
    return `${token?.mode.toString(8)} ${token?.uid}`;
  };
  assert.equal(await look({}), '440 undefined');
  assert.equal(await look({ runAsUser: 1000 }), '600 1000');
  assert.equal(await look({ fsGroup: 10_000 }), '600 undefined');
  assert.equal(await look({ fsGroup: 10_000, runAsUser: 1000 }), '600 1000');
  assert.equal(await look({ runAsUser: 1000 }, { runAsUser: 7 }), '440 undefined');
  assert.equal(await look({ fsGroup: 7 }, { runAsUser: 7 }), '600 undefined');
});

test('a downward API volume formats labels', async () => {
  const items = [{ path: 'labels', fieldRef: { fieldPath: 'metadata.labels' } }];
  assert.deepEqual(await textsOf({ downwardAPI: { items } }), { labels: '644 app="x"' });
});

test('what is missing or leads outside is refused', async () => {
  const refused = async (volume: Omit<Volume, 'name'>, text: RegExp) => {
    const isRefusal = (error: unknown) => error instanceof VolumeError && text.test(error.message);
    await assert.rejects(textsOf(volume), isRefusal);
  };
  await refused({ configMap: { name: 'nope' } }, /configmap "nope" not found/);
  await refused({ secret: { secretName: 'nope' } }, /secret "nope" not found/);
  const items = [{ key: 'size', path: 'size' }];
  await refused(
    { configMap: { name: 'settings', items } },
    /configmap references non-existent config key: size/,
  );
  const outside = [{ key: 'colour', path: '../x' }];
  await refused({ configMap: { name: 'settings', items: outside } }, /invalid path/);
});

test('a claim is used as what it is: as a folder, or as a device', () => {
  const podWith = (use: Partial<Container>): Pod => ({
    ...{ apiVersion: 'v1', kind: 'Pod', metadata: {} },
    spec: { containers: [{ name: 'c', ...use }] },
  });
  const mounting = podWith({ volumeMounts: [{ name: 'disk', mountPath: '/d' }] });
  const mapping = podWith({ volumeDevices: [{ name: 'disk', devicePath: '/dev/d' }] });
  checkUse(mounting, 'disk', 'Filesystem');
  checkUse(mapping, 'disk', 'Block');
  checkUse(mapping, 'other', 'Filesystem');
  const refused = (pod: Pod, mode: string, message: string) =>
    assert.throws(() => checkUse(pod, 'disk', mode), { message });
  refused(mounting, 'Block', 'volume disk has volumeMode Block, but is specified in volumeMounts');
  refused(
    mapping,
    'Filesystem',
    'volume disk has volumeMode Filesystem, but is specified in volumeDevices',
  );
});

/** Binds nothing: what was to be bound is to be seen at its target. */
const binder = {
  isMounted: () => false,
  bindDescriptor: async (descriptor: number, target: string) => {
    rmdirSync(target);
    symlinkSync(readlinkSync(`/proc/self/fd/${descriptor}`), target);
  },
  unmountBelow: async () => {},
};

test('a container sees its volumes, a hosts file and its last words', async (context) => {
  const folder = folderOf(context);
  const options = {
    volumes: new Map([['data', folder]]),
    environment: new Map([['POD', 'web-0']]),
    hostsFile: '/hosts',
    terminationFile: join(folder, 'last'),
    subPaths: join(folder, 'parts'),
    ...{ binder, signal: new AbortController().signal },
  };
  const volumeMounts = [
    { name: 'data', mountPath: 'data', readOnly: true },
    { name: 'data', mountPath: '/own', subPathExpr: '$(POD)' },
  ];
  const mounts = await mountsOf({ name: 'c', volumeMounts }, options);
  const target = join(folder, 'parts/data/c/1');
  assert.equal(readlinkSync(target), join(folder, 'web-0'));
  assert.deepEqual(
    mounts.map(({ containerPath, hostPath, readonly }) => [
      containerPath,
      hostPath,
      readonly === true,
    ]),
    [
      ['/data', folder, true],
      ['/own', target, false],
      ['/etc/hosts', '/hosts', false],
      ['/dev/termination-log', join(folder, 'last'), false],
    ],
  );
});

test('a sub-path that cannot be is a fault of the configuration, without a word of the node', async (context) => {
  const folder = folderOf(context);
  const options = {
    volumes: new Map([['data', folder]]),
    environment: new Map([['EMPTY', '']]),
    hostsFile: '/hosts',
    terminationFile: join(folder, 'last'),
    subPaths: join(folder, 'parts'),
    ...{ binder, signal: new AbortController().signal },
  };
  symlinkSync('/etc/passwd', join(folder, 'file'));
  symlinkSync('/nowhere/at/all', join(folder, 'dangling'));
  writeFileSync(join(folder, 'plain'), '');
  const cases: readonly (readonly [Partial<VolumeMount>, string])[] = [
    [{ subPath: 'file' }, 'failed to prepare subPath for volumeMount "data" of container "c"'],
    [
      { subPath: 'dangling' },
      'failed to create subPath directory for volumeMount "data" of container "c"',
    ],
    [
      { subPath: 'plain/below' },
      'failed to prepare subPath for volumeMount "data" of container "c"',
    ],
    [{ subPath: 'a/../../b' }, "unable to provision SubPath `a/../../b`: must not contain '..'"],
    [{ subPathExpr: '/a' }, 'error SubPath `/a` must not be an absolute path'],
    [{ name: 'none' }, 'cannot find volume "none" to mount into container "c"'],
    [{ subPathExpr: '$(NONE)/$(EMPTY)/$$(x)' }, 'missing value for EMPTY, NONE'],
  ];
  for (const [mount, message] of cases) {
    const volumeMounts = [{ name: 'data', mountPath: '/x', ...mount }];
    await assert.rejects(
      mountsOf({ name: 'c', volumeMounts }, options),
      (error) => error instanceof ConfigError && error.message === message,
    );
  }
  assert.equal(statSync('/nowhere', { throwIfNoEntry: false }), undefined);
});
