/** What the kernel says of a machine, and lists of processors as it writes them. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { madeUpMachine, madeUpTopology, sourceOf } from './machines.contract.ts';
import { formatNumbers, parseNumbers } from './number-set.ts';
import { readHugepages, readTopology } from './topology.ts';

test('lists of processors are read and written as the kernel does', () => {
  assert.deepEqual(parseNumbers('0-3,5\n'), new Set([0, 1, 2, 3, 5]));
  assert.deepEqual(parseNumbers(''), new Set());
  for (const bad of ['a', '3-1', '1,,2', '-1']) assert.equal(parseNumbers(bad), undefined);
  assert.equal(formatNumbers([5, 1, 2, 0]), '0-2,5');
  assert.equal(formatNumbers([]), '');
});

test('processors know their core, cache, socket and node', () => {
  const plan = { sockets: 2, coresPerNode: 2, threads: 2, cachesPerNode: 2, hugepagesPerNode: 3 };
  const { cpus, nodes } = madeUpTopology(plan);
  assert.deepEqual(cpus[1], { id: 1, core: 1, socket: 0, node: 0, cache: 1 });
  assert.deepEqual(cpus[6], { id: 6, core: 2, socket: 1, node: 1, cache: 2 });
  assert.deepEqual(nodes[1], {
    ...{ id: 1, memoryBytes: 8 * 1024 ** 3, distances: [20, 10] },
    hugepages: new Map([['hugepages-2Mi', 6 * 1024 ** 2]]),
  });
});

test('a cache that all of a node share says no more than the socket', () => {
  const { cpus } = madeUpTopology({ sockets: 2, coresPerNode: 2 });
  assert.deepEqual(
    cpus.map(({ cache }) => cache),
    [0, 0, 1, 1],
  );
});

test('a kernel without NUMA has one node with everything', () => {
  const { files, folders } = madeUpMachine({ coresPerNode: 2 });
  const plain = Object.entries(files).filter(([path]) => !path.includes('/node/'));
  const topology = readTopology(
    sourceOf({
      files: { ...Object.fromEntries(plain), '/proc/meminfo': 'MemTotal: 2048 kB\n' },
      folders,
    }),
  );
  assert.deepEqual(
    topology.cpus.map(({ id, node }) => [id, node]),
    [
      [0, 0],
      [1, 0],
    ],
  );
  assert.deepEqual(topology.nodes, [
    { id: 0, memoryBytes: 2_097_152, distances: [10], hugepages: new Map() },
  ]);
});

test('huge pages are counted by the size in the name of their resource', () => {
  const root = '/sys/kernel/mm/hugepages';
  const source = sourceOf({
    folders: { [root]: ['hugepages-1048576kB', 'hugepages-2048kB', 'hugepages-64kB'] },
    files: { [`${root}/hugepages-1048576kB/nr_hugepages`]: '2\n' },
  });
  assert.deepEqual(
    [...readHugepages(source)],
    [
      ['hugepages-1Gi', 2 * 1024 ** 3],
      ['hugepages-2Mi', 0],
      ['hugepages-64Ki', 0],
    ],
  );
});
