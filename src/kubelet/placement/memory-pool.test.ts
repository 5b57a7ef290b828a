/** Memory of certain NUMA nodes: who gets it, from where, and what is counted. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Container, Pod } from '#resources/types/core-v1.ts';
import { defaultSettings } from '../settings.ts';
import { guaranteed, type MachinePlan, madeUpTopology, podOf } from './machines.contract.ts';
import { maskOf, nodesOf } from './masks.ts';
import { MemoryPool, type MemoryState } from './memory-pool.ts';
import { reservedMemory } from './open-placement.ts';
import { anywhere } from './provider.ts';

const gibibyte = 1024 ** 3;
/** Two nodes of 8 GiB, of each 1 GiB the system's and 1 GiB in huge pages. */
const dual: MachinePlan = { sockets: 2, coresPerNode: 2, hugepagesPerNode: 512 };
const reserved = new Map([0, 1].map((node) => [node, new Map([['memory', gibibyte]])]));

function containerOf(name: string, memory: string, more: Partial<Container> = {}): Container {
  return guaranteed(name, { cpu: '1', memory }, more);
}

class World {
  kept: MemoryState | undefined;
  pods: readonly Pod[] = [];
  pool = this.open();

  open(plan: MachinePlan = dual): MemoryPool {
    const file = {
      read: () => this.kept,
      write: (state: MemoryState) => {
        this.kept = state;
      },
    };
    const topology = madeUpTopology(plan);
    return new MemoryPool({ topology, file, activePods: () => this.pods }, reserved);
  }

  async take(pod: Pod, hint = anywhere): Promise<string> {
    this.pods = [...this.pods, pod];
    const { initContainers = [], containers } = pod.spec ?? { containers: [] };
    for (const container of [...initContainers, ...containers]) {
      const refusal = await this.pool.allocate(pod, container, { hint });
      if (refusal !== undefined) return `${refusal.reason}: ${refusal.message}`;
    }
    return containers.map(({ name }) => this.of(pod, name)).join(' ');
  }

  of(pod: Pod, name: string): string {
    const blocks = this.pool.blocksOf(pod.metadata.uid ?? '', name);
    return blocks.map((block) => `${block.numaAffinity.join('+')}:${block.size / gibibyte}`).join();
  }

  /** In GiB, by node. */
  get free(): readonly number[] {
    const nodes = Object.values(this.kept?.machineState ?? {});
    return nodes.map(({ memoryMap }) => (memoryMap['memory']?.free ?? 0) / gibibyte);
  }
}

test('memory comes from one node, as long as one has enough', async () => {
  const world = new World();
  assert.deepEqual(world.free, [6, 6], 'without what is the system’s and what is in huge pages');
  assert.equal(await world.take(podOf('a', [containerOf('c', '4Gi')])), '0:4');
  assert.equal(await world.take(podOf('b', [containerOf('c', '4Gi')])), '1:4');
  assert.deepEqual(world.free, [2, 2]);
  assert.equal(
    await world.take(podOf('c', [containerOf('c', '3Gi')])),
    'UnexpectedAdmissionError: Allocate failed due to [memorymanager] failed to get the default ' +
      'NUMA affinity, no NUMA nodes with enough memory is available, which is unexpected',
    'nodes that give alone do not give together',
  );
  world.pods = [];
  world.pool.release();
  assert.deepEqual(world.free, [6, 6]);
});

test('nodes that give together give to nobody else, as long as they do', async () => {
  const world = new World();
  assert.equal(await world.take(podOf('a', [containerOf('c', '8Gi')])), '0+1:8');
  assert.deepEqual(world.free, [0, 4]);
  const hint = { mask: maskOf([1]), preferred: true };
  const refused = await world.take(podOf('b', [containerOf('c', '5Gi')]), hint);
  assert.match(refused, /failed to find NUMA nodes to extend the current topology hint/);
  assert.equal(await world.take(podOf('d', [containerOf('c', '2Gi')])), '0+1:2', 'the same group');
});

test('huge pages are memory of their own', async () => {
  const world = new World();
  const amounts = { cpu: '1', memory: '1Gi', 'hugepages-2Mi': '512Mi' };
  const resources = { requests: amounts, limits: amounts };
  const pod = podOf('a', [{ name: 'c', image: 'i', resources }]);
  assert.equal(await world.take(pod), '0:1,0:0.5');
  assert.equal(world.pool.blocksOf('a', 'c')[1]?.type, 'hugepages-2Mi');
  const table = world.kept?.machineState[0]?.memoryMap['hugepages-2Mi'];
  assert.deepEqual([table?.total, table?.free], [gibibyte, gibibyte / 2]);
});

test('who is not Guaranteed gets nothing of his own', async () => {
  const world = new World();
  const requests = { memory: '1Gi' };
  assert.equal(
    await world.take(podOf('a', [{ name: 'c', image: 'i', resources: { requests } }])),
    '',
  );
  assert.deepEqual(world.free, [6, 6]);
});

test('init containers leave theirs, and what is left when the next one runs is free', async () => {
  const world = new World();
  const main = containerOf('main', '2Gi');
  const pod = podOf('a', [main], [containerOf('one', '3Gi'), containerOf('two', '5Gi')]);
  assert.equal(await world.take(pod), '0:2');
  assert.deepEqual(world.free, [1, 6], 'as much as the neediest of them');
  world.pool.started(pod, main);
  assert.deepEqual(world.free, [4, 6]);
  assert.equal(world.of(pod, 'two'), '');
});

test('hints name the nodes that could give, and prefer the fewest', async () => {
  const world = new World();
  const hintsFor = (memory: string): readonly string[] => {
    const container = containerOf('c', memory);
    const hints = world.pool.hints(podOf('x', [container]), container).get('memory') ?? [];
    return hints.map(({ mask = 0n, preferred }) => `${nodesOf(mask).join('+')} ${preferred}`);
  };
  assert.deepEqual(hintsFor('2Gi'), ['0 true', '1 true', '0+1 false']);
  assert.deepEqual(hintsFor('7Gi'), ['0+1 true']);
  const pod = podOf('a', [containerOf('c', '5Gi')]);
  await world.take(pod);
  assert.deepEqual(hintsFor('2Gi'), ['1 true'], 'node 0 gives alone, and is full');
  const again = world.pool.hints(pod, containerOf('c', '5Gi'));
  // One resource, one place: where it has been given.
  assert.deepEqual([...again], [['memory', [{ mask: maskOf([0]), preferred: true }]]]);
});

test('a kubelet that starts again knows who has what, or does not start', async () => {
  const world = new World();
  const pod = podOf('a', [containerOf('c', '8Gi')]);
  await world.take(pod);
  const again = world.open();
  assert.equal(again.blocksOf('a', 'c')[0]?.size, 8 * gibibyte);
  assert.throws(() => world.open({ ...dual, memoryBytesPerNode: 4 * gibibyte }), {
    message:
      'start memory manager error: [memorymanager] the expected machine state is different from ' +
      'the real one, please drain node and remove policy state file',
  });
});

test('what is reserved by node has to be what is reserved in all', () => {
  const topology = madeUpTopology(dual);
  const settings = {
    ...defaultSettings,
    kubeReserved: { memory: '1Gi' },
    evictionHard: { 'memory.available': '100Mi' },
  };
  const of = (numaNode: number, memory: string) => ({ numaNode, limits: { memory } });
  const read = (reservations: readonly ReturnType<typeof of>[]) =>
    reservedMemory({ ...settings, reservedMemory: reservations }, topology, { memory: '16Gi' });
  assert.equal(
    read([of(0, '1Gi'), of(1, '100Mi')])
      .get(1)
      ?.get('memory'),
    100 * 1024 ** 2,
  );
  assert.throws(() => read([of(0, '1Gi')]), {
    message:
      'the total amount "1Gi" of type "memory" is not equal to the value "1124Mi" determined by ' +
      'Node Allocatable feature',
  });
  assert.throws(() => read([of(7, '1Gi')]), {
    message:
      'the reserved memory configuration references a NUMA node 7 that does not exist on this ' +
      'machine',
  });
});
