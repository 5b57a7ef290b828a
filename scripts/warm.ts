/**
 * Fills the compile cache: loads every module of the program once, so that the first start after an
 * installation is a warm one. Loading has no effects beyond that (docs/style.md, rule 9).
 *
 * `scripts/bootstrap.js` runs it beside the installation of packages, with CORACLE_COMPILE_CACHE
 * naming the folder.
 */
import { globSync } from 'node:fs';
import { enableCompileCache, flushCompileCache } from 'node:module';

enableCompileCache(process.env.CORACLE_COMPILE_CACHE);
const source = new URL('../src/', import.meta.url);
const apart = /\.(test|contract|fuzz)\.ts$/;
for (const file of globSync('**/*.ts', { cwd: source.pathname })) {
  if (!apart.test(file)) await import(new URL(file, source).href);
}
flushCompileCache();
process.exit(0);
