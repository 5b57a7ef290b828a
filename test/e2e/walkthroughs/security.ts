/**
 * Who a container is and what it may do: users, capabilities, privileges, seccomp, the namespaces
 * that it shares and those that it does not.
 */
import assert from 'node:assert/strict';
import { readlinkSync } from 'node:fs';
import { release } from 'node:os';
import { loadsAppArmor } from '#kit/apparmor.ts';
import type { SecurityContext } from '#resources/types/core-v1.ts';
import { covers, superseded } from '#test/covers.ts';
import {
  podOf,
  readProcess,
  shell,
  statusOf,
  stay,
  type Walkthroughs,
  type WatchedCluster,
} from '#test/watched-cluster.ts';

function demo(name: string, securityContext: SecurityContext, script = stay) {
  return podOf(name, { containers: [shell(script, { securityContext })] });
}

async function statusLine(walk: WatchedCluster, name: string, field: string): Promise<string> {
  await walk.untilReady(name);
  const line = await walk.exec(name, 'grep', `^${field}:`, '/proc/1/status');
  return line.split(/\s+/)[1] ?? '';
}

export const security: Walkthroughs = {
  'capabilities: the usual ones, more, fewer': async (walk) => {
    covers('RUN-019', 'RUN-020', 'POD-297');
    await walk.create(
      demo('security-context-demo-3', {}),
      demo('security-context-demo-4', { capabilities: { add: ['NET_ADMIN', 'SYS_TIME'] } }),
      demo('ipc-lock', { capabilities: { add: ['IPC_LOCK'] } }),
      demo('none-of-them', { capabilities: { drop: ['ALL'] } }),
    );
    const effective = async (name: string): Promise<string> => {
      const [own, permitted] = [
        await statusLine(walk, name, 'CapEff'),
        await statusLine(walk, name, 'CapPrm'),
      ];
      assert.equal(own, permitted);
      return own;
    };
    assert.equal(await effective('security-context-demo-3'), '00000000a80425fb');
    assert.equal(await effective('security-context-demo-4'), '00000000aa0435fb');
    assert.equal(await effective('ipc-lock'), '00000000a80465fb');
    assert.equal(await effective('none-of-them'), '0000000000000000');
  },

  'users: of the pod, of the container, and who must not be root': async (walk) => {
    covers('POD-162');
    await walk.create(
      podOf('security-context-demo-2', {
        securityContext: { runAsUser: 1000, runAsGroup: 3000, supplementalGroups: [4000] },
        containers: [
          shell(stay, {
            securityContext: { runAsUser: 2000, allowPrivilegeEscalation: false },
            volumeMounts: [{ name: 'scratch', mountPath: '/scratch' }],
          }),
          shell(stay, { name: 'of-the-pod' }),
        ],
        volumes: [{ name: 'scratch', emptyDir: {} }],
      }),
      demo('not-root', { runAsNonRoot: true }),
      demo('read-only', { readOnlyRootFilesystem: true }),
    );
    await walk.untilReady('security-context-demo-2');
    const id = (container: string) =>
      walk.kubectl('exec', 'security-context-demo-2', '-c', container, '--', 'id');
    assert.match(await id('main'), /^uid=2000 gid=3000 groups=3000,4000$/m);
    assert.match(await id('of-the-pod'), /^uid=1000 gid=3000 groups=3000,4000$/m);
    const owner = ['-c', 'main', '--', 'stat', '-c', '%u %g', '/scratch'];
    assert.equal(await walk.kubectl('exec', 'security-context-demo-2', ...owner), '0 0\n');
    const held = await walk.until(
      'not-root',
      (pod) => statusOf(pod).state?.waiting?.reason === 'CreateContainerConfigError',
      'held back',
    );
    const { message } = statusOf(held).state?.waiting ?? {};
    assert.match(message ?? '', /container has runAsNonRoot and image will run as root/);
    await walk.untilReady('read-only');
    const write = await walk.tryKubectl('exec', 'read-only', '--', 'touch', '/new');
    assert.match(write.stderr, /Read-only file system/);
    await walk.kubectl('delete', 'pod', 'not-root');
  },

  'privileges: all of them, none to be gained, fewer calls': async (walk) => {
    covers('POD-088', 'POD-163');
    await walk.create(
      demo('privileged', { privileged: true }),
      demo('no-escalation', { allowPrivilegeEscalation: false }),
      demo('as-usual', {}),
      demo('fewer-calls', { seccompProfile: { type: 'RuntimeDefault' } }),
    );
    const newPrivileges = (name: string) => statusLine(walk, name, 'NoNewPrivs');
    assert.equal(await newPrivileges('no-escalation'), '1');
    assert.equal(await newPrivileges('as-usual'), '0');
    assert.equal(await newPrivileges('privileged'), '0');
    assert.equal(await statusLine(walk, 'fewer-calls', 'Seccomp'), '2');
    assert.equal(await statusLine(walk, 'as-usual', 'Seccomp'), '0');
    const link = ['sh', '-c', 'ip addr add 10.9.9.9/32 dev lo && mount -t tmpfs none /mnt'];
    const make = (name: string) =>
      walk.tryKubectl('exec', name, '--', 'sh', '-c', `mkdir -p /mnt; ${link[2]}`);
    const made = await make('privileged');
    assert.equal(made.code, 0, made.stderr);
    assert.match((await make('as-usual')).stderr, /Operation not permitted/);
    const both = { privileged: true, allowPrivilegeEscalation: false };
    const input = JSON.stringify(demo('contradiction', both));
    const refused = await walk.cluster.kubectlWith({ input }, 'create', '-f', '-');
    assert.match(
      refused.stderr,
      /cannot set `allowPrivilegeEscalation` to false and `privileged` to true/,
    );
    const cap = { capabilities: { add: ['CAP_SYS_ADMIN'] }, allowPrivilegeEscalation: false };
    const other = { input: JSON.stringify(demo('contradiction', cap)) };
    const answer = await walk.cluster.kubectlWith(other, 'create', '-f', '-');
    assert.match(
      answer.stderr,
      /cannot set `allowPrivilegeEscalation` to false and `capabilities.Add` CAP_SYS_ADMIN/,
    );
  },

  'what the kernel keeps apart for a pod': async (walk) => {
    const now = 'all of these, user IDs where a pod says hostUsers: false';
    superseded('RUN-027', { by: 'v1.25', now });
    const names = ['apart-a', 'apart-b'];
    await walk.create(...names.map((name) => podOf(name, { containers: [shell(stay)] })));
    for (const name of names) await walk.untilReady(name);
    const [a = 0, b = 0] = await Promise.all(names.map((name) => walk.pid(name)));
    const of = async (pid: number, ...command: readonly string[]): Promise<string> => {
      const { stdout, stderr } = await walk.run('nsenter', [
        `--net=/proc/${pid}/ns/net`,
        ...command,
      ]);
      assert.equal(stderr, '', command.join(' '));
      return stdout;
    };
    const space = (kind: string, pid: number): string => readlinkSync(`/proc/${pid}/ns/${kind}`);
    const { pid: host } = process;
    for (const kind of ['mnt', 'pid', 'net', 'ipc', 'uts']) {
      assert.equal(new Set([a, b, host].map((pid) => space(kind, pid))).size, 3, kind);
    }
    assert.equal(space('user', a), space('user', host));
    // One kernel for all, and the machine sees their processes.
    assert.equal((await walk.exec('apart-a', 'uname', '-r')).trim(), release());
    assert.match(readProcess(a, 'cmdline'), /trap exit TERM/);
    superseded('RUN-024', {
      by: 'v1.24',
      now: 'images are made by anything that writes OCI images',
    });
    const followed = ['cat', '/proc/sys/net/netfilter/nf_conntrack_count'];
    assert.equal(await of(a, ...followed), '0\n');
    assert.notEqual(await of(host, ...followed), '0\n');
    const address = async (pid: number): Promise<string> =>
      /inet (\S+)/.exec(await of(pid, 'ip', '-o', '-4', 'addr', 'show', 'eth0'))?.[1] ?? '';
    assert.notEqual(await address(a), await address(b));
    await of(a, 'ip', 'route', 'add', '198.51.100.0/24', 'dev', 'eth0');
    await of(a, 'nft', 'add', 'table', 'ip', 'apart');
    for (const [pid, isThere] of [
      [a, true],
      [b, false],
      [host, false],
    ] as const) {
      assert.equal(/^198\.51\.100\.0\/24/m.test(await of(pid, 'ip', 'route')), isThere);
      assert.equal((await of(pid, 'nft', 'list', 'tables')).includes('table ip apart'), isThere);
    }
    const path = 'jsonpath={.items[0].status.daemonEndpoints.kubeletEndpoint.Port}';
    const port = Number(await walk.kubectl('get', 'nodes', '-o', path));
    const listening = `:${port.toString(16).toUpperCase().padStart(4, '0')} `;
    const listens = (pid: number): boolean =>
      ['tcp', 'tcp6'].some((name) =>
        readProcess(pid, `net/${name}`)
          .split('\n')
          .some((line) => line.includes(listening) && / 0A /.test(line)),
      );
    assert.deepEqual([a, b, host].map(listens), [false, false, true]);
  },

  'what the containers of a pod share, and what not': async (walk) => {
    covers('RUN-016', 'POD-203', 'POD-320', 'POD-029');
    const nice = { containers: [shell(stay, { name: 'one' }), shell(stay, { name: 'two' })] };
    await walk.create(
      podOf('alone', nice),
      podOf('sharing', { ...nice, shareProcessNamespace: true }),
      podOf('with-the-host', { ...nice, hostPID: true, hostIPC: true }),
    );
    for (const name of ['alone', 'sharing', 'with-the-host']) await walk.untilReady(name);
    const space = async (kind: string, pid: number): Promise<string> =>
      (await walk.run('readlink', [`/proc/${pid}/ns/${kind}`])).stdout.trim();
    const pids = async (name: string) =>
      [await walk.pid(name, 'one'), await walk.pid(name, 'two')] as const;
    const [one, two] = await pids('alone');
    const [other] = await pids('sharing');
    for (const kind of ['net', 'ipc', 'uts']) {
      assert.equal(await space(kind, one), await space(kind, two), kind);
      assert.notEqual(await space(kind, one), await space(kind, other), kind);
      assert.notEqual(await space(kind, one), await space(kind, process.pid), kind);
    }
    for (const kind of ['pid', 'mnt']) {
      assert.notEqual(await space(kind, one), await space(kind, two), kind);
      assert.notEqual(await space(kind, one), await space(kind, process.pid), kind);
    }
    // What one writes to the memory that is shared the other reads, and no other pod.
    const memory = (name: string, container: string, script: string) =>
      walk.tryKubectl('exec', name, '-c', container, '--', 'sh', '-c', script);
    await memory('alone', 'one', 'echo shared > /dev/shm/word');
    assert.equal((await memory('alone', 'two', 'cat /dev/shm/word')).stdout, 'shared\n');
    assert.match((await memory('sharing', 'one', 'cat /dev/shm/word')).stderr, /No such file/);
    const ps = (name: string) =>
      walk.kubectl('exec', name, '-c', 'two', '--', 'ps', '-o', 'pid,args');
    assert.match(await ps('alone'), /^ +1 sh -c trap exit TERM/m);
    assert.doesNotMatch(await ps('alone'), /pause/);
    // A shell that is about to run something else looks like another one.
    const isTwo = async (): Promise<boolean> =>
      (await ps('sharing')).match(/sh -c trap exit TERM/g)?.length === 2;
    await walk.eventually(isTwo, 'the processes of both are seen');
    assert.match(await ps('sharing'), /^ +1 \/pause$/m);
    const write = [
      'sh',
      '-c',
      'p=$(ps -o pid,args | grep "[t]rap exit" | head -n 1 | sed "s/^ *//; s/ .*//"); echo seen > /proc/$p/root/tmp/from-two',
    ];
    await walk.kubectl('exec', 'sharing', '-c', 'two', '--', ...write);
    const [hostOne] = await pids('with-the-host');
    for (const kind of ['pid', 'ipc']) {
      assert.equal(await space(kind, hostOne), await space(kind, process.pid), kind);
    }
    assert.match(await ps('with-the-host'), new RegExp(`^ *${process.pid} `, 'm'));
    assert.match(
      await walk.kubectl('exec', 'alone', '-c', 'one', '--', 'cat', '/proc/1/maps'),
      /\[stack\]/,
    );
    const tables = ['sh', '-c', 'cat /proc/net/route | wc -l; ip -o addr show eth0'];
    assert.match(
      await walk.kubectl('exec', 'alone', '-c', 'one', '--', ...tables),
      /inet 10\.42\./,
    );
    assert.notEqual(readProcess(one, 'net/route'), readProcess(process.pid, 'net/route'));
  },

  'profiles of AppArmor: enforced where the machine has it, refused where it has none':
    profilesOfAppArmor,
};

async function profilesOfAppArmor(walk: WatchedCluster): Promise<void> {
  const now = 'the field appArmorProfile; the pod fails with "AppArmor is not enabled on the host"';
  const localhostProfile = 'k8s-apparmor-example-allow-write';
  await walk.create(
    demo('hello-apparmor', { appArmorProfile: { type: 'Unconfined' } }),
    demo('hello-apparmor-1', { appArmorProfile: { type: 'RuntimeDefault' } }),
    demo('hello-apparmor-2', { appArmorProfile: { type: 'Localhost', localhostProfile } }),
  );
  if (loadsAppArmor()) {
    await walk.untilReady('hello-apparmor');
    await walk.untilReady('hello-apparmor-1');
    const profileOf = (name: string) => walk.exec(name, 'cat', '/proc/1/attr/current');
    assert.equal((await profileOf('hello-apparmor')).trim(), 'unconfined');
    assert.match(await profileOf('hello-apparmor-1'), /^cri-containerd\.apparmor\.d \(enforce\)/);
    await walk.untilEvent('hello-apparmor-2', /apparmor profile not found/);
    return;
  }
  superseded('POD-308', { by: 'v1.30', now });
  await walk.untilReady('hello-apparmor');
  for (const name of ['hello-apparmor-1', 'hello-apparmor-2']) {
    const { status } = await walk.untilEnded(name);
    assert.deepEqual([status?.phase, status?.reason], ['Failed', 'AppArmor']);
    const message = 'Cannot enforce AppArmor: AppArmor is not enabled on the host';
    assert.ok(status?.message?.endsWith(message), JSON.stringify(status));
    await walk.untilEvent(name, /^AppArmor: Cannot enforce AppArmor/m);
  }
}
