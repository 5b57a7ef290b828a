/** Which address of a machine with several is the node's, if nobody says. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { covers } from '#test/covers.ts';
import { type AddressFacts, findOwnAddress } from './own-address.ts';

function on(address: string, internal = false) {
  const family = address.includes(':') ? 'IPv6' : 'IPv4';
  const rest = { netmask: '', mac: '', cidr: null, scopeid: 0 };
  return { ...rest, address, family, internal } as const;
}

const none = '0'.repeat(32);

/** As a virtual machine has them: a way out through its host, and a network of its own. */
const facts: AddressFacts = {
  interfaces: {
    lo: [on('127.0.0.1', true), on('::1', true)],
    inner: [on('192.168.33.10'), on('fe80::2'), on('fd00::10')],
    nat: [on('10.0.2.15'), on('fe80::1')],
  },
  routes: {
    IPv4: [
      'Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT',
      'inner\t0021A8C0\t00000000\t0001\t0\t0\t0\t00FFFFFF\t0\t0\t0',
      'nat\t00000000\t0202000A\t0003\t0\t0\t0\t00000000\t0\t0\t0',
      '',
    ].join('\n'),
    IPv6: [
      `${none} 00 ${none} 00 ${none} ffffffff 1 0 00200200 lo`,
      `${none} 00 ${none} 00 fe80${none.slice(5)}1 00000400 1 0 00000003 inner`,
      '',
    ].join('\n'),
  },
  lookUp: async () => [],
};

const named = (...addresses: readonly string[]): AddressFacts => ({
  ...facts,
  lookUp: async (name) => (name === 'n1' ? addresses : []),
});

test('what its name stands for, if the machine has it; else that of the way out', async () => {
  covers('POD-008');
  assert.equal(await findOwnAddress('n1', 'IPv4', named('192.168.33.10')), '192.168.33.10');
  // As Debian writes it, and as it is when the name is another machine's.
  for (const other of ['127.0.1.1', '127.0.0.1', '198.51.100.1', 'fe80::2']) {
    assert.equal(await findOwnAddress('n1', 'IPv4', named(other)), '10.0.2.15', other);
  }
  assert.equal(await findOwnAddress('n1', 'IPv4', facts), '10.0.2.15');
  assert.equal(await findOwnAddress('203.0.113.4', 'IPv4', facts), '203.0.113.4');
});

test('of two families the one that is wanted, if it is there', async () => {
  const both = named('fd00::10', '192.168.33.10');
  assert.equal(await findOwnAddress('n1', 'IPv4', both), '192.168.33.10');
  assert.equal(await findOwnAddress('n1', 'IPv6', both), 'fd00::10');
  assert.equal(await findOwnAddress('n1', 'IPv4', named('fd00::10')), 'fd00::10');
  assert.equal(await findOwnAddress('n1', 'IPv6', facts), 'fd00::10');
});

test('without a way out nothing says it', async () => {
  const routes = { IPv4: '', IPv6: '' };
  assert.equal(await findOwnAddress('n1', 'IPv4', { ...facts, routes }), undefined);
  const down = facts.routes.IPv4.replace('\t0003\t', '\t0002\t');
  const closed = { ...facts, routes: { ...routes, IPv4: down } };
  assert.equal(await findOwnAddress('n1', 'IPv4', closed), undefined);
});
