/** Which links of a machine are those of a cluster's pods. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { hostLinkName, hostLinksAmong } from './pod-link.ts';

test('links of others are passed over, and those that are listed without a name', () => {
  const own = hostLinkName({ clusterId: 'abcde', containerId: 'f'.repeat(64) });
  const other = hostLinkName({ clusterId: 'vwxyz', containerId: 'f'.repeat(64) });
  const links = [{}, { ifname: own }, { ifname: other }, { ifname: 'veth0' }, {}];
  assert.deepEqual(hostLinksAmong(links, 'abcde'), [own]);
});
