/** Messages for a pod's link, byte for byte, and what each leaves to its sender. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { KernelMessage } from './netlink.ts';
import { nodeMessages, podMessages } from './pod-link.ts';

const link = { hostName: 'cx7k2m012345678', podName: 'eth0', address: '10.42.0.7', mtu: 1450 };

/** In words of four bytes, without the header of 16. */
function wordsOf({ bytes }: KernelMessage): string {
  assert.equal(bytes.readUInt32LE(0), bytes.length);
  return (bytes.subarray(16).toString('hex').match(/.{8}/g) ?? []).join(' ');
}

function typeOf({ bytes }: KernelMessage): readonly number[] {
  return [bytes.readUInt16LE(4), bytes.readUInt16LE(6)];
}

test('on the node: the pair, the end that stays, the way to the pod', () => {
  const [pair, up, route, ...more] = nodeMessages(link);
  assert.ok(pair !== undefined && up !== undefined && route !== undefined);
  assert.equal(more.length, 0);
  assert.deepEqual(typeOf(pair), [16, 0x605]);
  const text = pair.bytes.toString('latin1');
  assert.match(text, /cx7k2m012345678\0.*\xee{6}.*veth\0.*eth0\0/s);
  // 1450 bytes, for both ends.
  assert.equal(text.split('\xaa\x05\0\0').length, 3);
  assert.deepEqual(pair.blanks, [{ at: pair.bytes.length - 4, with: '/' }]);
  assert.equal(pair.bytes.readUInt16LE(pair.bytes.length - 6), 28);
  assert.equal(wordsOf(up), '00000000 00000000 01000000 01000000');
  assert.deepEqual(up.blanks, [{ at: 20, with: link.hostName }]);
  assert.deepEqual(typeOf(route), [24, 0x505]);
  const scopeLink = '02200000 fe03fd01 00000000';
  assert.equal(wordsOf(route), `${scopeLink} 08000100 0a2a0007 08000400 00000000`);
  assert.deepEqual(route.blanks, [{ at: route.bytes.length - 4, with: link.hostName }]);
});

test('of both families: another address, whose owner and whose gateway are known for good', () => {
  const both = { ...link, secondAddress: 'fd42::7' };
  const [pair, , , neighbour, route, ...more] = nodeMessages(both);
  assert.ok(pair !== undefined && neighbour !== undefined && route !== undefined);
  assert.equal(more.length, 0);
  const hardware = Buffer.from([0x0a, 0x58, 10, 42, 0, 7]).toString('latin1');
  assert.equal(pair.bytes.toString('latin1').split(hardware).length, 2, 'of the end in the pod');
  assert.deepEqual(pair.blanks, [{ at: pair.bytes.length - 4, with: '/' }]);
  const address = 'fd420000 00000000 00000000 00000007';
  const known = '0a000200 0a580a2a 00070000';
  assert.equal(wordsOf(neighbour), `0a000000 00000000 80000000 14000100 ${address} ${known}`);
  assert.equal(wordsOf(route), `0a800000 fe03fd01 00000000 14000100 ${address} 08000400 00000000`);
  const words = podMessages(both).slice(6).map(wordsOf);
  const gateway = 'fe800000 00000000 00000000 00000001';
  const ours = '0a000200 eeeeeeee eeee0000';
  assert.deepEqual(words, [
    // 82: for good, and without asking whether somebody else has it.
    `0a808200 00000000 14000200 ${address} 14000100 ${address}`,
    `0a000000 00000000 80000000 14000100 ${gateway} ${ours}`,
    `0a000000 fe030001 00000000 14000500 ${gateway} 08000400 00000000`,
  ]);
});

test('in the pod: its address, and everything to a neighbour that is known for good', () => {
  const messages = podMessages(link);
  assert.deepEqual(
    messages.map(({ blanks }) => blanks.map((blank) => blank.with)),
    [['lo'], ['eth0'], ['eth0'], ['eth0'], ['eth0'], ['eth0']],
  );
  const words = messages.map(wordsOf);
  assert.equal(words[1], '02208000 00000000 08000200 0a2a0007 08000100 0a2a0007');
  const hardware = '0a000200 eeeeeeee eeee0000';
  assert.equal(words[3], `02000000 00000000 80000000 08000100 a9fe0101 ${hardware}`);
  assert.equal(words[4], '02200000 fe03fd01 00000000 08000100 a9fe0101 08000400 00000000');
  assert.equal(words[5], '02000000 fe030001 00000000 08000500 a9fe0101 08000400 00000000');
});
