/** Upstream's flags of the API server: what they mean here, and what is said of the others. */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { readRuntimeConfig } from '#api/runtime-config.ts';
import { superseded } from '#test/covers.ts';
import { readUpFlags } from '../commands/command-line.ts';
import { type Machine, readConfig } from './config.ts';
import { serverFlagSort } from './server-flags.ts';

const machine: Machine = { isRoot: true, platform: 'linux', missing: [] };
const read = (...args: string[]) => readConfig(readUpFlags(args), machine);

test('flags that do here what they do upstream', () => {
  const { server, apiPort, serviceCIDR } = read(
    ...['--advertise-address=192.0.2.9', '--secure-port=7443', '--event-ttl=10m'],
    ...['--service-cluster-ip-range=10.99.0.0/16', '--allow-privileged=false'],
    ...['--anonymous-auth=false', '--min-request-timeout=60', '--goaway-chance=0.01'],
    ...['--kubelet-port=10260', '--kubelet-preferred-address-types=ExternalIP,InternalIP'],
    ...['--max-requests-inflight=4', '--http2-max-streams-per-connection=25'],
    ...['--default-not-ready-toleration-seconds=10', '--enable-admission-plugins=AlwaysPullImages'],
  );
  assert.deepEqual([apiPort, serviceCIDR], [7443, '10.99.0.0/16']);
  const { admissionPlugins, ...rest } = server;
  assert.equal(admissionPlugins?.has('AlwaysPullImages'), true);
  assert.deepEqual(rest, {
    advertiseAddress: '192.0.2.9',
    securePort: 7443,
    serviceRange: '10.99.0.0/16',
    allowPrivileged: false,
    anonymous: false,
    eventTTLMs: 600_000,
    goawayChance: 0.01,
    inFlight: { reading: 4, writing: 0 },
    kubeletAddressTypes: ['ExternalIP', 'InternalIP'],
    kubeletPort: 10_260,
    minRequestTimeoutMs: 60_000,
    staticTokens: undefined,
    streamsMax: 25,
    tolerationSeconds: { notReady: 10, unreachable: 300 },
    notes: [],
  });
  assert.deepEqual(read('--allow-privileged').server.allowPrivileged, true);
});

test('lists of plugins and versions, and a file of tokens', (t) => {
  const { admissionPlugins: only = new Set() } = read(
    '--admission-control=NamespaceLifecycle,ResourceQuota',
  ).server;
  assert.deepEqual([...only].toSorted(), ['NamespaceLifecycle', 'ResourceQuota']);
  const text = 'batch/v1=false,extensions/v1beta1/deployments=false';
  const expected = readRuntimeConfig(text);
  assert.ok(expected.ok);
  assert.deepEqual(read(`--runtime-config=${text}`).runtimeConfig, expected.config);
  const folder = mkdtempSync(join(tmpdir(), 'coracle-settings-'));
  t.after(() => rmSync(folder, { recursive: true }));
  const file = join(folder, 'known_tokens.csv');
  writeFileSync(file, 'abcdefghijklmnopqrstuvwxyz012345,ann,7,system:masters\n');
  const { staticTokens } = read(`--token-auth-file=${file}`).server;
  assert.deepEqual(
    [...(staticTokens ?? [])],
    [['abcdefghijklmnopqrstuvwxyz012345', { name: 'ann', uid: '7', groups: ['system:masters'] }]],
  );
  assert.equal(read('--token-auth-file=/dev/null').server.staticTokens?.size, 0);
});

test('a value that cannot be is refused in upstream words', () => {
  superseded('API-006', { by: 'v1.12', now: 'the secure port cannot be turned off with 0' });
  const cases: readonly (readonly [string, string])[] = [
    [
      '--secure-port=0',
      '--secure-port 0 must be between 1 and 65535, inclusive. It cannot be turned off with 0',
    ],
    ['--goaway-chance=2', '--goaway-chance can not be less than 0 or greater than 0.02'],
    ['--max-requests-inflight=-1', '--max-requests-inflight can not be negative value'],
    ['--event-ttl=x', 'invalid argument "x" for "--event-ttl" flag: time: invalid duration "x"'],
    [
      '--advertise-address=here',
      'invalid argument "here" for "--advertise-address" flag: failed to parse IP: "here"',
    ],
    ['--enable-admission-plugins=Foo', 'enable-admission-plugins plugin "Foo" is unknown'],
    [
      '--feature-gates=WatchList=maybe',
      'invalid value of WatchList=maybe, err: strconv.ParseBool: parsing "maybe": invalid syntax',
    ],
    ['--feature-gates=WatchList', 'missing bool value for WatchList'],
    [
      '--feature-gates=SidecarContainers=false',
      'cannot set feature gate SidecarContainers to false, feature is locked to true',
    ],
    ['--etcd-servers=http://127.0.0.1:2379', '--etcd-servers: objects are kept in the store'],
    ['--authorization-mode=RBAC', '--authorization-mode: who may do what'],
    ['--audit-log-path=-', '--audit-log-path: requests are not audited yet'],
  ];
  for (const [arg, message] of cases) {
    assert.throws(
      () => read(arg),
      (error: Error) => error.message.startsWith(message),
      arg,
    );
  }
});

test('what changes nothing is accepted, and told of', () => {
  superseded('API-166', {
    by: 'v1.31',
    now: 'the gate could not be switched off any more, and is unknown today, which is told of',
  });
  const { server } = read(
    ...['--profiling=false', '--delete-collection-workers=3'],
    '--feature-gates=AppArmor=false,kube:WatchList=true,WatchList=false,AllAlpha=true,AllBeta=false',
  );
  assert.deepEqual(server.notes, [
    'unrecognized feature gate: AppArmor',
    'feature gate without effect: WatchList=false',
    'feature gate without effect: AllAlpha=true',
    'flag without effect: --profiling',
    'flag without effect: --delete-collection-workers',
  ]);
});

test('listen and advertised addresses are chosen by flags, on one port that speaks TLS', () => {
  superseded('API-005', {
    by: 'v1.24',
    now: 'the flags of the insecure port are gone; the others choose as before',
  });
  const { bindAddress, apiPort, server } = read(
    ...['--bind-address=127.0.0.1', '--secure-port=8888', '--advertise-address=192.0.2.5'],
  );
  assert.deepEqual(
    [bindAddress, apiPort, server.advertiseAddress],
    ['127.0.0.1', 8888, '192.0.2.5'],
  );
  for (const gone of ['port', 'address', 'insecure-bind-address', 'insecure-port']) {
    assert.equal(serverFlagSort(gone), undefined, gone);
  }
});
