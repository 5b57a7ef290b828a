/**
 * What only some runtimes, kernels or machines have: users of a pod's own, strict groups, images
 * and devices as volumes, huge pages. Given where they are there, refused in words where not.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { quantityValue } from '#api/quantity.ts';
import { events, nodes } from '#resources/kinds.ts';
import { covers, superseded } from '#test/covers.ts';
import { KubeletBench, testImage } from '#test/kubelet-bench.ts';

async function notesOf(bench: KubeletBench): Promise<readonly string[]> {
  const { signal } = bench;
  const { items } = await bench.while(bench.client.list(events, { signal }));
  return items.map(({ note = '' }) => note);
}

test('users of its own: each pod has a range that no other has, also after a restart', async () => {
  await using bench = await KubeletBench.open();
  const { runtime, client, signal } = bench;
  runtime.features = { userNamespaces: true, supplementalGroupsPolicy: true };
  const at = { name: 'node-1' };
  await bench.create('one', { hostUsers: false });
  await bench.untilReady('one');
  const firstOf = (name: string): number | undefined => {
    const { securityContext } = runtime.configOf(name).linux ?? {};
    return securityContext?.namespaceOptions?.usernsOptions?.uids?.[0]?.hostId;
  };
  assert.equal(firstOf('web'), 65_536);
  const mounts = runtime.configOf('web').mounts ?? [];
  assert.ok(mounts.length > 0 && mounts.every(({ uidMappings }) => uidMappings?.length === 1));
  await bench.stop();
  bench.start();
  await bench.create('two', {
    hostUsers: false,
    containers: [bench.container({ name: 'two' })],
  });
  await bench.untilReady('two');
  assert.equal(firstOf('two'), 131_072);
  // More for each pod: beside what the others have and keep.
  await bench.stop();
  bench.settings = { userNamespaceIdsPerPod: 131_072 };
  bench.start();
  await bench.create('three', {
    hostUsers: false,
    containers: [bench.container({ name: 'three' })],
  });
  await bench.untilReady('three');
  assert.equal(firstOf('three'), 262_144);
  const { namespaceOptions } = runtime.configOf('three').linux?.securityContext ?? {};
  assert.equal(namespaceOptions?.usernsOptions?.uids?.[0]?.length, 131_072);
  await bench.advance(11_000);
  const node = await bench.while(client.get(nodes, at, { signal }));
  assert.equal(node.status?.runtimeHandlers?.[0]?.features?.userNamespaces, true);
  assert.deepEqual(node.status?.features, { supplementalGroupsPolicy: true });
});

test('a runtime that has no users of its own makes no sandbox without them', async () => {
  await using bench = await KubeletBench.open();
  await bench.create('apart', { hostUsers: false });
  await bench.advance(3000);
  assert.equal((await bench.get('apart')).status?.phase, 'Pending');
  assert.equal(bench.runtime.sandboxCount, 0);
  assert.ok(
    (await notesOf(bench)).includes(
      "Failed to create pod sandbox: can't set `spec.hostUsers: false`, " +
        'runtime does not support user namespaces',
    ),
  );
});

test('groups are strict where the runtime can, and refused where not', async () => {
  await using bench = await KubeletBench.open();
  const { runtime } = bench;
  const strict = { securityContext: { supplementalGroupsPolicy: 'Strict' } } as const;
  await bench.create('no', strict);
  await bench.advance(1000);
  const { status } = await bench.get('no');
  assert.deepEqual(
    [status?.reason, status?.message],
    [
      'SupplementalGroupsPolicyNotSupported',
      'Pod was rejected: SupplementalGroupsPolicy=Strict is not supported in this node',
    ],
  );
  runtime.features = { userNamespaces: false, supplementalGroupsPolicy: true };
  await bench.advance(11_000);
  await bench.create('yes', strict);
  await bench.untilReady('yes');
  const { securityContext } = runtime.configOf('web').linux ?? {};
  assert.equal(securityContext?.supplementalGroupsPolicy, 'Strict');
});

test('an image as a volume: pulled and mounted, or refused by an old runtime', async () => {
  await using bench = await KubeletBench.open();
  const { runtime } = bench;
  runtime.registry.add('example.com/data:1');
  const spec = {
    volumes: [{ name: 'data', image: { reference: 'example.com/data:1' } }],
    containers: [
      bench.container({ volumeMounts: [{ name: 'data', mountPath: '/data', subPath: 'a' }] }),
    ],
  };
  runtime.named = { runtimeName: 'containerd', runtimeVersion: '1.6.20~ds1' };
  await bench.create('old', spec);
  const held = await bench.until('old', ({ state }) => state?.waiting?.message !== undefined);
  assert.deepEqual(held.status?.containerStatuses?.[0]?.state?.waiting, {
    reason: 'CreateContainerError',
    message: 'container runtime containerd 1.6.20 does not support image volumes',
  });
  runtime.named = { runtimeName: 'containerd', runtimeVersion: '2.1.0' };
  await bench.create('new', { ...spec, containers: spec.containers });
  await bench.untilReady('new');
  const mount = runtime.mountsOf('web').find(({ containerPath }) => containerPath === '/data');
  assert.deepEqual(mount, {
    ...{ containerPath: '/data', readonly: true, imageSubPath: 'a' },
    image: { image: 'example.com/data:1' },
  });
});

test('huge pages are what the machine has, and what the runtime limits', async () => {
  covers('POD-220');
  superseded('POD-283', { by: 'v1.19', now: 'no gate; a node may have pages of several sizes' });
  const folder = '/sys/kernel/mm/hugepages';
  await using bench = await KubeletBench.open({
    folders: { [folder]: ['hugepages-2048kB', 'hugepages-1048576kB'] },
    files: {
      '/sys/devices/system/cpu/online': '0-3\n',
      [`${folder}/hugepages-2048kB/nr_hugepages`]: '64\n',
    },
    settings: { kubeReserved: { cpu: '500m', memory: '1Gi' } },
  });
  await bench.advance(1000);
  const { client, signal, runtime } = bench;
  const node = await bench.while(client.get(nodes, { name: 'node-1' }, { signal }));
  const { capacity, allocatable } = node.status ?? {};
  assert.deepEqual([capacity?.['cpu'], allocatable?.['cpu']], ['4', '3500m']);
  assert.equal(capacity?.['pods'], '110');
  const [has, gives] = [capacity, allocatable].map((each) => quantityValue(each?.['memory'] ?? ''));
  // What is reserved, what pods are evicted for, and what is in huge pages.
  assert.equal((has ?? 0) - (gives ?? 0), (1024 + 100 + 128) * 1024 * 1024);
  assert.equal(capacity?.['hugepages-2Mi'], '128Mi');
  assert.equal(capacity?.['hugepages-1Gi'], '0');
  assert.equal(allocatable?.['hugepages-2Mi'], '128Mi');
  const amounts = { cpu: '100m', memory: '64Mi', 'hugepages-2Mi': '8Mi' };
  const { 'hugepages-2Mi': pages, ...requests } = amounts;
  const volumeMounts = [{ name: 'pages', mountPath: '/pages' }];
  const volumes = [{ name: 'pages', emptyDir: { medium: 'HugePages' } }];
  const using = (resources: object) => ({
    // Who shares pages by SHM_HUGETLB is in the group of vm.hugetlb_shm_group.
    ...{ volumes, securityContext: { supplementalGroups: [4711] } },
    containers: [bench.container({ resources, volumeMounts })],
  });
  const made = await bench.create('huge', using({ requests, limits: amounts }));
  assert.equal(made.spec?.containers[0]?.resources?.requests?.['hugepages-2Mi'], pages);
  const fewer = { ...requests, 'hugepages-2Mi': '4Mi' };
  await assert.rejects(
    bench.create('more-than-asked', using({ requests: fewer, limits: amounts })),
    /requests: Invalid value: "4Mi": must be equal to hugepages-2Mi limit of 8Mi/,
  );
  await bench.untilReady('huge');
  const groups = runtime.configOf('web').linux?.securityContext?.supplementalGroups;
  assert.deepEqual(groups, [4711]);
  assert.deepEqual(bench.hugepages, ['2Mi']);
  const limits = runtime.configOf('web').linux?.resources?.hugepageLimits;
  assert.deepEqual(limits, [
    { pageSize: '1GB', limit: 0 },
    { pageSize: '2MB', limit: 8 * 1024 * 1024 },
  ]);
  const greedy = { ...amounts, 'hugepages-2Mi': '128Mi' };
  await bench.create('greedy', {
    containers: [
      bench.container({ image: testImage, resources: { requests: greedy, limits: greedy } }),
    ],
  });
  await bench.advance(1000);
  assert.equal((await bench.get('greedy')).status?.reason, 'OutOfhugepages-2Mi');
  // What the pod as a whole is limited to is in src/kubelet/node/cgroups.disk.test.ts.
  covers('POD-284');
});
