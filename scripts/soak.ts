/**
 * `npm run soak -- --for 60m`: pods come and go on a real node for so long (made, crashed, updated,
 * deleted, looked into), and in the end the machine has to be as it was in the beginning.
 *
 * Before and after, with nothing running, it prints what our processes and containerd hold: memory,
 * descriptors, mounts, cgroups, namespaces, rules, links, tasks (`soak/holdings.ts`), and fails if
 * something grew. Before means: once the first hundred pods have come and gone, however long that
 * took; after it each minute says what the processes hold, with pods. What happens in between
 * follows from a seed (`soak/traffic.ts`).
 */
import { parseArgs } from 'node:util';
import { systemClock } from '#kit/clock.ts';
import { parseDuration } from '#kit/duration.ts';
import { seededRandom } from '#kit/random.ts';
import { ClusterProcess } from '#test/cluster-process.ts';
import { readAccess } from '../src/cluster/credentials/kubeconfig-access.ts';
import { readState } from '../src/cluster/state.ts';
import { type Holdings, memoryNow, readHoldings, whatGrew } from './soak/holdings.ts';
import { Traffic } from './soak/traffic.ts';
import { takeMachineLock } from './testing/machine-lock.ts';

const limits = {
  lockMs: 600_000,
  warmPods: 100,
  warmMs: 600_000,
  settleMs: 300_000,
  /**
   * Connections of a burst are kept for the next one: the server closes them after 90 s. The log of
   * the store reaches five minutes back, and is cut now and then; then memory is given back.
   */
  afterMs: 420_000,
} as const;
const clock = systemClock();
const { signal } = new AbortController();

const { values } = parseArgs({
  options: {
    for: { type: 'string', default: '60m' },
    pods: { type: 'string', default: '25' },
    seed: { type: 'string' },
  },
});
const lastsMs = milliseconds(values.for);
const seed = Number(values.seed ?? Math.trunc(clock.now() % 1e9));
// Why it ends, where the end of the cluster fails as well: Node tells of the latter only.
process.once('uncaughtExceptionMonitor', (error) => {
  if (error instanceof SuppressedError) console.error(error.suppressed);
});
console.log(`seed ${seed} (--seed repeats what is done, not when)`);

await using _lock = await takeMachineLock({ limitMs: limits.lockMs, signal });
await using cluster = await ClusterProcess.open();
await cluster.up({ limitMs: 60_000 });
const random = seededRandom(seed);
const state = readState(cluster.dataDir);
if (state === undefined) throw new Error('the cluster has no state');
const access = readAccess(cluster.kubeconfig, undefined);
const podsMax = Number(values.pods);
await using traffic = await Traffic.open(cluster, { random, podsMax, access });
// What everything needs once (code, caches, pools) is no growth.
await warmUp();
await calm();
const before = await readHoldings(cluster, state.id);
const minutes = (): string => `${Math.round(clock.monotonic() / 60_000)}`;
const began = clock.monotonic();
let lastMinute = minutes();
while (clock.monotonic() - began < lastsMs) {
  await traffic.run(Math.min(5000, lastsMs));
  if (minutes() === lastMinute) continue;
  lastMinute = minutes();
  const minute = Math.round((clock.monotonic() - began) / 60_000);
  console.log(`  ${minute} min: ${traffic.summary()}; ${await memoryNow(cluster)}`);
}
await calm();
const after = await readHoldings(cluster, state.id);
print(before, after);
console.log(`done: ${traffic.summary()}`);
const grown = whatGrew(before, after);
if (grown.length > 0) {
  console.error(`grew: ${grown.join(', ')}\n${cluster.logs()}`);
  process.exitCode = 1;
}

async function warmUp(): Promise<void> {
  const deadline = clock.monotonic() + limits.warmMs;
  while (traffic.made < limits.warmPods) {
    if (clock.monotonic() > deadline)
      throw new Error(`${traffic.made} pods in ${limits.warmMs} ms`);
    await traffic.run(1000);
  }
}

/** Nothing of ours runs any more, and what follows of it has had its time. */
async function calm(): Promise<void> {
  await traffic.removeAll(limits.settleMs);
  await clock.sleep(limits.afterMs, { signal });
}

function print(first: Holdings, last: Holdings): void {
  console.log(`${'holding'.padEnd(36)} ${'before'.padStart(9)} ${'after'.padStart(9)}`);
  for (const [name, amount] of Object.entries(first)) {
    const now = last[name] ?? Number.NaN;
    const digits = Number.isInteger(amount) && Number.isInteger(now) ? 0 : 1;
    const columns = [amount, now].map((each) => each.toFixed(digits).padStart(9));
    console.log(`${name.padEnd(36)} ${columns.join(' ')}`);
  }
}

function milliseconds(text: string): number {
  const ms = parseDuration(text);
  if (ms === undefined) throw new Error(`--for ${text}: must be a duration, as 60m`);
  return ms;
}
