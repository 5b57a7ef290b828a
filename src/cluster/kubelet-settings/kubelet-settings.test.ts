/** Flags over a file over defaults, with upstream's names and words. */
import assert from 'node:assert/strict';
import { hostname } from 'node:os';
import { test } from 'node:test';
import { Command } from '#kit/command-line.ts';
import { defaultSettings } from '#kubelet';
import { covers, superseded } from '#test/covers.ts';
import { addKubeletFlags, kubeletFlags, withDashes } from './kubelet-flags.ts';
import { decodeKubeletConfiguration, readKubeletConfig } from './kubelet-settings.ts';
import { machineSettings } from './machine-settings.ts';

const file = (text: string) =>
  decodeKubeletConfiguration(
    `apiVersion: kubelet.config.k8s.io/v1beta1\nkind: KubeletConfiguration\n${text}`,
  );
const read = (options: Record<string, string | true>) => readKubeletConfig(kubeletFlags(options));

test('without a word everything is as upstream has it', () => {
  const config = read({ hostnameOverride: 'N1' });
  assert.equal(config.nodeName, 'n1');
  assert.equal(read({}).nodeName, hostname().toLowerCase());
  assert.equal(config.rootDir, '/var/lib/kubelet');
  assert.equal(config.certDir, '/var/lib/kubelet/pki');
  assert.equal(config.podLogsDir, '/var/log/pods');
  covers('POD-126');
  assert.equal(config.runtimeSocket, '/run/containerd/containerd.sock');
  assert.deepEqual(config.settings, defaultSettings);
  assert.deepEqual([config.labels, config.unused], [{}, []]);
});

test('where logs of pods go is a whole path, or as upstream has it', () => {
  const where = (podLogsDir: string) => read({ podLogDir: podLogsDir }).podLogsDir;
  assert.deepEqual([where('/logs/of-pods'), where('')], ['/logs/of-pods', '/var/log/pods']);
  for (const [path, what] of [
    ['logs', 'must be absolute path'],
    ['/var/log/pods/', 'must be normalized'],
    ['/var/log/../pods', 'must be normalized'],
  ] as const) {
    const message = `invalid configuration: pod logs path "${path}" ${what}`;
    assert.throws(() => where(path), { message });
  }
});

test('how long a container that ends again and again waits can be shortened', () => {
  const read = (maxContainerRestartPeriod: string) =>
    machineSettings({ crashLoopBackOff: { maxContainerRestartPeriod } }).crashLoopMaxMs;
  assert.equal(machineSettings({}).crashLoopMaxMs, 300_000);
  assert.equal(read('20s'), 20_000);
  assert.throws(() => read('400s'), {
    message:
      'invalid configuration: CrashLoopBackOff.MaxContainerRestartPeriod ' +
      '(got: 400 seconds) must be set between 1s and 300s',
  });
});

test('names in a file that are none are told of, wrong types refused', () => {
  assert.deepEqual(file('maxPods: 5\nclusterDNS: [10.0.0.10]\n'), {
    fields: {
      apiVersion: 'kubelet.config.k8s.io/v1beta1',
      kind: 'KubeletConfiguration',
      maxPods: 5,
      clusterDNS: ['10.0.0.10'],
    },
  });
  const problem = (text: string) => {
    const result = file(text);
    return 'problem' in result ? result.problem : result.strictProblem;
  };
  assert.equal(problem('foo: 1\n'), 'strict decoding error: unknown field "foo"');
  const nested = 'authentication: {x509: {clientCAfile: /a}}\n';
  const path = 'authentication.x509.clientCAfile';
  assert.equal(problem(nested), `strict decoding error: unknown field "${path}"`);
  assert.match(problem('maxPods: many\n') ?? '', /cannot unmarshal string into Go/);
  const other = decodeKubeletConfiguration('apiVersion: v1\nkind: Pod\n');
  assert.ok('problem' in other && other.problem.startsWith('no kind "Pod" is registered'));
});

test('flags become fields', () => {
  const { fields, settings, labels } = read({
    podManifestPath: '/etc/manifests',
    manifestUrl: 'http://a/',
    manifestUrlHeader: 'a:hello,b:again',
    clusterDns: '10.0.0.10,10.0.0.11',
    registerNode: 'false',
    registerWithTaints: 'gpu=yes:NoSchedule,old:NoExecute',
    nodeLabels: 'disk=ssd,pool=test',
    maxPods: '7',
    clientCaFile: '/ca.crt',
    evictionHard: 'memory.available<1Gi,nodefs.available<5%',
    evictionSoft: 'memory.available<2Gi',
    evictionSoftGracePeriod: 'memory.available=1m30s',
    evictionMinimumReclaim: 'memory.available=500Mi',
    systemReserved: 'cpu=100m,memory=1Gi',
    imageGcHighThreshold: '70',
    imageGcLowThreshold: '60',
    port: '10350',
    healthzBindAddress: '127.0.0.2',
  });
  assert.deepEqual([fields.port, fields.healthzBindAddress], [10350, '127.0.0.2']);
  assert.equal(fields.staticPodPath, '/etc/manifests');
  assert.deepEqual(fields.staticPodURLHeader, { a: ['hello'], b: ['again'] });
  assert.deepEqual(fields.clusterDNS, ['10.0.0.10', '10.0.0.11']);
  assert.deepEqual([fields.registerNode, fields.maxPods], [false, 7]);
  assert.deepEqual(fields.registerWithTaints, [
    { key: 'gpu', value: 'yes', effect: 'NoSchedule' },
    { key: 'old', effect: 'NoExecute' },
  ]);
  assert.equal(fields.authentication?.x509?.clientCAFile, '/ca.crt');
  assert.deepEqual(labels, { disk: 'ssd', pool: 'test' });
  assert.deepEqual(settings.evictionHard, {
    'memory.available': '1Gi',
    'nodefs.available': '5%',
  });
  assert.deepEqual(settings.evictionSoftGracePeriodMs, { 'memory.available': 90_000 });
  assert.deepEqual(settings.systemReserved, { cpu: '100m', memory: '1Gi' });
  assert.equal(settings.imageGCHighThresholdPercent, 70);
});

test('what makes no sense is refused with its name', () => {
  const refused = (options: Record<string, string>, why: RegExp) =>
    assert.throws(() => read(options), why);
  refused({ maxPods: 'x' }, /invalid argument "x" for "--max-pods" flag/);
  refused({ evictionHard: 'memory.available' }, /malformed pair, expect string<string/);
  refused({ evictionHard: 'memory.available>1Gi' }, /expect string<string: memory.available>1Gi/);
  const { settings } = read({ evictionHard: 'memory.available<1Gi,nodefs.available<5%' });
  const amounts = { 'memory.available': '1Gi', 'nodefs.available': '5%' };
  assert.deepEqual(settings.evictionHard, amounts, 'an amount, or a share');
  covers('POD-247');
  refused({ evictionSoft: 'memory.available<1Gi' }, /grace period must be specified for the soft/);
  refused({ imageGcHighThreshold: '50' }, /--image-gc-low-threshold\) 80 must be less than/);
  refused({ imageGcHighThreshold: '101' }, /must be between 0 and 100, inclusive/);
  refused({ registerWithTaints: 'a=b' }, /invalid taint spec: a=b/);
  refused({ minimumImageTtlDuration: 'soon' }, /invalid duration "soon"/);
});

/** As somebody types them. */
const typed = (...args: readonly string[]) => {
  const command = addKubeletFlags(new Command('kubelet')).exitOverride();
  command.configureOutput({ writeErr: () => {} });
  return readKubeletConfig(kubeletFlags(command.parse(withDashes(args), { from: 'user' }).opts()));
};

test('every flag of upstream is taken, and the deprecated are told of', () => {
  covers('POD-144');
  const { settings, deprecated, unused } = typed(
    '--image-gc-high-threshold=95',
    '--image-gc-low-threshold=90',
    '--maximum-dead-containers=240',
    '--maximum-dead-containers-per-container=2',
    '--minimum-container-ttl-duration=1m',
    '--eviction-hard=memory.available<1Gi',
    '--eviction-soft=memory.available<2Gi',
    '--eviction-soft-grace-period=memory.available=30s',
    '--eviction-minimum-reclaim=memory.available=0Mi',
    '--eviction-pressure-transition-period=30s',
    '--runtime-request-timeout=1m',
    '--housekeeping-interval=20s',
    '--storage-driver-secure',
    '--node-labels=a=b',
  );
  assert.deepEqual([settings.deadContainersMax, settings.deadContainersMaxEach], [240, 2]);
  assert.equal(settings.deadContainerMinimumAgeMs, 60_000);
  assert.equal(settings.evictionPressureTransitionPeriodMs, 30_000);
  const told = new Map(deprecated);
  assert.equal(told.has('--node-labels'), false);
  const gone =
    'Use --eviction-hard or --eviction-soft instead. Will be removed in a future version.';
  for (const flag of ['maximum-dead-containers', 'minimum-container-ttl-duration']) {
    assert.equal(told.get(`--${flag}`), gone);
  }
  assert.match(
    told.get('--image-gc-high-threshold') ?? '',
    /^This parameter should be set via the/,
  );
  const cadvisor = ['--housekeeping-interval', '--storage-driver-secure'];
  assert.deepEqual(unused, cadvisor);
  // What it does to a node is in test/component/kubelet-node.test.ts.
  covers('POD-271');
  assert.equal(settings.allocatableIgnoresEviction, false);
  const ignoring = typed('--experimental-allocatable-ignore-eviction=true').settings;
  assert.equal(ignoring.allocatableIgnoresEviction, true);
});

test('flags that are gone are refused, whatever their dashes look like', () => {
  const gone = (flag: string) =>
    assert.throws(() => typed(`--${flag}=1`), new RegExp(`unknown option '--${flag}`));
  const now = 'the flag is gone: --kubeconfig names the server';
  for (const flag of ['api-servers', 'require-kubeconfig']) gone(flag);
  superseded('POD-009', { by: 'v1.8', now: `${now}; other flags may have underscores` });
  gone('pod-infra-container-image');
  superseded('POD-013', { by: 'v1.35', now: 'the flag is gone: the runtime is told of its image' });
  for (const flag of ['container-runtime', 'rkt-path', 'rkt-api-endpoint', 'docker-root'])
    gone(flag);
  superseded('RUN-001', { by: 'v1.27', now: 'one interface: --container-runtime-endpoint' });
  superseded('RUN-004', { by: 'v1.24', now: 'every runtime is reached through CRI' });
  for (const flag of ['network-plugin', 'configure-cbr0', 'non-masquerade-cidr']) gone(flag);
  superseded('RUN-008', {
    by: 'v1.24',
    now: 'CNI plugins connect pods; the runtime bridges nothing',
  });
  superseded('RUN-002', { by: 'v1.11', now: 'rkt is gone; runtimes speak CRI' });
  gone('experimental-nvidia-gpus');
  for (const row of ['037', '281']) {
    superseded(`POD-${row}`, {
      by: 'v1.11',
      now: 'flag and gate are gone: devices come by plugins',
    });
  }
  for (const flag of ['low-diskspace-threshold-mb', 'outofdisk-transition-frequency']) gone(flag);
  const rest = 'of these the flags for images and dead containers are left';
  superseded('POD-263', { by: 'v1.8', now: rest });
  gone('dynamic-config-dir');
  const read = 'flag and gate are gone: a file (--config) is read at the start';
  superseded('POD-272', { by: 'v1.24', now: read });
  gone('experimental-allowed-unsafe-sysctls');
  superseded('POD-147', { by: 'v1.11', now: 'the same under the name --allowed-unsafe-sysctls' });
  gone('allow-privileged');
  superseded('POD-089', { by: 'v1.15', now: 'pods are refused by the namespace’s security level' });
  const config = typed('--node_labels=disk=ssd', '--max_pods', '7');
  assert.deepEqual([config.labels, config.fields.maxPods], [{ disk: 'ssd' }, 7]);
});

test('a cloud is somebody else’s business', () => {
  superseded('POD-053', { by: 'v1.31', now: 'external or nothing' });
  assert.equal(typed('--cloud-provider', 'external').isCloudExternal, true);
  assert.equal(typed('--cloud-provider', '').isCloudExternal, false);
  assert.throws(
    () => typed('--cloud-provider=aws'),
    /unsupported value for --cloud-provider: "aws"/,
  );
});

test('how often the status is looked at is how often it is told, if a file says so', () => {
  const { settings: plain } = typed('--node-status-update-frequency=4s');
  assert.equal(plain.nodeStatusUpdateFrequencyMs, 4000);
  assert.equal(plain.nodeStatusReportFrequencyMs, 300_000);
  assert.equal(plain.cpuManagerReconcilePeriodMs, 4000);
  const { settings } = typed('--cpu-manager-reconcile-period=5s');
  assert.equal(settings.cpuManagerReconcilePeriodMs, 5000);
});

test('what is enforced has to make sense', () => {
  const refused = (args: readonly string[], why: RegExp) =>
    assert.throws(() => typed(...args), why);
  const enforce = (list: string, ...more: readonly string[]) => [
    `--enforce-node-allocatable=${list}`,
    ...more,
  ];
  refused(
    enforce('kube-reserved'),
    /kubeReservedCgroup \(--kube-reserved-cgroup\) must be specified/,
  );
  refused(
    enforce('pods,system-reserved'),
    /systemReservedCgroup \(--system-reserved-cgroup\) must be specified when "system-reserved"/,
  );
  refused(enforce('all'), /option "all" specified for enforceNodeAllocatable/);
  refused(enforce('pods,pods'), /duplicated enforcements "pods"/);
  refused(enforce('none,pods'), /may not contain additional enforcements when "none"/);
  refused(enforce('pods', '--cgroups-per-qos=false'), /cgroupsPerQOS .* must be set to true/);
  const both = 'kube-reserved,kube-reserved-compressible';
  refused(enforce(both), /both "kube-reserved-compressible" and "kube-reserved" cannot be/);
  refused(['--reserved-cpus=0', '--kube-reserved-cgroup=/k'], /can't use reservedSystemCPUs/);
  assert.deepEqual(typed(...enforce('none')).settings.enforceNodeAllocatable, []);
  assert.deepEqual(typed().settings.enforceNodeAllocatable, ['pods']);
});

test('only what the kernel keeps apart can be allowed to pods', () => {
  covers('POD-149');
  const allow = (list: string) => typed('--allowed-unsafe-sysctls', list).settings;
  const families = ['kernel.shm*', 'kernel.msg*', 'kernel.sem', 'fs.mqueue.*', 'net.*'];
  assert.deepEqual(allow(families.join()).allowedUnsafeSysctls, families);
  assert.deepEqual(allow('net/ipv4/tcp_mem').allowedUnsafeSysctls, ['net/ipv4/tcp_mem']);
  for (const [pattern, name] of [
    ['vm.*', 'vm'],
    ['kernel.*', 'kernel'],
    ['kernel.panic', 'kernel.panic'],
    ['fs.file-max', 'fs.file-max'],
    ['network', 'network'],
  ] as const) {
    assert.throws(() => allow(pattern), new RegExp(`the sysctls "${name}" are not known to be`));
  }
});

test('other values that make no sense', () => {
  const refused = (arg: string, why: RegExp) => assert.throws(() => typed(arg), why);
  refused('--address=here', /invalid argument "here" for "--address" flag: failed to parse IP/);
  refused('--container-log-max-size=much', /quantities must match/);
  refused('--container-log-max-files=1', /containerLogMaxFiles must be greater than 1/);
  refused('--pods-per-core=-1', /podsPerCore \(--pods-per-core\) -1 must not be a negative number/);
  refused('--node-status-max-images=-2', /-2 must be -1 or greater/);
  refused('--feature-gates=A=maybe', /invalid value of A: maybe/);
  refused('--maximum-dead-containers=x', /strconv.ParseInt: parsing "x"/);
});
