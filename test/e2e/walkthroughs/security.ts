/**
 * Who a container is and what it may do: users, capabilities, privileges, seccomp, the namespaces
 * that it shares and those that it does not.
 */
import assert from 'node:assert/strict';
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
