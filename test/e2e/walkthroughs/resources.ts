/**
 * Requests and limits, and what the kernel makes of them: classes of service, shares, quotas, OOM
 * scores, what a node has and what it gives.
 */
import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { quantityValue } from '#api/quantity.ts';
import type { ResourceRequirements } from '#resources/types/core-v1.ts';
import { covers, superseded } from '#test/covers.ts';
import {
  condition,
  configMap,
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

/** Version 1 names its files otherwise; the numbers follow from one another. */
const unified = existsSync('/sys/fs/cgroup/cgroup.controllers');

function demo(name: string, resources: ResourceRequirements, script = stay) {
  return podOf(name, { containers: [shell(script, { resources })] });
}

async function cpuSeconds(walk: WatchedCluster, name: string): Promise<number> {
  if (!unified) return Number(await walk.cgroup(name, 'cpuacct', 'cpuacct.usage')) / 1e9;
  const text = await walk.cgroup(name, 'cpu', 'cpu.stat');
  return Number(/usage_usec (\d+)/.exec(text)?.[1]) / 1e6;
}

export const resources: Walkthroughs = {
  'classes of service, and whom the kernel ends first': async (walk) => {
    covers('POD-028', 'POD-115', 'POD-233', 'POD-155', 'POD-156', 'POD-157', 'POD-313');
    const both = (memory: string) => ({ cpu: '50m', memory });
    await walk.create(
      demo('qos-demo', { limits: both('200Mi'), requests: both('200Mi') }),
      demo('qos-limits-only', { limits: both('100Mi') }),
      demo('qos-demo-2', { limits: { memory: '200Mi' }, requests: { memory: '100Mi' } }),
      demo('qos-demo-3', {}),
      podOf('qos-demo-4', {
        containers: [
          shell(stay, { resources: { requests: { memory: '200Mi' } } }),
          shell(stay, { name: 'second' }),
        ],
      }),
    );
    const seen: Record<string, string> = {};
    for (const name of ['qos-demo', 'qos-limits-only', 'qos-demo-2', 'qos-demo-3', 'qos-demo-4']) {
      seen[name] = (await walk.untilReady(name)).status?.qosClass ?? '';
    }
    assert.deepEqual(seen, {
      'qos-demo': 'Guaranteed',
      'qos-limits-only': 'Guaranteed',
      'qos-demo-2': 'Burstable',
      'qos-demo-3': 'BestEffort',
      'qos-demo-4': 'Burstable',
    });
    const defaulted = await walk.untilReady('qos-limits-only');
    const { requests } = defaulted.spec?.containers?.[0]?.resources ?? {};
    assert.deepEqual(requests, { cpu: '50m', memory: '100Mi' });
    assert.match(await walk.kubectl('describe', 'pod', 'qos-demo-3'), /^QoS Class: +BestEffort$/m);
    const score = (name: string) => walk.exec(name, 'cat', '/proc/1/oom_score_adj');
    // Where the machine lets nobody go below zero it stays there.
    assert.match(await score('qos-demo'), /^(-997|0)\n$/);
    assert.equal(await score('qos-demo-3'), '1000\n');
    const total =
      Number(/^MemTotal: +(\d+)/m.exec(readFileSync('/proc/meminfo', 'utf8'))?.[1]) * 1024;
    const share = 1000 - Math.trunc((1000 * 100 * 1024 * 1024) / total);
    assert.equal(await score('qos-demo-2'), `${Math.min(Math.max(share, 3), 999)}\n`);
  },

  'requests and limits in the cgroups of a container and of its pod': async (walk) => {
    covers('POD-033', 'POD-121', 'RUN-018');
    await walk.create(
      demo('sized', {
        requests: { cpu: '250m', memory: '100Mi' },
        limits: { cpu: '500m', memory: '200Mi' },
      }),
      demo('unsized', {}),
      podOf('two-sized', {
        containers: [
          shell(stay, { resources: { limits: { cpu: '50m', memory: '30Mi' } } }),
          shell(stay, { name: 'second', resources: { limits: { cpu: '100m', memory: '50Mi' } } }),
        ],
      }),
    );
    const sized = await walk.untilReady('sized');
    assert.deepEqual(sized.spec?.containers?.[0]?.resources, {
      requests: { cpu: '250m', memory: '100Mi' },
      limits: { cpu: '500m', memory: '200Mi' },
    });
    await walk.untilReady('unsized');
    await walk.untilReady('two-sized');
    const cpu = (name: string, file: string) => walk.cgroup(name, 'cpu', file);
    const memory = (name: string, file: string) => walk.cgroup(name, 'memory', file);
    const mebibyte = 1024 * 1024;
    if (unified) {
      assert.equal(await cpu('sized', 'cpu.max'), '50000 100000');
      assert.equal(await cpu('unsized', 'cpu.max'), 'max 100000');
      assert.equal(await memory('sized', 'memory.max'), String(200 * mebibyte));
      assert.equal(await memory('two-sized', '../memory.max'), String(80 * mebibyte));
      return;
    }
    covers('POD-116', 'POD-120', 'POD-265');
    assert.equal(await cpu('sized', 'cpu.shares'), '256');
    assert.equal(await cpu('unsized', 'cpu.shares'), '2');
    assert.equal(await cpu('sized', 'cpu.cfs_period_us'), '100000');
    assert.equal(await cpu('sized', 'cpu.cfs_quota_us'), '50000');
    assert.equal(await cpu('unsized', 'cpu.cfs_quota_us'), '-1');
    assert.equal(await memory('sized', 'memory.limit_in_bytes'), String(200 * mebibyte));
    assert.equal(await memory('two-sized', '../memory.limit_in_bytes'), String(80 * mebibyte));
    assert.equal(await cpu('two-sized', '../cpu.cfs_quota_us'), '15000');
    const shares = Math.trunc((150 * 1024) / 1000);
    assert.equal(await cpu('two-sized', '../cpu.shares'), String(shares));
    const lines = readProcess(await walk.pid('sized'), 'cgroup');
    const uid = sized.metadata.uid ?? '';
    assert.match(lines, new RegExp(`:memory:/.*kubepods/burstable/pod${uid}/[0-9a-f]{64}$`, 'm'));
  },

  'who wants more CPU than the limit gets the limit': async (walk) => {
    covers('POD-154', 'POD-223');
    await walk.create(
      demo(
        'cpu-demo',
        { limits: { cpu: '200m' }, requests: { cpu: '10m' } },
        'while true; do :; done & while true; do :; done',
      ),
    );
    await walk.untilReady('cpu-demo');
    // Looked at first and last, so that no time is missing in which it ran.
    const begin = performance.now();
    const before = await cpuSeconds(walk, 'cpu-demo');
    await walk.eventually(() => performance.now() - begin > 3000, 'three seconds');
    const used = (await cpuSeconds(walk, 'cpu-demo')) - before;
    const share = used / ((performance.now() - begin) / 1000);
    assert.ok(share < 0.26, `${share} of a processor`);
    assert.equal(
      statusOf(await walk.untilReady('cpu-demo')).restartCount,
      0,
      'held back, not killed',
    );
    await walk.kubectl('delete', 'pod', 'cpu-demo', '--grace-period=0', '--force');
  },

  'a container may use more memory than it asked for, up to its limit': async (walk) => {
    covers('POD-150', 'SCH-057');
    const amounts = { requests: { memory: '100Mi' }, limits: { memory: '200Mi' } };
    await walk.create(
      podOf('memory-demo', {
        containers: [
          shell(stay, {
            resources: amounts,
            volumeMounts: [{ name: 'fast', mountPath: '/fast' }],
          }),
        ],
        volumes: [{ name: 'fast', emptyDir: { medium: 'Memory' } }],
      }),
    );
    const { spec } = await walk.untilReady('memory-demo');
    assert.deepEqual(spec?.containers[0]?.resources, amounts);
    await walk.exec('memory-demo', 'dd', 'if=/dev/zero', 'of=/fast/used', 'bs=1M', 'count=150');
    const file = unified ? 'memory.current' : 'memory.usage_in_bytes';
    const used = Number(await walk.cgroup('memory-demo', 'memory', file));
    assert.ok(used > 150 * 1024 * 1024, `${used} bytes`);
    assert.equal(statusOf(await walk.untilReady('memory-demo')).restartCount, 0);
    await walk.kubectl('delete', 'pod', 'memory-demo');
  },

  'who wants more memory than the limit is killed, and comes again': async (walk) => {
    covers('POD-151', 'CLI-079');
    superseded('POD-190', { by: 'v1.24', now: 'containerID begins with containerd://' });
    const eat = 'sleep 1; head -c 250m /dev/zero | tail';
    await walk.create(
      demo('memory-demo-2', { requests: { memory: '50Mi' }, limits: { memory: '100Mi' } }, eat),
      // More than any node has.
      demo('memory-demo-3', { requests: { memory: '1000Gi' }, limits: { memory: '1000Gi' } }),
    );
    const pod = await walk.until(
      'memory-demo-2',
      // The reason may be told after the end.
      (each) => statusOf(each).lastState?.terminated?.reason === 'OOMKilled',
      'again',
    );
    const last = statusOf(pod).lastState?.terminated;
    assert.equal(last?.exitCode, 137);
    assert.match(last?.containerID ?? '', /^containerd:\/\//);
    assert.ok(last?.startedAt && last.finishedAt);
    await walk.until(
      'memory-demo-2',
      (each) => stateOf(each) === 'Waiting: CrashLoopBackOff',
      'waits',
    );
    const each = 'Container Name: {{.name}}{{"\\r\\n"}}LastState: {{.lastState}}';
    const template = `go-template={{range .status.containerStatuses}}${each}{{end}}`;
    const shown = await walk.kubectl('get', 'pod', 'memory-demo-2', '-o', template);
    assert.match(shown, /^Container Name: main\r\nLastState: map\[terminated:map\[.*OOMKilled/);
    const lost = await walk.until(
      'memory-demo-3',
      (each) => condition(each, 'PodScheduled') === 'False',
      'lost',
    );
    assert.equal(lost.status?.phase, 'Pending');
    const told = /FailedScheduling .*0\/1 nodes are available: 1 Insufficient memory/;
    await walk.answer(() => walk.kubectl('describe', 'pod', 'memory-demo-3'), told);
    await walk.kubectl('delete', 'pod', 'memory-demo-2', 'memory-demo-3');
  },

  'what a node has, what it gives, and what it says of itself': async (walk) => {
    covers('POD-049', 'POD-173', 'MON-002');
    superseded('POD-046', { by: 'v1.13', now: 'OutOfDisk is gone, PIDPressure has come' });
    const labels = 'kubernetes.io/os, arch and hostname; zones only from a cloud provider';
    for (const id of ['POD-004', 'POD-129', 'POD-218']) {
      superseded(id, { by: 'v1.17', now: `${labels}; the beta names stay beside them` });
    }
    superseded('MON-016', {
      by: 'v1.12',
      now: '/metrics/cadvisor and /stats/summary on port 10250',
    });
    superseded('POD-275', { by: 'v1.10', now: '/api/v1/nodes/N/proxy/configz' });
    const node = JSON.parse(await walk.kubectl('get', 'node', walk.nodeName, '-o', 'json'));
    const conditions: Record<string, string> = {};
    for (const { type, status, lastHeartbeatTime, lastTransitionTime } of node.status.conditions) {
      conditions[type] = status;
      assert.ok(lastHeartbeatTime && lastTransitionTime, type);
    }
    assert.deepEqual(conditions, {
      ...{ MemoryPressure: 'False', DiskPressure: 'False', PIDPressure: 'False', Ready: 'True' },
      ...(conditions['NetworkUnavailable'] === undefined ? {} : { NetworkUnavailable: 'False' }),
    });
    const { capacity, allocatable, addresses } = node.status;
    assert.equal(capacity.pods, '110');
    const bytes = (text: string): number => Number.parseInt(text, 10) * 1024;
    // What pods are evicted for, and what the node's file reserves.
    const withheld = (100 + 50) * 1024 * 1024;
    // Huge pages that the machine keeps are given out by themselves.
    const huge = Object.keys(capacity)
      .filter((name) => name.startsWith('hugepages-'))
      .reduce((sum, name) => sum + quantityValue(capacity[name]), 0);
    assert.equal(bytes(capacity.memory) - bytes(allocatable.memory), withheld + huge);
    assert.equal(capacity.cpu, allocatable.cpu);
    const ofType = (wanted: string) =>
      addresses.find(({ type }: { readonly type: string }) => type === wanted)?.address;
    assert.equal(ofType('Hostname'), walk.nodeName);
    assert.match(ofType('InternalIP'), /^\d+\.\d+\.\d+\.\d+$/);
    const { labels: own } = node.metadata;
    assert.equal(own['kubernetes.io/hostname'], walk.nodeName);
    for (const name of ['kubernetes.io/os', 'beta.kubernetes.io/os'])
      assert.equal(own[name], 'linux');
    assert.equal(own['beta.kubernetes.io/arch'], own['kubernetes.io/arch']);
    const shown = await walk.kubectl('get', 'nodes', '--show-labels');
    assert.match(shown, new RegExp(`kubernetes.io/hostname=${walk.nodeName}`));
    const raw = (path: string) =>
      walk.kubectl('get', '--raw', `/api/v1/nodes/${walk.nodeName}/proxy${path}`);
    const configz: Record<string, unknown> = JSON.parse(await raw('/configz'));
    assert.deepEqual(Object.keys(configz), ['kubeletconfig']);
    await walk.create(podOf('measured', { containers: [shell(stay)] }));
    await walk.untilReady('measured');
    // Of its processor, memory, disk and network; and of the whole machine.
    const figures = ['cpu_usage_seconds_total', 'memory_working_set_bytes', 'fs_usage_bytes'];
    for (const name of [...figures, 'network_receive_bytes_total']) {
      const measured = new RegExp(`^container_${name}\\{.*pod="measured"`, 'm');
      await walk.answer(() => raw('/metrics/cadvisor'), measured);
    }
    assert.match(await raw('/metrics/cadvisor'), /^container_cpu_usage_seconds_total\{.*id="\/"/m);
    await walk.kubectl('delete', 'pod', 'measured', '--wait=false');
    const summary = JSON.parse(await raw('/stats/summary'));
    assert.ok(summary.node.cpu.usageCoreNanoSeconds > 0 && summary.node.fs.availableBytes > 0);
    const text = await walk.kubectl('describe', 'node', walk.nodeName);
    assert.match(text, /^Capacity:\n +cpu: +\d+\n/m);
    assert.match(text, /^ +memory: +\d+Ki\n +pods: +110$/m);
  },

  'settings of the kernel, for a pod alone': async (walk) => {
    const now = 'spec.securityContext.sysctls in place of the annotation';
    superseded('POD-145', { by: 'v1.11', now });
    superseded('POD-146', { by: 'v1.11', now: `${now}; the pod fails with SysctlForbidden` });
    covers('POD-148');
    const pod = (
      name: string,
      sysctls: readonly { readonly name: string; readonly value: string }[],
    ) =>
      podOf(name, {
        ...never,
        securityContext: { sysctls },
        containers: [shell(stay), shell(stay, { name: 'two' })],
      });
    await walk.create(
      pod('safe-sysctls', [
        { name: 'kernel.shm_rmid_forced', value: '1' },
        { name: 'net.ipv4.ip_local_port_range', value: '40000 50000' },
        { name: 'net.ipv4.tcp_syncookies', value: '0' },
      ]),
      pod('unsafe-sysctls', [{ name: 'kernel.sem', value: '250 32000 100 128' }]),
      pod('allowed-sysctls', [{ name: 'kernel.msgmax', value: '65536' }]),
      pod('node-sysctls', [{ name: 'vm.swappiness', value: '10' }]),
    );
    await walk.untilReady('safe-sysctls');
    const files = [
      'kernel/shm_rmid_forced',
      'net/ipv4/ip_local_port_range',
      'net/ipv4/tcp_syncookies',
    ];
    const paths = files.map((file) => join('/proc/sys', file));
    for (const container of ['main', 'two']) {
      const text = await walk.kubectl(
        'exec',
        'safe-sysctls',
        '-c',
        container,
        '--',
        'cat',
        ...paths,
      );
      assert.equal(text, '1\n40000\t50000\n0\n');
    }
    await walk.untilReady('allowed-sysctls');
    const [file, container] = ['/proc/sys/kernel/msgmax', ['-c', 'main']];
    const allowed = ['exec', 'allowed-sysctls', ...container, '--', 'cat', file];
    assert.equal(await walk.kubectl(...allowed), '65536\n');
    for (const [name, setting] of [
      ['unsafe-sysctls', 'kernel.sem'],
      ['node-sysctls', 'vm.swappiness'],
    ]) {
      const { status } = await walk.untilEnded(name ?? '');
      assert.equal(status?.phase, 'Failed');
      assert.equal(status?.reason, 'SysctlForbidden');
      assert.match(
        status?.message ?? '',
        new RegExp(`forbidden sysctl: "${setting}" not allowlisted`),
      );
    }
  },

  'a configuration that the node would take from the API is looked at by nobody': async (walk) => {
    const now =
      'the kubelet reads files only: a configSource changes nothing, nobody reports on it';
    const rows = [272, 273, 274, 276, 277, 278, 279, 280];
    for (const row of rows) superseded(`POD-${row}`, { by: 'v1.24', now });
    const kubelet = JSON.stringify({ kind: 'KubeletConfiguration', maxPods: 7 });
    await walk.create(configMap('node-config', { kubelet }));
    const uid = await walk.kubectl('get', 'cm', 'node-config', '-o', 'jsonpath={.metadata.uid}');
    const source = { name: 'node-config', namespace: 'default', uid, kubeletConfigKey: 'kubelet' };
    const patch = JSON.stringify({ spec: { configSource: { configMap: source } } });
    const configz = `/api/v1/nodes/${walk.nodeName}/proxy/configz`;
    const before = await walk.kubectl('get', '--raw', configz);
    await walk.tryKubectl('patch', 'node', walk.nodeName, '-p', patch);
    // More than the time in which a kubelet used to look.
    await walk.create(podOf('meanwhile', { ...never, containers: [shell('sleep 12')] }));
    await walk.untilEnded('meanwhile');
    assert.equal(await walk.kubectl('get', '--raw', configz), before);
    const node = JSON.parse(await walk.kubectl('get', 'node', walk.nodeName, '-o', 'json'));
    assert.equal(node.status.capacity.pods, '110');
    assert.equal(node.status.config, undefined);
    const types = node.status.conditions.map(({ type }: { readonly type: string }) => type);
    assert.ok(!types.includes('ConfigOK') && !types.includes('KubeletConfigOk'), types.join(' '));
  },
};
