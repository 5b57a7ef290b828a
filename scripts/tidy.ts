/**
 * The house rules that a machine can check (docs/style.md), part of `npm run check`: the layer
 * table, cycles and dead files, sizes, headers, names, banned words and globals, live links in the
 * documents, the list of npm dependencies. Regular expressions on text suffice and are fast.
 *
 * Prints `file:line text` for each problem and fails when there is one. The rules are in `tidy/`.
 */
import {
  checkDecisions,
  checkDependencies,
  checkLimits,
  checkLinks,
  checkLockFile,
  checkNamedFiles,
} from './tidy/documents.ts';
import { checkCycles, checkDeadExports, checkDeadFiles } from './tidy/graph.ts';
import { checkFaces, checkLayers, checkUnusedLayers } from './tidy/layers.ts';
import {
  checkFunctions,
  checkHeaders,
  checkNames,
  checkPurity,
  checkSizes,
  checkSurroundings,
  checkWords,
} from './tidy/shape.ts';
import { type Rule, readTree } from './tidy/tree.ts';

const rules: readonly Rule[] = [
  checkLayers,
  checkUnusedLayers,
  checkFaces,
  checkCycles,
  checkDeadFiles,
  checkDeadExports,
  checkSizes,
  checkFunctions,
  checkHeaders,
  checkNames,
  checkWords,
  checkPurity,
  checkSurroundings,
  checkLinks,
  checkNamedFiles,
  checkDecisions,
  checkLimits,
  checkDependencies,
  checkLockFile,
];

const started = performance.now();
const tree = readTree('.');
const problems = rules.flatMap((rule) => rule(tree));
for (const { path, line, text } of problems) console.log(`${path}:${line} ${text}`);
const tookMs = Math.round(performance.now() - started);
console.log(`tidy: ${tree.files.size} files, ${problems.length} problems, ${tookMs} ms`);
process.exitCode = problems.length > 0 ? 1 : 0;
