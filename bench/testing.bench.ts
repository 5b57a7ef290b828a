/**
 * Whole clusters in one process, as the tests of others start them: the first one, and the median
 * of those after it, each with its own clock, store and node. `npm run bench -- testing`.
 *
 * Goals: 300 ms for the first, 30 ms for each further one. Loading the modules is shown beside it:
 * here it includes stripping types, which the packed program does not do.
 */
import type { TestCluster } from '#testing';

const firstGoalMs = 300;
const furtherGoalMs = 30;

export default async function run({ small }: { readonly small: boolean }): Promise<void> {
  const loadMs = performance.now();
  const { startCluster } = await import('#testing');
  console.log(`  modules loaded in ${(performance.now() - loadMs).toFixed(0)} ms`);
  const clusters: TestCluster[] = [];
  const start = async (clock: 'real' | 'virtual'): Promise<number> => {
    const startMs = performance.now();
    clusters.push(await startCluster({ clock }));
    return performance.now() - startMs;
  };
  const firstMs = await start('real');
  console.log(`  first cluster ready in ${firstMs.toFixed(0)} ms (goal ${firstGoalMs})`);
  const missed = firstMs > firstGoalMs ? ['the first cluster'] : [];
  for (const clock of ['real', 'virtual'] as const) {
    const took: number[] = [];
    for (let i = 0; i < (small ? 15 : 50); i++) took.push(await start(clock));
    const medianMs = took.sort((a, b) => a - b)[took.length >> 1] ?? Number.NaN;
    const what = `further clusters, ${clock} clock`;
    console.log(`  ${what}: median ${medianMs.toFixed(1)} ms (goal ${furtherGoalMs})`);
    if (!(medianMs <= furtherGoalMs)) missed.push(what);
  }
  await Promise.all(clusters.map((cluster) => cluster[Symbol.asyncDispose]()));
  // The smallest run says that it works; how fast, only a quiet machine can say.
  if (!small && missed.length > 0) throw new Error(`not ready in time: ${missed.join(', ')}`);
}
