/**
 * Volumes that need no driver: empty ones, folders and files of the node, claims of a folder, parts
 * of one, later mounts, and who owns what.
 */
import assert from 'node:assert/strict';
import { existsSync, mkdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import type { Pod, Volume } from '#resources/types/core-v1.ts';
import { covers, superseded } from '#test/covers.ts';
import { freePort } from '#test/free-port.ts';
import {
  nginx,
  podOf,
  readProcess,
  shell,
  stateOf,
  statusOf,
  stay,
  type Walkthroughs,
  type WatchedCluster,
} from '#test/watched-cluster.ts';

const never = { restartPolicy: 'Never' } as const;
const mount = (name: string, mountPath = `/${name}`) => ({ name, mountPath });

/** A folder of this machine, which is the node. */
function nodeFolder(walk: WatchedCluster, name: string): string {
  const path = join(walk.cluster.folder, name);
  mkdirSync(path, { recursive: true });
  return path;
}

export const volumes: Walkthroughs = {
  'emptyDir: empty, shared, kept while the pod lives, gone with it': async (walk) => {
    covers('VOL-023', 'VOL-025', 'VOL-122', 'VOL-123', 'VOL-133', 'VOL-013');
    const index = 'echo Hello from the debian container > /pod-data/index.html';
    await walk.create(
      podOf('two-containers', {
        restartPolicy: 'OnFailure',
        containers: [
          {
            ...{ name: 'nginx-container', image: nginx },
            volumeMounts: [mount('shared-data', '/usr/share/nginx/html')],
          },
          shell(`n=$(ls -A /pod-data | wc -l); echo $n > /pod-data/before; ${index}`, {
            name: 'debian-container',
            volumeMounts: [mount('shared-data', '/pod-data'), mount('own')],
          }),
        ],
        volumes: [
          { name: 'shared-data', emptyDir: {} },
          { name: 'own', emptyDir: {} },
        ],
      }),
    );
    const pod = await walk.until(
      'two-containers',
      (each) =>
        stateOf(each, 'debian-container') === 'Terminated: Completed 0' &&
        stateOf(each, 'nginx-container') === 'Running',
      'half over',
    );
    const web = ['exec', 'two-containers', '-c', 'nginx-container', '--'];
    const get = () => walk.kubectl(...web, 'wget', '-qO-', 'http://localhost');
    await walk.answer(get, /^Hello from the debian container\n$/);
    assert.equal(await walk.kubectl(...web, 'cat', '/usr/share/nginx/html/before'), '0\n');
    await walk.kubectl(...web, 'test', '!', '-e', '/own');
    await walk.kubectl(...web, 'touch', '/usr/share/nginx/html/by-nginx');
    const onNode = join(
      walk.cluster.dataDir,
      `agent/kubelet/pods/${pod.metadata.uid}/volumes/kubernetes.io~empty-dir/shared-data`,
    );
    assert.equal(readFileSync(join(onNode, 'before'), 'utf8'), '0\n');
    await walk.kill('two-containers', 'nginx-container');
    const again = await walk.until(
      'two-containers',
      (each) =>
        statusOf(each, 'nginx-container').restartCount === 1 &&
        statusOf(each, 'nginx-container').ready,
      'up again',
    );
    assert.equal(again.metadata.uid, pod.metadata.uid);
    await walk.answer(get, /^Hello from the debian container$/m);
    for (const name of ['index.html', 'by-nginx']) assert.ok(existsSync(join(onNode, name)), name);
    await walk.kubectl('delete', 'pod', 'two-containers');
    assert.ok(!existsSync(onNode));
  },

  'emptyDir in memory counts as memory': async (walk) => {
    covers('VOL-026');
    const memory = [{ name: 'fast', emptyDir: { medium: 'Memory', sizeLimit: '80Mi' } }];
    const limits = { resources: { limits: { memory: '40Mi' } } };
    await walk.create(
      podOf('in-memory', {
        containers: [shell(stay, { ...limits, volumeMounts: [mount('fast')] })],
        volumes: memory,
      }),
      podOf('too-much-memory', {
        ...never,
        containers: [
          shell('dd if=/dev/zero of=/fast/big bs=1M count=70 && echo survived', {
            ...limits,
            volumeMounts: [mount('fast')],
          }),
        ],
        volumes: memory,
      }),
    );
    await walk.untilReady('in-memory');
    const line = await walk.exec('in-memory', 'grep', ' /fast ', '/proc/mounts');
    // Never more than the pod may have, whatever the volume's own limit says.
    assert.match(line, /^tmpfs \/fast tmpfs rw.*size=40960k/);
    const ended = await walk.untilEnded('too-much-memory');
    assert.equal(ended.status?.phase, 'Failed');
    // The kernel chooses whom of the container it kills: the one that writes, or the first.
    assert.doesNotMatch(await walk.logs('too-much-memory'), /survived/);
    // The reason may be told after the end.
    const isKilled = (pod: Pod): boolean => statusOf(pod).state?.terminated?.reason === 'OOMKilled';
    await walk.until('too-much-memory', isKilled, 'killed for its memory');
  },

  'hostPath: every type, there and not there': async (walk) => {
    covers('VOL-028', 'VOL-029', 'VOL-030', 'VOL-031', 'VOL-032', 'VOL-033', 'VOL-034', 'VOL-035');
    covers('POD-020');
    const folder = nodeFolder(walk, 'host-path');
    writeFileSync(join(folder, 'a-file'), 'of the node\n');
    using _socket = listen(join(folder, 'a-socket'));
    const device = join(folder, 'a-device');
    const block = await walk.run('mknod', [device, 'b', '7', '0']);
    assert.equal(block.code, 0, block.stderr);
    const nowhere = podOf('nowhere-on-the-node', {
      containers: [shell(stay)],
      volumes: [{ name: 'v', hostPath: {} as never }],
    });
    const input = JSON.stringify(nowhere);
    const refused = await walk.cluster.kubectlWith({ input }, 'create', '-f', '-');
    assert.match(refused.stderr, /hostPath\.path: Required value/);
    const good: Record<string, readonly [string, string]> = {
      '': [join(folder, 'made-by-the-runtime'), 'test -d /v && test -z "$(ls -A /v)"'],
      DirectoryOrCreate: [join(folder, 'made'), 'test -d /v'],
      Directory: [folder, 'cat /v/a-file'],
      FileOrCreate: [join(folder, 'made-file'), 'test -f /v && test ! -s /v'],
      File: [join(folder, 'a-file'), 'cat /v'],
      Socket: [join(folder, 'a-socket'), 'test -S /v'],
      CharDevice: ['/dev/null', 'test -c /v'],
      BlockDevice: [device, 'test -b /v'],
    };
    const bad: Record<string, readonly [string, string]> = {
      Directory: [join(folder, 'none'), 'hostPath type check failed: .*/none is not a directory'],
      File: [folder, 'hostPath type check failed: .* is not a file'],
      Socket: [join(folder, 'a-file'), 'hostPath type check failed: .* is not a socket file'],
      CharDevice: [
        join(folder, 'a-file'),
        'hostPath type check failed: .* is not a character device',
      ],
      BlockDevice: ['/dev/null', 'hostPath type check failed: .* is not a block device'],
      FileOrCreate: [folder, 'hostPath type check failed: .* is not a file'],
    };
    const pod = (prefix: string, type: string, path: string, script: string) =>
      podOf(`${prefix}-${type === '' ? 'none' : type.toLowerCase()}`, {
        ...never,
        containers: [shell(script, { volumeMounts: [mount('v')] })],
        volumes: [{ name: 'v', hostPath: { path, type } }] satisfies Volume[],
      });
    await walk.create(
      ...Object.entries(good).map(([type, [path, script]]) => pod('good', type, path, script)),
      ...Object.entries(bad).map(([type, [path]]) => pod('bad', type, path, 'true')),
    );
    for (const type of Object.keys(good)) {
      const name = `good-${type === '' ? 'none' : type.toLowerCase()}`;
      const { status } = await walk.untilEnded(name);
      assert.equal(status?.phase, 'Succeeded', name);
    }
    for (const name of ['made', 'made-by-the-runtime']) {
      const made = statSync(join(folder, name));
      assert.deepEqual([made.mode & 0o777, made.uid, made.gid], [0o755, 0, 0], name);
    }
    const made = statSync(join(folder, 'made-file'));
    assert.deepEqual([made.mode & 0o777, made.uid, made.gid], [0o644, 0, 0]);
    for (const [type, [, message]] of Object.entries(bad)) {
      await walk.untilEvent(`bad-${type.toLowerCase()}`, new RegExp(`FailedMount: .*${message}`));
    }
    const names = Object.keys(bad).map((type) => `bad-${type.toLowerCase()}`);
    await walk.kubectl('delete', 'pod', ...names);
  },

  'folders of the node, for reading; the whole network of the node': async (walk) => {
    covers('POD-018', 'POD-019', 'POD-204', 'VOL-018', 'VOL-036', 'VOL-129', 'NET-032');
    const folder = nodeFolder(walk, 'var-log');
    writeFileSync(join(folder, 'syslog'), 'a line of the node\n');
    const port = await freePort();
    await walk.create(
      podOf('log-reader', {
        hostNetwork: true,
        containers: [
          shell(`httpd -p 127.0.0.1:${port}; ${stay}`, {
            securityContext: { privileged: true },
            volumeMounts: [
              { ...mount('varlog'), readOnly: true },
              ...[mount('varlog', '/writable'), mount('made')],
            ],
          }),
          shell(stay, {
            name: 'plain',
            securityContext: { runAsUser: 1000 },
            volumeMounts: [mount('varlog', '/writable'), mount('made')],
          }),
        ],
        volumes: [
          { name: 'varlog', hostPath: { path: folder } },
          { name: 'made', hostPath: { path: `${folder}-made`, type: 'DirectoryOrCreate' } },
        ],
      }),
    );
    const pod = await walk.untilReady('log-reader');
    assert.equal(pod.status?.podIP, pod.status?.hostIP);
    const run = (container: string, script: string) =>
      walk.tryKubectl('exec', 'log-reader', '-c', container, '--', 'sh', '-c', script);
    assert.equal((await run('main', 'cat /varlog/syslog')).stdout, 'a line of the node\n');
    assert.match((await run('main', 'echo x > /varlog/more')).stderr, /Read-only file system/);
    assert.equal((await run('main', 'echo x > /writable/more')).code, 0);
    assert.equal(readFileSync(join(folder, 'more'), 'utf8'), 'x\n');
    assert.match((await run('plain', 'echo x > /writable/denied')).stderr, /Permission denied/);
    assert.match((await run('plain', 'echo x > /made/denied')).stderr, /Permission denied/);
    assert.equal((await run('main', 'echo x > /made/by-root')).code, 0);
    const ports = async () => (await walk.run('ss', ['-tlnH', `sport = :${port}`])).stdout;
    await walk.answer(ports, new RegExp(`127\\.0\\.0\\.1:${port}`));
    await walk.kubectl('delete', 'pod', 'log-reader');
    assert.ok(existsSync(join(folder, 'more')), 'it stays on the node');
  },

  'a claim of a folder, served by nginx': async (walk) => {
    covers('VOL-001', 'VOL-006', 'VOL-048', 'VOL-113', 'VOL-112');
    covers('VOL-064', 'VOL-141', 'POD-021');
    const now = 'ACCESS MODES and RECLAIM POLICY are two words each';
    for (const row of ['CLI-153', 'CLI-154']) superseded(row, { by: 'v1.8', now });
    const folder = nodeFolder(walk, 'task-data');
    writeFileSync(join(folder, 'index.html'), 'Hello from Kubernetes storage\n');
    await walk.create(
      {
        ...{ apiVersion: 'v1', kind: 'PersistentVolume' },
        metadata: { name: 'task-pv-volume', labels: { type: 'local' } },
        spec: {
          storageClassName: 'manual',
          capacity: { storage: '10Gi' },
          accessModes: ['ReadWriteOnce'],
          hostPath: { path: folder },
        },
      },
      {
        ...{ apiVersion: 'v1', kind: 'PersistentVolumeClaim' },
        metadata: { name: 'task-pv-claim' },
        spec: {
          storageClassName: 'manual',
          accessModes: ['ReadWriteOnce'],
          resources: { requests: { storage: '3Gi' } },
        },
      },
    );
    const rows = (kind: string, name: string) => () =>
      walk.kubectl('get', kind, name, '--no-headers');
    await walk.answer(
      rows('pv', 'task-pv-volume'),
      /^task-pv-volume +10Gi +RWO +Retain +Bound +default\/task-pv-claim +manual /,
    );
    await walk.answer(
      rows('pvc', 'task-pv-claim'),
      /^task-pv-claim +Bound +task-pv-volume +10Gi +RWO +manual /,
    );
    assert.match(
      await walk.kubectl('get', 'pv', 'task-pv-volume'),
      /^NAME +CAPACITY +ACCESS MODES +RECLAIM POLICY +STATUS +CLAIM +STORAGECLASS /,
    );
    assert.match(
      await walk.kubectl('get', 'pvc', 'task-pv-claim'),
      /^NAME +STATUS +VOLUME +CAPACITY +ACCESS MODES +STORAGECLASS .*AGE *\n/,
    );
    const claim = { persistentVolumeClaim: { claimName: 'task-pv-claim' } };
    await walk.create(
      podOf('task-pv-pod', {
        containers: [
          {
            ...{ name: 'task-pv-container', image: nginx },
            ports: [{ containerPort: 80, name: 'http-server' }],
            volumeMounts: [mount('task-pv-storage', '/usr/share/nginx/html')],
          },
        ],
        volumes: [{ name: 'task-pv-storage', ...claim }],
      }),
      podOf('my-lamp-site', {
        initContainers: [
          shell('echo made > /data/by-init', {
            name: 'init',
            volumeMounts: [{ ...mount('site-data', '/data'), subPath: 'mysql' }],
          }),
        ],
        containers: [
          shell(stay, {
            name: 'mysql',
            volumeMounts: [{ ...mount('site-data', '/var/lib/mysql'), subPath: 'mysql' }],
          }),
          shell(stay, {
            name: 'php',
            env: [{ name: 'POD_NAME', valueFrom: { fieldRef: { fieldPath: 'metadata.name' } } }],
            volumeMounts: [
              { ...mount('site-data', '/var/www/html'), subPath: 'html' },
              { ...mount('site-data', '/logs'), subPathExpr: 'logs/$(POD_NAME)' },
              { ...mount('site-data', '/of-mysql'), subPath: 'mysql' },
            ],
          }),
        ],
        volumes: [{ name: 'site-data', ...claim }],
      }),
    );
    await walk.untilReady('task-pv-pod');
    const page = () => walk.exec('task-pv-pod', 'wget', '-qO-', 'http://localhost');
    await walk.answer(page, /^Hello from Kubernetes storage\n$/);
    await walk.untilReady('my-lamp-site');
    const exec = (container: string, script: string) =>
      walk.kubectl('exec', 'my-lamp-site', '-c', container, '--', 'sh', '-c', script);
    assert.equal(await exec('mysql', 'ls -A /var/lib/mysql'), 'by-init\n');
    await exec('php', 'echo page > /var/www/html/index.php; echo line > /logs/log');
    assert.equal(await exec('mysql', 'ls -A /var/lib/mysql'), 'by-init\n');
    assert.equal(await exec('php', 'ls -A /of-mysql'), 'by-init\n');
    assert.equal(readFileSync(join(folder, 'html/index.php'), 'utf8'), 'page\n');
    assert.equal(readFileSync(join(folder, 'logs/my-lamp-site/log'), 'utf8'), 'line\n');
  },

  'later mounts reach those who asked for them': async (walk) => {
    covers('VOL-067');
    const none = 'for those who ask for it: None is what counts where nothing is said';
    superseded('VOL-066', { by: 'v1.10', now: none });
    superseded('VOL-065', { by: 'v1.12', now: 'mount propagation needs no gate' });
    const folder = nodeFolder(walk, 'propagation');
    const made = await walk.run('mount', ['-t', 'tmpfs', 'coracle-walk', folder]);
    assert.equal(made.code, 0, made.stderr);
    try {
      await walk.run('mount', ['--make-shared', folder]);
      const volume = { volumes: [{ name: 'v', hostPath: { path: folder } }] };
      const privileged = { securityContext: { privileged: true } };
      await walk.create(
        podOf('propagation', {
          ...volume,
          containers: [
            shell(stay, { name: 'none', volumeMounts: [mount('v')] }),
            shell(stay, {
              name: 'slave',
              volumeMounts: [{ ...mount('v'), mountPropagation: 'HostToContainer' }],
            }),
            shell(stay, {
              ...{ name: 'master', ...privileged },
              volumeMounts: [{ ...mount('v'), mountPropagation: 'Bidirectional' }],
            }),
          ],
        }),
      );
      const mountPropagation = 'HostToContainer';
      await walk.create(
        podOf('propagated', {
          ...volume,
          containers: [shell(stay, { volumeMounts: [{ ...mount('v'), mountPropagation }] })],
        }),
      );
      for (const name of ['propagation', 'propagated']) await walk.untilReady(name);
      const exec = (container: string, ...command: readonly string[]) =>
        walk.kubectl('exec', 'propagation', '-c', container, '--', ...command);
      const inside = [
        'sh',
        '-c',
        'mkdir /v/inside && mount -t tmpfs inside /v/inside && touch /v/inside/i',
      ];
      await exec('master', ...inside);
      mkdirSync(join(folder, 'later'));
      await walk.run('mount', ['-t', 'tmpfs', 'later', join(folder, 'later')]);
      writeFileSync(join(folder, 'later/l'), '');
      assert.ok(existsSync(join(folder, 'inside/i')), 'the node sees what the master mounts');
      const seen = async (container: string) =>
        (await exec(container, 'sh', '-c', 'ls /v/*')).replaceAll(/\s+/g, ' ');
      assert.equal(await seen('slave'), '/v/inside: i /v/later: l ');
      assert.equal(await seen('master'), '/v/inside: i /v/later: l ');
      assert.equal(await seen('none'), '/v/inside: /v/later: ');
      const elsewhere = await walk.exec('propagated', 'sh', '-c', 'ls /v/*');
      assert.equal(elsewhere.replaceAll(/\s+/g, ' '), '/v/inside: i /v/later: l ');
      const refused = podOf('unprivileged', {
        ...volume,
        containers: [
          shell(stay, { volumeMounts: [{ ...mount('v'), mountPropagation: 'Bidirectional' }] }),
        ],
      });
      const input = JSON.stringify(refused);
      const answer = await walk.cluster.kubectlWith({ input }, 'create', '-f', '-');
      assert.match(
        answer.stderr,
        /Bidirectional mount propagation is available only to privileged containers/,
      );
      await walk.kubectl('delete', 'pod', 'propagation', 'propagated');
    } finally {
      await walk.run('umount', ['--recursive', folder]);
    }
    assert.ok(!readProcess(process.pid, 'mountinfo').includes(folder));
  },

  'fsGroup owns what is written; volumes lie beside one another': async (walk) => {
    covers('VOL-116', 'POD-161', 'POD-300');
    await walk.create(
      podOf('security-context-demo', {
        securityContext: { runAsUser: 1000, fsGroup: 2000 },
        containers: [
          shell(stay, {
            securityContext: { allowPrivilegeEscalation: false },
            volumeMounts: [mount('sec-ctx-vol', '/data/demo'), mount('other')],
          }),
          shell(stay, { name: 'second', volumeMounts: [mount('sec-ctx-vol', '/data/demo')] }),
        ],
        volumes: [
          { name: 'sec-ctx-vol', emptyDir: {} },
          { name: 'other', emptyDir: {} },
        ],
      }),
    );
    await walk.untilReady('security-context-demo');
    const run = (script: string, container = 'main') =>
      walk.tryKubectl('exec', 'security-context-demo', '-c', container, '--', 'sh', '-c', script);
    assert.match((await run('ls -ld /data/demo')).stdout, /^drwxrwsrwx +\d+ root +2000 /);
    const file = await run('cd /data/demo && echo hello > testfile && stat -c "%u %g" testfile');
    assert.equal(file.stdout, '1000 2000\n');
    for (const container of ['main', 'second']) {
      const user = await run('stat -c %u /proc/1; id', container);
      assert.match(user.stdout, /^1000\nuid=1000 gid=0\(root\) groups=0\(root\),2000/);
    }
    assert.notEqual((await run('ln /data/demo/testfile /other/link')).code, 0, 'no link across');
  },
};

/** A socket in the file system as long as it is used. */
function listen(path: string): Disposable {
  const server = createServer().listen(path);
  return { [Symbol.dispose]: () => server.close() };
}
