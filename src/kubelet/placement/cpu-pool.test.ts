/** Processors of one's own: who gets them, which, and what becomes of them. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Container, Pod } from '#resources/types/core-v1.ts';
import { covers, superseded } from '#test/covers.ts';
import { defaultSettings, type KubeletSettings } from '../settings.ts';
import { cpuOptions } from './cpu-options.ts';
import { CpuPool, type CpuState } from './cpu-pool.ts';
import { guaranteed, type MachinePlan, madeUpTopology, podOf } from './machines.contract.ts';
import { maskOf, nodesOf } from './masks.ts';
import { formatNumbers } from './number-set.ts';
import { anywhere } from './provider.ts';

const dual: MachinePlan = { sockets: 2, coresPerNode: 2, threads: 2 };

function containerOf(name: string, cpu: string, more: Partial<Container> = {}): Container {
  return guaranteed(name, { cpu, memory: '64Mi' }, more);
}

class World {
  kept: CpuState | undefined;
  pods: readonly Pod[] = [];
  changes = 0;
  pool: CpuPool;
  readonly #plan: MachinePlan;
  readonly #settings: KubeletSettings;

  constructor(settings: Partial<KubeletSettings> = {}, plan: MachinePlan = dual) {
    this.#plan = plan;
    this.#settings = { ...defaultSettings, kubeReserved: { cpu: '500m' }, ...settings };
    this.pool = this.open();
  }

  open(more: Partial<KubeletSettings> = {}): CpuPool {
    return new CpuPool(
      {
        topology: madeUpTopology(this.#plan),
        file: {
          read: () => this.kept,
          write: (state) => {
            this.kept = state;
          },
        },
        activePods: () => this.pods,
        onChange: () => {
          this.changes += 1;
        },
      },
      cpuOptions({ ...this.#settings, ...more }),
    );
  }

  /** All containers of a pod, or the first refusal. */
  async take(pod: Pod, hint = anywhere): Promise<string> {
    this.pods = [...this.pods, pod];
    const { initContainers = [], containers } = pod.spec ?? { containers: [] };
    for (const container of [...initContainers, ...containers]) {
      const refusal = await this.pool.allocate(pod, container, { hint });
      if (refusal !== undefined) return `${refusal.reason}: ${refusal.message}`;
    }
    return [...initContainers, ...containers].map(({ name }) => this.of(pod, name)).join(' ');
  }

  of(pod: Pod, name: string): string {
    return formatNumbers(this.pool.cpusOf(pod.metadata.uid ?? '', name));
  }

  get shared(): string {
    return formatNumbers(this.pool.shared);
  }
}

test('whole processors of Guaranteed pods are their own, everybody else shares the rest', async () => {
  const world = new World();
  const own = podOf('a', [containerOf('one', '2'), containerOf('part', '1500m')]);
  assert.equal(await world.take(own), '1,5 0,2-4,6-7');
  const burstable = podOf('b', [{ name: 'x', image: 'i', resources: { requests: { cpu: '2' } } }]);
  assert.equal(await world.take(burstable), '0,2-4,6-7');
  assert.equal(await world.take(podOf('c', [{ name: 'y', image: 'i' }])), '0,2-4,6-7');
  const { resources } = containerOf('z', '2');
  const whole = podOf('d', [containerOf('z', '2')]);
  const asWhole: Pod = { ...whole, spec: { containers: [], ...whole.spec, resources } };
  assert.equal(await world.take(asWhole), '0,2-4,6-7', 'a pod that asks as a whole shares');
  assert.equal(world.changes, 1, 'one change of what is shared');

  world.pods = [];
  world.pool.release();
  assert.equal(world.shared, '0-7', 'what ended pods had is shared again');
});

test('what is reserved is given to nobody, and is shared unless strictly kept', async () => {
  covers('POD-230');
  const world = new World({ kubeReserved: { cpu: '1' }, systemReserved: { cpu: '600m' } });
  assert.equal(formatNumbers(world.pool.allocatable), '1-3,5-7', 'the lowest core, as a whole');
  assert.equal(await world.take(podOf('a', [containerOf('c', '6')])), '1-3,5-7');
  assert.equal(world.shared, '0,4');
  assert.equal(
    await world.take(podOf('b', [containerOf('c', '1')])),
    'UnexpectedAdmissionError: Allocate failed due to not enough cpus available to satisfy ' +
      'request: requested=1, available=0, which is unexpected',
  );
  const named = new World({
    reservedSystemCPUs: '2-3',
    cpuManagerPolicyOptions: { 'strict-cpu-reservation': 'true' },
  });
  assert.equal(named.shared, '0-1,4-7');
  assert.equal(formatNumbers(named.pool.allocatable), '0-1,4-7');
  assert.deepEqual(named.open().shared, named.pool.shared, 'also by a kubelet that starts again');
  assert.throws(() => new World({ kubeReserved: {} }), {
    message:
      '[cpumanager] the static policy requires systemreserved.cpu + kubereserved.cpu to be ' +
      'greater than zero',
  });
});

test('init containers leave theirs to those that come after, sidecars keep theirs', async () => {
  const world = new World();
  const sidecar = containerOf('side', '1', { restartPolicy: 'Always' });
  const pod = podOf('a', [containerOf('main', '2')], [containerOf('init', '3'), sidecar]);
  const [init = '', side = '', main = ''] = (await world.take(pod)).split(' ');
  assert.deepEqual([init, side, main], ['1,4-5', '4', '1,5']);
  assert.equal(world.shared, '0,2-3,6-7', 'three processors in all');
});

test('agreed NUMA nodes come first', async () => {
  const world = new World();
  const hint = { mask: maskOf([1]), preferred: true };
  assert.equal(await world.take(podOf('a', [containerOf('c', '2')]), hint), '2,6');
  assert.equal(await world.take(podOf('b', [containerOf('c', '3')]), hint), '3-4,7', 'then others');
});

test('hints name the nodes that could give, and prefer the fewest', async () => {
  const world = new World();
  const hintsFor = (cpu: string): readonly string[] => {
    const pod = podOf('a', [containerOf('c', cpu)]);
    const hints = world.pool.hints(pod, containerOf('c', cpu)).get('cpu') ?? [];
    return hints.map(({ mask = 0n, preferred }) => `${nodesOf(mask).join('+')} ${preferred}`);
  };
  assert.deepEqual(hintsFor('3'), ['0 true', '1 true', '0+1 false']);
  assert.deepEqual(hintsFor('4'), ['1 true', '0+1 false'], 'one of node 0 is reserved');
  assert.deepEqual(hintsFor('5'), ['0+1 true']);
  assert.deepEqual(hintsFor('8'), []);
  assert.equal(world.pool.hints(podOf('a', []), containerOf('c', '500m')).size, 0);
  await world.take(podOf('k', [containerOf('c', '2')]));
  assert.deepEqual(hintsFor('3'), ['1 true', '0+1 false']);
});

test('with whole cores only, what would break one is refused', async () => {
  const world = new World({ cpuManagerPolicyOptions: { 'full-pcpus-only': 'true' } });
  assert.equal(
    await world.take(podOf('a', [containerOf('c', '3')])),
    'SMTAlignmentError: SMT Alignment Error: requested 3 cpus not multiple cpus per core = 2',
  );
  assert.equal(
    await world.take(podOf('b', [containerOf('c', '8')])),
    'SMTAlignmentError: SMT Alignment Error: not enough free physical CPUs: ' +
      'available physical CPUs = 6, requested CPUs = 8, CPUs per core = 2',
  );
  assert.equal(await world.take(podOf('c', [containerOf('c', '2')])), '1,5');
});

test('options that are none, contradict or are in trial are refused in upstream’s words', () => {
  const problem = (cpuManagerPolicyOptions: Readonly<Record<string, string>>): string => {
    try {
      return String(cpuOptions({ ...defaultSettings, cpuManagerPolicyOptions }));
    } catch (error) {
      return error instanceof Error ? error.message : '';
    }
  };
  assert.equal(
    problem({ 'align-by-socket': 'true' }),
    'new static policy error: CPU Manager Policy Alpha-level Options not enabled, but option ' +
      '"align-by-socket" provided',
  );
  assert.equal(
    problem({ nope: 'true' }),
    'new static policy error: unknown CPU Manager Policy option: "nope"',
  );
  assert.equal(
    problem({ 'full-pcpus-only': 'yes' }),
    'new static policy error: bad value for option "full-pcpus-only": strconv.ParseBool: ' +
      'parsing "yes": invalid syntax',
  );
  assert.match(
    problem({
      'prefer-align-cpus-by-uncorecache': 'true',
      'distribute-cpus-across-numa': 'true',
    }),
    /can not be used at the same time$/,
  );
});

test('a kubelet that starts again knows who has what, or does not start', async () => {
  superseded('POD-232', {
    by: 'v1.10',
    now: 'still only against other pods; what was given is kept in cpu_manager_state over a restart',
  });
  const world = new World();
  const pod = podOf('a', [containerOf('c', '2')]);
  await world.take(pod);
  assert.deepEqual(world.kept, { defaultCpuSet: '0,2-4,6-7', entries: { a: { c: '1,5' } } });
  const again = world.open();
  assert.equal(formatNumbers(again.cpusOf('a', 'c')), '1,5');
  await again.allocate(pod, containerOf('c', '2'), { hint: anywhere });
  assert.equal(formatNumbers(again.cpusOf('a', 'c')), '1,5', 'what was given stays its own');

  const problemWith = (state: CpuState): string => {
    world.kept = state;
    try {
      world.open();
      return 'none';
    } catch (error) {
      return error instanceof Error ? error.message : '';
    }
  };
  const end = ', please drain node and remove policy state file';
  assert.equal(
    problemWith({ defaultCpuSet: '0-6', entries: {} }),
    'start cpu manager error: current set of available CPUs "0-7" doesn\'t match with CPUs in ' +
      `state "0-6"${end}`,
  );
  assert.equal(
    problemWith({ defaultCpuSet: '1-7', entries: { a: { c: '0' } } }),
    `start cpu manager error: not all reserved cpus: "0" are present in defaultCpuSet: "1-7"${end}`,
  );
  assert.equal(
    problemWith({ defaultCpuSet: '0-7', entries: { a: { c: '7' } } }),
    'start cpu manager error: pod: a, container: c cpuset: "7" overlaps with default cpuset ' +
      `"0-7"${end}`,
  );
});
