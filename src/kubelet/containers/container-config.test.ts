/** What the runtime is asked to make of a pod. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Container, Pod, PodSpec } from '#resources/types/core-v1.ts';
import { nothing } from '../devices/devices.ts';
import { podCgroup } from '../pods/qos.ts';
import { containerConfig, rootProblem } from './container-config.ts';
import { sandboxConfig } from './sandbox-config.ts';

const web: Container = { name: 'web', image: 'nginx:1', args: ['--name=$(NAME)', '$(NOPE)'] };

function podOf(spec: Partial<PodSpec> = {}): Pod {
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name: 'p', namespace: 'default', uid: 'u1', labels: { app: 'x' } },
    spec: { containers: [web], ...spec },
  };
}

const options = {
  attempt: 2,
  imageRef: 'sha256:1',
  environment: new Map([['NAME', 'value']]),
  mounts: [],
  terminationFile: '/t',
  nodeMemoryBytes: 1024 ** 3,
  seccompDir: '/seccomp',
  volumeGroups: [],
  seccompDefault: false,
  quota: { cpuCFSQuota: true, cpuCFSQuotaPeriodUs: 100_000 },
  memoryGroup: {},
  devices: nothing,
  place: { isExclusive: false },
  hugepages: [],
};

test('labels are those by which a kubelet finds its containers again', () => {
  const { labels, annotations, args, logPath } = containerConfig(podOf(), web, options);
  assert.deepEqual(labels, {
    'io.kubernetes.container.name': 'web',
    'io.kubernetes.pod.name': 'p',
    'io.kubernetes.pod.namespace': 'default',
    'io.kubernetes.pod.uid': 'u1',
  });
  assert.equal(annotations?.['io.kubernetes.container.restartCount'], '2');
  assert.deepEqual(args, ['--name=value', '$(NOPE)']);
  assert.equal(logPath, 'web/2.log');
});

test('an ordinary container gets no more than it asked for', () => {
  const { linux } = containerConfig(podOf(), web, options);
  assert.equal(linux?.securityContext?.privileged, false);
  assert.ok(linux?.securityContext?.maskedPaths?.includes('/proc/kcore'));
  assert.ok(linux?.securityContext?.readonlyPaths?.includes('/proc/sys'));
  assert.deepEqual(linux?.securityContext?.seccomp, { profileType: 'Unconfined' });
  assert.equal(linux?.resources?.oomScoreAdj, 1000);
});

test('security settings: the container’s over the pod’s', () => {
  const securityContext = {
    runAsUser: 1000,
    runAsGroup: 3000,
    fsGroup: 2000,
    supplementalGroups: [4000],
    seccompProfile: { type: 'RuntimeDefault' },
  };
  const own: Container = {
    ...web,
    securityContext: {
      runAsUser: 7,
      allowPrivilegeEscalation: false,
      readOnlyRootFilesystem: true,
      capabilities: { add: ['NET_BIND_SERVICE'], drop: ['ALL'] },
    },
  };
  const config = containerConfig(podOf({ securityContext }), own, options);
  const security = config.linux?.securityContext;
  assert.deepEqual(security?.runAsUser, { value: 7 });
  assert.deepEqual(security?.runAsGroup, { value: 3000 });
  assert.deepEqual(security?.supplementalGroups, [4000, 2000]);
  assert.deepEqual(security?.seccomp, { profileType: 'RuntimeDefault' });
  assert.equal(security?.noNewPrivs, true);
  assert.equal(security?.readonlyRootfs, true);
  assert.deepEqual(security?.capabilities, {
    addCapabilities: ['NET_BIND_SERVICE'],
    dropCapabilities: ['ALL'],
  });
});

test('a container without limits of its own starts with those of its pod', () => {
  const limits = { cpu: '2', memory: '64Mi' };
  const resources = containerConfig(podOf({ resources: { limits } }), web, options).linux
    ?.resources;
  assert.deepEqual([resources?.cpuQuota, resources?.memoryLimitInBytes], [200_000, 64 * 2 ** 20]);
});

test('privileged means privileged, in the sandbox as well', () => {
  const own: Container = { ...web, securityContext: { privileged: true } };
  const pod = podOf({ containers: [own] });
  const security = containerConfig(pod, own, options).linux?.securityContext;
  assert.deepEqual([security?.privileged, security?.maskedPaths], [true, []]);
  assert.equal(sandboxOf(pod).linux?.securityContext?.privileged, true);
});

function sandboxOf(pod: Pod) {
  const dns = { servers: [], searches: [], options: [] };
  const limits = podCgroup(pod);
  return sandboxConfig(pod, {
    ...{ cgroupParent: '/r', dns, clusterDomain: 'c.l', logDirectory: '/l', attempt: 1, limits },
  });
}

test('a pod is called as it says, in full where it says so', () => {
  const nameOf = (spec: Partial<PodSpec>) => sandboxOf(podOf(spec)).hostname;
  const { namespace } = podOf().metadata;
  assert.equal(nameOf({ setHostnameAsFQDN: true }), 'p', 'it has no domain');
  assert.equal(nameOf({ hostname: 'h', subdomain: 's' }), 'h');
  const full = { hostname: 'h', subdomain: 's', setHostnameAsFQDN: true };
  assert.equal(nameOf(full), `h.s.${namespace}.svc.c.l`);
  const hostname = 'h'.repeat(60);
  assert.throws(
    () => nameOf({ ...full, hostname }),
    /FQDN h{60}\.s\.\S+ is too long \(64 characters is the max, \d+ characters requested\)/,
  );
  assert.equal(nameOf({ subdomain: 's', hostnameOverride: 'web.example.com' }), 'web.example.com');
});

test('namespaces of the host are shared only when asked for', () => {
  const own = sandboxOf(podOf());
  assert.equal(own.hostname, 'p');
  assert.equal(own.linux?.cgroupParent, '/r');
  assert.deepEqual(own.linux?.securityContext?.namespaceOptions, {
    network: 'POD',
    pid: 'CONTAINER',
    ipc: 'POD',
  });
  const shared = sandboxOf(podOf({ hostNetwork: true, hostPID: true, hostIPC: true }));
  assert.equal(shared.hostname, '', 'the host keeps its name');
  assert.deepEqual(shared.linux?.securityContext?.namespaceOptions, {
    network: 'NODE',
    pid: 'NODE',
    ipc: 'NODE',
  });
  const together = sandboxOf(podOf({ shareProcessNamespace: true }));
  assert.equal(together.linux?.securityContext?.namespaceOptions?.pid, 'POD');
});

test('who must not run as root, does not', () => {
  const pod = podOf({ securityContext: { runAsNonRoot: true } });
  assert.match(rootProblem(pod, web, { username: '' }) ?? '', /image will run as root/);
  assert.match(rootProblem(pod, web, { username: 'nginx' }) ?? '', /non-numeric user \(nginx\)/);
  assert.equal(rootProblem(pod, web, { username: '', uid: { value: 33 } }), undefined);
  const zero = { ...web, securityContext: { runAsUser: 0 } };
  assert.match(rootProblem(pod, zero, { username: '' }) ?? '', /breaks non-root policy/);
  assert.equal(rootProblem(podOf(), web, { username: '' }), undefined);
});

test('an ephemeral container sees the processes of its target, unless the pod shares them', () => {
  const of = (pod: Pod) =>
    containerConfig(pod, web, { ...options, targetId: 'c1' }).linux?.securityContext
      ?.namespaceOptions;
  assert.equal(of(podOf())?.pid, 'TARGET');
  assert.equal(of(podOf())?.targetId, 'c1');
  assert.equal(of(podOf({ shareProcessNamespace: true }))?.pid, 'POD');
  const alone = containerConfig(podOf(), web, options).linux?.securityContext?.namespaceOptions;
  assert.equal(alone?.pid, 'CONTAINER');
});

test('processors and memory of its own, and huge pages, go to the runtime', () => {
  const limits = { cpu: '2', memory: '1Gi', 'hugepages-2Mi': '4Mi' };
  const config = containerConfig(
    podOf(),
    { ...web, resources: { limits, requests: limits } },
    {
      ...options,
      place: { cpusetCpus: '2-3', cpusetMems: '1', isExclusive: true },
      hugepages: ['hugepages-1Gi', 'hugepages-2Mi'],
    },
  );
  const { resources } = config.linux ?? {};
  assert.deepEqual([resources?.cpusetCpus, resources?.cpusetMems], ['2-3', '1']);
  assert.equal(resources?.cpuQuota, -1, 'whoever runs alone is not held back');
  assert.deepEqual(resources?.hugepageLimits, [
    { pageSize: '1GB', limit: 0 },
    { pageSize: '2MB', limit: 4 * 1024 * 1024 },
  ]);
});
