/** Routes, rules and link batches as text. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { formatPodTable, formatPodTable6, planRoutes } from './node-rules.ts';
import { hostLinkName } from './pod-link.ts';

test('routes become those wanted, and only differences are applied', () => {
  const ownPodCIDR = '10.42.0.0/24';
  const wanted = [
    { podCIDR: '10.42.0.0/24', nodeIP: '192.0.2.1' },
    { podCIDR: '10.42.1.0/24', nodeIP: '192.0.2.2' },
    { podCIDR: '10.42.2.0/24', nodeIP: '192.0.2.3' },
  ];
  const first = planRoutes({ ownPodCIDR, wanted, present: [] });
  assert.deepEqual(first, [
    'route replace unreachable 10.42.0.0/24 proto 73',
    'route replace 10.42.1.0/24 via 192.0.2.2 proto 73',
    'route replace 10.42.2.0/24 via 192.0.2.3 proto 73',
  ]);
  const present = [
    { dst: '10.42.0.0/24', type: 'unreachable' },
    { dst: '10.42.1.0/24', gateway: '192.0.2.2' },
    { dst: '10.42.2.0/24', gateway: '192.0.2.9' },
    { dst: '10.42.7.0/24', gateway: '192.0.2.7' },
    { dst: '10.42.8.0/24', type: 'unreachable' },
  ];
  assert.deepEqual(planRoutes({ ownPodCIDR, wanted, present }), [
    'route replace 10.42.2.0/24 via 192.0.2.3 proto 73',
    'route del 10.42.7.0/24 proto 73',
    'route del unreachable 10.42.8.0/24 proto 73',
  ]);
});

test('the table hides pods from the world, and loopback from everybody', () => {
  const text = formatPodTable({
    clusterId: 'x7k2m',
    podCIDR: '10.42.0.0/24',
    clusterCIDR: '10.42.0.0/16',
  });
  assert.match(text, /^table ip coracle-x7k2m-pods\ndelete table ip coracle-x7k2m-pods\n/);
  assert.match(text, /ip saddr 10\.42\.0\.0\/24 ip daddr != 10\.42\.0\.0\/16 masquerade/);
  assert.match(text, /iifname != "lo" ip daddr 127\.0\.0\.0\/8 drop/);
  assert.match(text, /fib daddr type local jump to-pods/);
  assert.match(
    text,
    /ct status dnat ip saddr 127\.0\.0\.0\/8 ip daddr 10\.42\.0\.0\/24 masquerade/,
  );
});

test('the table of IPv6 does the same, and lets no pod borrow an address', () => {
  const text = formatPodTable6({
    clusterId: 'x7k2m',
    podCIDR: 'fd42::/64',
    clusterCIDR: 'fd42::/48',
  });
  assert.match(text, /^table ip6 coracle-x7k2m-pods\ndelete table ip6 coracle-x7k2m-pods\n/);
  const inside = 'fd42::/48, fe80::/10, ff00::/8';
  assert.ok(text.includes(`ip6 saddr fd42::/64 ip6 daddr != { ${inside} } masquerade`));
  assert.match(
    text,
    /iifname "cx7k2m\*" ip6 saddr != fe80::\/10 fib saddr \. iif oif missing drop/,
  );
  assert.doesNotMatch(text, /ip [sd]addr|ipv4_addr/);
});

test('interface names fit the kernel, carry the cluster and differ', () => {
  const name = (containerId: string) => hostLinkName({ clusterId: 'x7k2m', containerId });
  assert.match(name('a'), /^cx7k2m[0-9a-f]{9}$/);
  assert.equal(name('a'), name('a'));
  assert.notEqual(name('a'), name('b'));
});
