/**
 * What is kept when pods go: the claims of a StatefulSet and what is in their volumes, volumes of
 * the node that are emptied for the next one, and an application whose configuration is an object.
 */
import assert from 'node:assert/strict';
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  readdirSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { dirname, join } from 'node:path';
import { buildImage } from '#images';
import { covers } from '#test/covers.ts';
import {
  configMap,
  type Manifest,
  nginx,
  podOf,
  shell,
  stay,
  type Walkthroughs,
  type WatchedCluster,
} from '#test/watched-cluster.ts';

const mount = (name: string, mountPath = `/${name}`) => ({ name, mountPath });

/** A folder of this machine, which is the node. */
function folderVolume(
  walk: WatchedCluster,
  name: string,
  more: Readonly<Record<string, unknown>>,
): { readonly path: string; readonly manifest: Manifest } {
  const path = join(walk.cluster.folder, name);
  mkdirSync(path);
  const spec = { capacity: { storage: '1Gi' }, accessModes: ['ReadWriteOnce'], ...more };
  const head = { apiVersion: 'v1', kind: 'PersistentVolume', metadata: { name } };
  return { path, manifest: { ...head, spec: { ...spec, hostPath: { path } } } };
}

const claimSpec = (storageClassName: string) => ({
  ...{ storageClassName, accessModes: ['ReadWriteOnce'] },
  resources: { requests: { storage: '1Gi' } },
});

export const kept: Walkthroughs = {
  'a StatefulSet keeps its claims, and finds in them what was there': async (walk) => {
    covers('VOL-016', 'VOL-150');
    const storageClassName = 'of-folders';
    const volumes = ['folder-0', 'folder-1', 'folder-2'].map((name) =>
      folderVolume(walk, name, { storageClassName }),
    );
    await walk.create(...volumes.map(({ manifest }) => manifest), {
      ...{ apiVersion: 'apps/v1', kind: 'StatefulSet', metadata: { name: 'keeper' } },
      spec: {
        ...{ serviceName: 'keeper', replicas: 2, podManagementPolicy: 'Parallel' },
        selector: { matchLabels: { app: 'keeper' } },
        template: {
          metadata: { labels: { app: 'keeper' } },
          spec: {
            terminationGracePeriodSeconds: 1,
            initContainers: [
              shell('[ -e /www/index.html ] || echo "cloned for $HOSTNAME" > /www/index.html', {
                ...{ name: 'clone', volumeMounts: [mount('www')] },
                env: [
                  { name: 'HOSTNAME', valueFrom: { fieldRef: { fieldPath: 'metadata.name' } } },
                ],
              }),
            ],
            containers: [
              {
                ...{ name: 'nginx', image: nginx },
                volumeMounts: [mount('www', '/usr/share/nginx/html')],
              },
            ],
          },
        },
        volumeClaimTemplates: [{ metadata: { name: 'www' }, spec: claimSpec(storageClassName) }],
      },
    });
    const page = (name: string): Promise<string> =>
      walk.exec(name, 'wget', '-qO-', 'http://localhost/');
    const names = ['keeper-0', 'keeper-1'];
    for (const name of names) {
      await walk.untilReady(name);
      await walk.answer(() => page(name), new RegExp(`^cloned for ${name}\n$`));
      const file = '/usr/share/nginx/html/index.html';
      await walk.exec(name, 'sh', '-c', `echo written by ${name} > ${file}`);
    }
    const claims = (): Promise<string> =>
      walk.kubectl(
        'get',
        'pvc',
        '-o',
        'jsonpath={range .items[*]}{.metadata.name} {.spec.volumeName} {end}',
      );
    const isBound = /www-keeper-0 folder-\d www-keeper-1 folder-\d/;
    const before = isBound.exec(await claims())?.[0];
    assert.ok(before);
    const back = async (): Promise<void> => {
      for (const name of names) {
        await walk.untilReady(name);
        await walk.answer(() => page(name), new RegExp(`^written by ${name}$`, 'm'));
      }
      assert.equal(isBound.exec(await claims())?.[0], before);
    };
    const gone = async (...which: readonly string[]): Promise<void> => {
      for (const name of which) await walk.untilGone(name);
    };
    await walk.kubectl('scale', 'statefulset', 'keeper', '--replicas=0');
    await gone(...names);
    assert.equal(isBound.exec(await claims())?.[0], before);
    await walk.kubectl('scale', 'statefulset', 'keeper', '--replicas=2');
    await back();
    const yaml = await walk.kubectl('get', 'statefulset', 'keeper', '-o', 'json');
    await walk.kubectl('delete', 'statefulset', 'keeper');
    await gone(...names);
    assert.equal(isBound.exec(await claims())?.[0], before);
    const set = JSON.parse(yaml);
    const { name } = set.metadata;
    await walk.create({ ...set, metadata: { name }, status: undefined });
    await back();
    // Without its claim, the next pod of that number begins with another volume.
    await walk.kubectl('delete', 'pvc', 'www-keeper-1', '--wait=false');
    await walk.kubectl('delete', 'pod', 'keeper-1');
    await walk.answer(claims, /www-keeper-1 folder-\d/);
    await walk.untilReady('keeper-1');
    await walk.answer(() => page('keeper-1'), /^cloned for keeper-1$/m);
    assert.equal(await page('keeper-0'), 'written by keeper-0\n');
    const written = volumes.filter(({ path }) => readdirSync(path).length === 1);
    assert.equal(written.length, 3, 'what was in the old one is there still');
    await walk.kubectl('delete', 'statefulset', 'keeper');
  },

  'a volume is emptied for the next claim': async (walk) => {
    covers('VOL-078');
    await loadRecycler(walk);
    const storageClassName = 'emptied';
    const { path, manifest } = folderVolume(walk, 'emptied', {
      ...{ storageClassName, persistentVolumeReclaimPolicy: 'Recycle' },
    });
    mkdirSync(join(path, 'folder'));
    for (const name of ['file', '.hidden', 'folder/deep']) writeFileSync(join(path, name), 'x');
    const claim = (name: string) => ({
      ...{ apiVersion: 'v1', kind: 'PersistentVolumeClaim', metadata: { name } },
      spec: claimSpec(storageClassName),
    });
    await walk.create(manifest, claim('first-claim'));
    const row = () => walk.kubectl('get', 'pv', 'emptied', '--no-headers');
    await walk.answer(row, /^emptied +1Gi +RWO +Recycle +Bound +default\/first-claim /);
    await walk.kubectl('delete', 'pvc', 'first-claim');
    const told = (): Promise<string> => walk.kubectl('describe', 'pv', 'emptied');
    await walk.answer(told, /^Status: +Available$/m);
    assert.match(await row(), /^emptied +1Gi +RWO +Recycle +Available /);
    assert.deepEqual(readdirSync(path), []);
    await walk.create(claim('second-claim'));
    await walk.answer(row, /^emptied +1Gi +RWO +Recycle +Bound +default\/second-claim /);
    // Nothing but folders of nodes and NFS can be emptied.
    const iscsi = { targetPortal: '192.0.2.1', iqn: 'iqn.2001-04.com.example:a', lun: 0 };
    const { spec } = manifest;
    await walk.create(
      {
        ...{ apiVersion: 'v1', kind: 'PersistentVolume', metadata: { name: 'unemptied' } },
        spec: { ...Object(spec), hostPath: undefined, iscsi, storageClassName: 'unemptied' },
      },
      { ...claim('third-claim'), spec: claimSpec('unemptied') },
    );
    const other = () => walk.kubectl('get', 'pv', 'unemptied', '--no-headers');
    await walk.answer(other, /^unemptied +1Gi +RWO +Recycle +Bound +default\/third-claim /);
    await walk.kubectl('delete', 'pvc', 'third-claim');
    await walk.answer(other, /^unemptied +1Gi +RWO +Recycle +Failed /);
    const text = (): Promise<string> => walk.kubectl('describe', 'pv', 'unemptied');
    await walk.answer(text, /VolumeFailedRecycle .*No recycler plugin found for the volume!/);
    await walk.kubectl('delete', 'pv', 'unemptied');
  },

  'a ConfigMap is the configuration of an application': async (walk) => {
    covers('CFG-035');
    const conf = 'maxmemory 2mb\nmaxmemory-policy allkeys-lru\n';
    // What of redis reads its configuration.
    const script = `
get() {
  value=$(sed -n "s/^$1 //p" /redis-master/redis.conf)
  case $value in *mb) value=$((\${value%mb} * 1024 * 1024)) ;; esac
  echo "$value"
}
while read command sub key; do echo "$key"; get "$key"; done`;
    await walk.create(
      configMap('example-redis-config', { 'redis-config': conf }),
      podOf('redis', {
        containers: [
          shell(stay, {
            env: [{ name: 'MASTER', value: 'true' }],
            volumeMounts: [mount('config', '/redis-master')],
          }),
        ],
        volumes: [
          {
            name: 'config',
            configMap: {
              name: 'example-redis-config',
              items: [{ key: 'redis-config', path: 'redis.conf' }],
            },
          },
        ],
      }),
    );
    await walk.untilReady('redis');
    const ask = ['exec', '-i', 'redis', '--', 'sh', '-c', script];
    const input = 'CONFIG GET maxmemory\nCONFIG GET maxmemory-policy\n';
    const { stdout } = await walk.cluster.kubectlWith({ input }, ...ask);
    assert.equal(stdout, 'maxmemory\n2097152\nmaxmemory-policy\nallkeys-lru\n');
  },
};

/** The image with which upstream empties volumes, made of this machine's programs. */
async function loadRecycler(walk: WatchedCluster): Promise<void> {
  const reference = 'registry.k8s.io/build-image/debian-base:bookworm-v1.0.6';
  const rootfs = join(walk.cluster.folder, 'recycler');
  const outputPath = `${rootfs}.tar`;
  // Busybox has a `find` that cannot delete.
  for (const program of ['sh', 'find', 'ls']) {
    const path = (await walk.run('which', [program])).stdout.trim();
    const { stdout } = await walk.run('ldd', [path]);
    for (const file of [path, ...(stdout.match(/(?<=\s)\/[^\s:]+/g) ?? [])]) {
      const there = join(rootfs, file);
      mkdirSync(dirname(there), { recursive: true });
      copyFileSync(file, there);
    }
  }
  if (!existsSync(join(rootfs, 'bin'))) symlinkSync('usr/bin', join(rootfs, 'bin'));
  await buildImage({ rootfs, reference, outputPath, config: { Env: ['PATH=/usr/bin:/bin'] } });
  const load = ['image', 'load', outputPath, '--data-dir', walk.cluster.dataDir];
  const loaded = await walk.run(process.execPath, ['bin/coracle.js', ...load]);
  assert.equal(loaded.code, 0, loaded.stderr);
  assert.ok(existsSync(outputPath));
}
