/** What a kubelet asks of the runtime where files and processes have labels (SELinux). */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import {
  configMaps,
  persistentVolumeClaims,
  persistentVolumes,
  secrets,
} from '#resources/kinds.ts';
import type { PersistentVolumeSpec, Volume } from '#resources/types/core-v1.ts';
import { KubeletBench, testImage } from '#test/kubelet-bench.ts';

const withSELinux = {
  '/proc/self/mountinfo': '30 23 0:25 / /sys/fs/selinux rw - selinuxfs selinuxfs rw\n',
  '/proc/self/attr/current': 'system_u:system_r:kubelet_t:s0\0',
};
const namespace = 'default';

/** A claim that is bound to a volume of this source. */
async function bind(
  {
    client,
    signal,
    ...bench
  }: { readonly while: KubeletBench['while'] } & Pick<KubeletBench, 'client' | 'signal'>,
  name: string,
  source: Pick<PersistentVolumeSpec, 'local' | 'hostPath'>,
): Promise<void> {
  const at = { namespace, name };
  const capacity = { storage: '1Gi' };
  const spec = { accessModes: ['ReadWriteOnce'], storageClassName: 'manual', volumeName: name };
  const claim = await bench.while(
    client.create(
      persistentVolumeClaims,
      {
        ...{ apiVersion: 'v1', kind: 'PersistentVolumeClaim', metadata: at },
        spec: { ...spec, resources: { requests: capacity } },
      },
      { signal },
    ),
  );
  const here = { key: 'kubernetes.io/hostname', operator: 'In', values: ['node-1'] };
  const nodeAffinity = { required: { nodeSelectorTerms: [{ matchExpressions: [here] }] } };
  await bench.while(
    client.create(
      persistentVolumes,
      {
        ...{ apiVersion: 'v1', kind: 'PersistentVolume', metadata: { name } },
        spec: {
          ...{ accessModes: ['ReadWriteOnce'], storageClassName: 'manual', capacity, ...source },
          ...{ nodeAffinity, claimRef: { ...at, uid: claim.metadata.uid ?? '' } },
        },
      },
      { signal },
    ),
  );
  const status = { phase: 'Bound', accessModes: spec.accessModes, capacity };
  const options = { type: 'merge', subresource: 'status', signal } as const;
  await bench.while(client.patch(persistentVolumeClaims, at, { status }, options));
}

async function relabelled(
  context: TestContext,
  files: KubeletBench['files'],
): Promise<Readonly<Record<string, boolean>>> {
  await using bench = await KubeletBench.open({ files });
  const { client, signal } = bench;
  const folder = mkdtempSync(join(tmpdir(), 'coracle-labels-'));
  context.after(() => rmSync(folder, { recursive: true }));
  const metadata = { namespace, name: 'some' };
  const [map, secret] = [
    { apiVersion: 'v1', kind: 'ConfigMap', metadata, data: { a: '1' } },
    { apiVersion: 'v1', kind: 'Secret', metadata, stringData: { a: '1' } },
  ];
  await bench.while(client.create(configMaps, map, { signal }));
  await bench.while(client.create(secrets, secret, { signal }));
  const bound = { client, signal, while: bench.while.bind(bench) };
  await bind(bound, 'local', { local: { path: folder } });
  await bind(bound, 'read', { local: { path: folder } });
  await bind(bound, 'host', { hostPath: { path: folder } });
  const items = [{ path: 'name', fieldRef: { fieldPath: 'metadata.name' } }];
  const volumes: readonly Volume[] = [
    { name: 'empty', emptyDir: {} },
    { name: 'memory', emptyDir: { medium: 'Memory' } },
    { name: 'map', configMap: { name: 'some' } },
    { name: 'secret', secret: { secretName: 'some' } },
    { name: 'downward', downwardAPI: { items } },
    { name: 'projected', projected: { sources: [{ downwardAPI: { items } }] } },
    { name: 'claim', persistentVolumeClaim: { claimName: 'local' } },
    { name: 'read-claim', persistentVolumeClaim: { claimName: 'read', readOnly: true } },
    { name: 'host', hostPath: { path: folder } },
    { name: 'host-claim', persistentVolumeClaim: { claimName: 'host' } },
  ];
  const volumeMounts = volumes.map(({ name }) => ({ name, mountPath: `/${name}` }));
  const part = { name: 'empty', mountPath: '/part', subPath: 'a' };
  const automountServiceAccountToken = false;
  const app = { name: 'app', image: testImage, volumeMounts: [...volumeMounts, part] };
  await bench.create('web', { volumes, automountServiceAccountToken, containers: [app] });
  await bench.untilReady('web');
  const mounts = bench.runtime.configOf('app').mounts ?? [];
  return Object.fromEntries(
    mounts.map(({ containerPath, selinuxRelabel }) => [containerPath, selinuxRelabel === true]),
  );
}

test('what is the pod’s own gets its label, what is the host’s keeps its own', async (context) => {
  const expected = {
    '/empty': true,
    '/memory': true,
    '/map': true,
    '/secret': true,
    '/downward': true,
    '/projected': true,
    '/claim': true,
    '/read-claim': false,
    '/host': false,
    '/host-claim': false,
    '/part': true,
    '/etc/hosts': true,
    '/dev/termination-log': true,
  };
  assert.deepEqual(await relabelled(context, withSELinux), expected);
  const none = Object.fromEntries(Object.keys(expected).map((path) => [path, false]));
  assert.deepEqual(await relabelled(context, {}), none, 'a machine without labels');
});

test('a pod has the label that it asks for, and a container its own', async () => {
  await using bench = await KubeletBench.open({ files: withSELinux });
  const containers = [
    { name: 'plain', image: testImage },
    {
      ...{ name: 'own', image: testImage },
      securityContext: { seLinuxOptions: { type: 'spc_t' }, privileged: true },
      volumeMounts: [{ name: 'data', mountPath: '/data' }],
    },
  ];
  await bench.create('web', {
    securityContext: {
      ...{ seLinuxOptions: { level: 's0:c123,c456' }, seLinuxChangePolicy: 'Recursive' },
    },
    ...{ containers, volumes: [{ name: 'data', emptyDir: {} }] },
  });
  const pod = await bench.untilReady('web');
  const { runtime } = bench;
  const labelOf = (name: string) => runtime.configOf(name).linux?.securityContext?.selinuxOptions;
  assert.deepEqual(labelOf('plain'), { level: 's0:c123,c456' });
  assert.deepEqual(labelOf('own'), { type: 'spc_t' }, 'as a whole, not merged');
  const sandbox = runtime.sandboxConfigOf(pod.metadata.uid ?? '').linux?.securityContext
    ?.selinuxOptions;
  assert.deepEqual(sandbox, { level: 's0:c123,c456' });
  const data = runtime.configOf('own').mounts?.find((each) => each.containerPath === '/data');
  assert.equal(data?.selinuxRelabel, true, 'the runtime leaves those of privileged ones alone');
});

test('plugins in containers can reach the folders where they are found', async () => {
  const label = 'system_u:object_r:container_file_t:s0';
  const dirs = ['device-plugins', 'plugins_registry', 'plugins'];
  {
    await using bench = await KubeletBench.open({ files: withSELinux, withPlugins: true });
    await bench.create('web', { containers: [{ name: 'app', image: testImage }] });
    await bench.untilReady('web');
    const expected = dirs.map((dir) => [join(bench.pluginsRoot, dir), label]);
    assert.deepEqual([...bench.labels], expected);
  }
  await using bench = await KubeletBench.open({ withPlugins: true });
  await bench.create('web', { containers: [{ name: 'app', image: testImage }] });
  await bench.untilReady('web');
  assert.equal(bench.labels.size, 0);
});
