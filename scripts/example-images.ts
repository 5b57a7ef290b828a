/**
 * Builds the images that the examples and the end-to-end tests use, into the folder given as the
 * only argument. `scripts/bootstrap.js` calls it once per edition of `src/images/recipes.ts`; `up`
 * loads what it finds there.
 */
import { buildExampleImages } from '#images';
import { systemClock } from '#kit/clock.ts';
import { openLog } from '#kit/log.ts';

const [outputDir] = process.argv.slice(2);
if (outputDir === undefined) throw new Error('usage: example-images.ts FOLDER');
const timeLimitMs = 600_000;
const clock = systemClock();
const log = openLog({
  clock,
  level: 'info',
  format: 'text',
  write: (line) => process.stderr.write(line),
});
const limit = new AbortController();
const cancelLimit = clock.after(timeLimitMs, () =>
  limit.abort(new Error('building took too long')),
);
await buildExampleImages({ log }, { outputDir, signal: limit.signal });
cancelLimit();
