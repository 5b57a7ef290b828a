/** Which UDP flows are stale, and how they are named to conntrack. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { conntrackArguments, parseFlows, planStale, planStaleFlows } from './conntrack.ts';

const place = { address: '10.43.0.10', port: 53 };

test('flows of endpoints that left are stale, and untranslated ones of a place that fills', () => {
  const before = [{ ...place, endpoints: ['10.42.0.1', '10.42.0.2'] }];
  const after = [{ ...place, endpoints: ['10.42.0.2', '10.42.0.3'] }];
  assert.deepEqual(planStale(before, after), [{ ...place, endpoint: '10.42.0.1' }]);
  assert.deepEqual(planStale(before, before), []);
  assert.deepEqual(planStale([{ ...place, endpoints: [] }], after), [place]);
  assert.deepEqual(planStale([], [{ port: 30053, endpoints: ['10.42.0.2'] }]), [{ port: 30053 }]);
  const gone = planStale(before, []).map(({ endpoint }) => endpoint);
  assert.deepEqual(gone, ['10.42.0.1', '10.42.0.2']);
});

const flow = (sent: string, answered: string, note = '') =>
  `udp 17 28 ${sent} ${note} ${answered} mark=0 use=1`;
const listing = [
  flow(
    'src=10.42.0.7 dst=10.43.0.10 sport=4711 dport=53',
    'src=10.42.0.1 dst=10.42.0.7 sport=53 dport=4711',
  ),
  flow(
    'src=10.42.0.7 dst=10.43.0.10 sport=4712 dport=53',
    'src=10.42.0.2 dst=10.42.0.7 sport=53 dport=4712',
  ),
  flow(
    'src=10.42.0.7 dst=10.43.0.10 sport=4713 dport=53',
    'src=10.43.0.10 dst=10.42.0.7 sport=53 dport=4713',
    '[UNREPLIED]',
  ),
  flow(
    'src=10.42.0.7 dst=192.0.2.1 sport=4713 dport=53',
    'src=192.0.2.1 dst=10.42.0.7 sport=53 dport=4713',
  ),
].join('\n');

test('after a restart the flows themselves tell which are stale', () => {
  const flows = parseFlows(listing);
  assert.deepEqual(flows[0], { ...place, answeredBy: '10.42.0.1' });
  const stale = planStaleFlows(flows, [{ ...place, endpoints: ['10.42.0.2'] }]);
  assert.deepEqual(stale, [{ ...place, endpoint: '10.42.0.1' }, place]);
  assert.deepEqual(planStaleFlows(flows, [{ ...place, endpoints: [] }]), []);
});

test('flows are named to conntrack by place and endpoint', () => {
  const named = conntrackArguments({ ...place, endpoint: '10.42.0.1' }, 'IPv4').join(' ');
  const where = '--orig-port-dst 53 --orig-dst 10.43.0.10 --dst-nat 10.42.0.1';
  assert.equal(named, `-D -f ipv4 -p udp ${where}`);
  const sixth = conntrackArguments({ port: 30053 }, 'IPv6').join(' ');
  assert.equal(sixth, '-D -f ipv6 -p udp --orig-port-dst 30053');
});
