/** resolv.conf and hosts file of pods. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Pod, PodSpec } from '#resources/types/core-v1.ts';
import { covers, superseded } from '#test/covers.ts';
import {
  dnsConfigOf,
  dnsWarningsOf,
  formatHostNetworkHostsFile,
  formatHostsFile,
  hostnameOf,
} from './dns-config.ts';

const options = {
  clusterDNS: ['10.43.0.10'],
  clusterDomain: 'cluster.local',
  nodeResolvConf: 'search corp.example.\nnameserver 192.0.2.53\noptions timeout:1\n',
  hostIPs: ['192.0.2.1'],
};

function podOf(spec: Partial<PodSpec> = {}): Pod {
  const metadata = { name: 'web-0', namespace: 'shop' };
  return { apiVersion: 'v1', kind: 'Pod', metadata, spec: { containers: [], ...spec } };
}

test('by default the cluster is asked, and searched first', () => {
  assert.deepEqual(dnsConfigOf(podOf(), options), {
    servers: ['10.43.0.10'],
    searches: ['shop.svc.cluster.local', 'svc.cluster.local', 'cluster.local', 'corp.example'],
    options: ['ndots:5'],
  });
});

test('policies choose between the node, the cluster and nothing', () => {
  const servers = (spec: Partial<PodSpec>) => dnsConfigOf(podOf(spec), options).servers;
  assert.deepEqual(servers({ dnsPolicy: 'Default' }), ['192.0.2.53']);
  assert.deepEqual(servers({ dnsPolicy: 'ClusterFirst', hostNetwork: true }), ['192.0.2.53']);
  const withNet = { dnsPolicy: 'ClusterFirstWithHostNet', hostNetwork: true };
  assert.deepEqual(servers(withNet), ['10.43.0.10']);
  const dnsConfig = {
    nameservers: ['198.51.100.1'],
    searches: ['x.test'],
    options: [{ name: 'ndots', value: '2' }, { name: 'edns0' }],
  };
  assert.deepEqual(dnsConfigOf(podOf({ dnsPolicy: 'None', dnsConfig }), options), {
    servers: ['198.51.100.1'],
    searches: ['x.test'],
    options: ['ndots:2', 'edns0'],
  });
  const merged = dnsConfigOf(podOf({ dnsConfig }), options);
  assert.deepEqual(merged.servers, ['10.43.0.10', '198.51.100.1']);
  assert.deepEqual(merged.options, ['ndots:2', 'edns0']);
});

test('whoever is to inherit nothing asks the machine itself', () => {
  const none = { ...options, nodeResolvConf: undefined };
  const own = { servers: ['127.0.0.1'], searches: ['.'], options: [] };
  assert.deepEqual(dnsConfigOf(podOf({ dnsPolicy: 'Default' }), none), own);
  const hostIPs = ['fd00::1', '192.0.2.1'];
  const both = dnsConfigOf(podOf({ dnsPolicy: 'Default' }), { ...none, hostIPs });
  assert.deepEqual(both.servers, ['::1', '127.0.0.1']);
  assert.deepEqual(dnsConfigOf(podOf(), none), {
    servers: ['10.43.0.10'],
    searches: ['shop.svc.cluster.local', 'svc.cluster.local', 'cluster.local'],
    options: ['ndots:5'],
  });
});

test('what no resolver looks at is left out, and told', () => {
  covers('DNS-026');
  superseded('DNS-027', {
    by: 'v1.28',
    now: 'three servers still, but 32 searches in a line of 2048 characters; an event tells what is lost',
  });
  const of = (pod: Pod, node: string) => {
    const given = { ...options, nodeResolvConf: node };
    const said = dnsWarningsOf(pod, given).map(({ reason, message }) => `${reason}: ${message}`);
    return { ...dnsConfigOf(pod, given), said };
  };
  const servers = ['1', '2', '3', '4'].map((last) => `192.0.2.${last}`);
  const four = servers.map((server) => `nameserver ${server}\n`).join('');
  const three = '192.0.2.1 192.0.2.2 192.0.2.3';
  const omitted =
    'DNSConfigForming: Nameserver limits were exceeded, some nameservers have been omitted, ' +
    `the applied nameserver line is: ${three}`;
  const plain = of(podOf({ dnsPolicy: 'Default' }), four);
  assert.deepEqual([plain.servers.join(' '), plain.said], [three, [omitted]]);
  // Who asks the cluster asks nobody of the node's.
  const cluster = of(podOf(), four);
  assert.deepEqual([cluster.servers, cluster.said], [['10.43.0.10'], []]);
  const names = Array.from({ length: 30 }, (_, index) => `d${index}.test`);
  const many = of(podOf(), `search ${names.join(' ')}\n`);
  assert.equal(many.searches.length, 32);
  assert.equal(many.searches.at(-1), 'd28.test', 'the cluster’s three come first');
  assert.match(
    many.said.join(),
    /^DNSConfigForming: Search Line limits were exceeded, .*d28\.test$/,
  );
  const long = Array.from({ length: 20 }, (_, index) => `${String(index).padStart(200, 'x')}.test`);
  const cut = of(podOf({ dnsPolicy: 'Default' }), `search ${long.join(' ')}\n`);
  assert.deepEqual(cut.searches, long.slice(0, 9), '10 of them would be longer than 2048');
  const odd = of(podOf({ dnsPolicy: 'Default' }), `search ${'y'.repeat(254)} short.test\n`);
  assert.deepEqual([odd.searches, odd.said.length], [['short.test'], 1]);
});

test('where the cluster has no DNS the node’s settings are taken, and pod and node are told', () => {
  const none = { ...options, clusterDNS: [] };
  assert.deepEqual(dnsConfigOf(podOf(), none).servers, ['192.0.2.53']);
  const [warning, ...more] = dnsWarningsOf(
    { ...podOf(), metadata: { name: 'web-0', namespace: 'shop', uid: 'u1' } },
    none,
  );
  assert.deepEqual(more, []);
  const why =
    'kubelet does not have ClusterDNS IP configured and cannot create Pod using "ClusterFirst" ' +
    'policy. Falling back to "Default" policy.';
  assert.deepEqual(warning, {
    reason: 'MissingClusterDNS',
    message: `pod: "web-0_shop(u1)". ${why}`,
    ofNode: why,
  });
  for (const spec of [{ dnsPolicy: 'Default' }, { hostNetwork: true }]) {
    assert.deepEqual(dnsWarningsOf(podOf(spec), none), []);
  }
});

test('the hosts file names the pod', () => {
  covers('POD-135');
  const lines = formatHostsFile(podOf({ subdomain: 'db' }), ['10.42.0.9'], 'cluster.local').split(
    '\n',
  );
  assert.equal(lines[0], '# Kubernetes-managed hosts file.');
  assert.equal(lines[1], '127.0.0.1\tlocalhost');
  assert.deepEqual(lines.slice(2, 7), [
    '::1\tlocalhost ip6-localhost ip6-loopback',
    'fe00::0\tip6-localnet',
    'fe00::0\tip6-mcastprefix',
    'fe00::1\tip6-allnodes',
    'fe00::2\tip6-allrouters',
  ]);
  const plain = formatHostsFile(podOf(), ['10.42.0.9'], 'cluster.local').split('\n');
  assert.deepEqual(plain.slice(7), ['10.42.0.9\tweb-0', '']);
  assert.equal(lines[7], '10.42.0.9\tweb-0.db.shop.svc.cluster.local\tweb-0');
  const hostAliases = [{ ip: '127.0.0.1', hostnames: ['foo.local', 'bar.local'] }];
  const aliased = formatHostsFile(podOf({ hostAliases }), ['10.42.0.9'], 'cluster.local');
  assert.match(
    aliased,
    /\n# Entries added by HostAliases\.\n127\.0\.0\.1\tfoo\.local\tbar\.local\n$/,
  );
  const host = formatHostNetworkHostsFile(podOf({ hostAliases }), '127.0.0.1 me\n');
  assert.match(host, /\n127\.0\.0\.1 me\n\n# Entries/);
});

test('long names are cut to what a host may be called', () => {
  const pod = { ...podOf(), metadata: { name: `${'a'.repeat(62)}-b`, namespace: 'x' } };
  assert.equal(hostnameOf(pod), 'a'.repeat(62));
  assert.equal(hostnameOf(podOf({ hostname: 'custom' })), 'custom');
  const renamed = podOf({ hostname: 'custom', subdomain: 's', hostnameOverride: 'a.b' });
  assert.equal(hostnameOf(renamed), 'a.b');
  assert.match(formatHostsFile(renamed, ['10.0.0.1'], 'c.l'), /^10\.0\.0\.1\ta\.b$/m);
});
