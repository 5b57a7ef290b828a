/** What a cluster decides at its first start: ranges and ports that nobody else has. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { clusterRanges, freeNodePorts, freeRanges, nthAddress, serviceRanges } from './state.ts';

test('ranges: 10.42 and 10.43, else the next pair that nobody uses', () => {
  assert.deepEqual(freeRanges(['192.168.0.0/16', '10.0.0.0/24']), {
    clusterCIDR: '10.42.0.0/16',
    serviceCIDR: '10.43.0.0/16',
  });
  assert.deepEqual(freeRanges(['10.43.7.0/24', '10.44.0.1/32']), {
    clusterCIDR: '10.46.0.0/16',
    serviceCIDR: '10.47.0.0/16',
  });
  assert.throws(() => freeRanges(['10.0.0.0/8']), /--cluster-cidr/);
});

test('node ports: the known range first, then thousands below it', () => {
  const first = freeNodePorts([]);
  assert.deepEqual(first, { first: 30000, last: 32767 });
  const second = freeNodePorts([first]);
  assert.deepEqual(second, { first: 29000, last: 29999 });
  assert.deepEqual(freeNodePorts([first, second]), { first: 28000, last: 28999 });
  assert.deepEqual(freeNodePorts([{ first: 1, last: 65535 }]), first, 'better shared than none');
});

test('the API has the first address of the range, DNS the tenth', () => {
  assert.equal(nthAddress('10.43.0.0/16', 1), '10.43.0.1');
  assert.equal(nthAddress('10.43.0.0/16', 10), '10.43.0.10');
  assert.equal(nthAddress('10.96.0.0/12', 300), '10.96.1.44');
  assert.throws(() => nthAddress('10.43.0.0/29', 10), /too small/);
});

test('pods have one range or one of each family, that of IPv4 first', () => {
  assert.deepEqual(clusterRanges('10.42.0.0/16'), { clusterCIDR: '10.42.0.0/16' });
  assert.deepEqual(clusterRanges('10.42.0.0/16,fd42::/48'), {
    clusterCIDR: '10.42.0.0/16',
    secondClusterCIDR: 'fd42::/48',
  });
  const wrong = ['fd42::/48', '10.42.0.0/16,fd42::/47', '10.42.0.0/16,fd42::/65', 'x'];
  for (const text of [...wrong, '10.42.0.0/16,10.44.0.0/16', '10.42.0.0/16,fd42::/48,fd43::/48']) {
    assert.throws(() => clusterRanges(text), /--cluster-cidr/);
  }
});

test('Services have one range or one of each family, that of IPv4 first', () => {
  assert.deepEqual(serviceRanges('10.43.0.0/16'), { serviceCIDR: '10.43.0.0/16' });
  assert.deepEqual(serviceRanges('10.43.0.0/16,fd00:43::/112'), {
    serviceCIDR: '10.43.0.0/16',
    secondServiceCIDR: 'fd00:43::/112',
  });
  for (const text of ['fd00::/112', '10.43.0.0/16,10.44.0.0/16', '10.43.0.0/16,fd00::/48', 'x']) {
    assert.throws(() => serviceRanges(text), /--service-cidr/);
  }
});
