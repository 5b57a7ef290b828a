/** Each house rule catches a bad sample and lets a good one pass. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { codeOnly } from './tidy/code-only.ts';
import {
  checkDecisions,
  checkDependencies,
  checkLimits,
  checkLinks,
  checkLockFile,
  checkNamedFiles,
} from './tidy/documents.ts';
import { checkCycles, checkDeadExports, checkDeadFiles } from './tidy/graph.ts';
import { checkFaces, checkLayers, checkUnusedLayers, layers } from './tidy/layers.ts';
import {
  checkFunctions,
  checkHeaders,
  checkNames,
  checkPurity,
  checkSizes,
  checkSurroundings,
  checkWords,
} from './tidy/shape.ts';
import { makeTree, type Rule } from './tidy/tree.ts';

const manifest = JSON.stringify({
  imports: {
    '#kit/*.ts': './src/kit/*.ts',
    '#resources/*.ts': './src/resources/*.ts',
    '#store': './src/store/store.ts',
    '#client': './src/client/client.ts',
    '#proxy': './src/proxy/proxy.ts',
    '#test/*.ts': './test/support/*.ts',
  },
  dependencies: { yaml: '1.0.0' },
});

/** Problems of one rule in a tree of these files, as `path:line text`. */
function problems(rule: Rule, files: Readonly<Record<string, string>>): readonly string[] {
  const tree = makeTree(new Map([['package.json', manifest], ...Object.entries(files)]));
  return rule(tree).map(({ path, line, text }) => `${path}:${line} ${text}`);
}

test('layers: imports point down', () => {
  const found = problems(checkLayers, {
    'src/store/store.ts': "import { a } from '#client';\n",
    'src/client/client.ts':
      "import { assert } from '#kit/assert.ts';\nimport { b } from '#proxy';\n",
    'src/kit/yaml.ts': "import { parse } from 'yaml';\nimport fs from 'node:fs';\n",
    'src/kit/assert.ts': '',
    'src/proxy/proxy.ts': "import {\n  c,\n} from '#client';\nawait import('#store');\n",
  });
  assert.deepEqual(found, [
    'src/store/store.ts:1 store must not import client (#client)',
    'src/client/client.ts:2 client must not import proxy (#proxy)',
    'src/proxy/proxy.ts:4 proxy must not import store (#store)',
  ]);
});

test('layers: what costs a start much is not imported', () => {
  const found = problems(checkLayers, {
    'src/client/client.ts': "import type { Agent } from 'node:http';\nimport 'node:https';\n",
    'src/client/client.test.ts': "import { request } from 'node:http';\n",
    'src/client/transport.ts': "import { request, type Agent } from 'node:http';\n",
    'src/client/late.ts': "await import('node:process');\n",
  });
  assert.deepEqual(found, [
    'src/client/transport.ts:1 node:http costs a start 15 MiB: take what is needed from src/kit/http-request.ts',
    'src/client/late.ts:1 node:process: use the global `process`, of which only what is used is made',
  ]);
});

test('layers: by name across modules, by path inside, tests stay with tests', () => {
  const found = problems(checkLayers, {
    'src/proxy/proxy.ts': "import { a } from '../client/client.ts';\n",
    'src/proxy/rules.ts': "import { p } from '#proxy';\nimport { x } from '../../bin/x.ts';\n",
    'src/proxy/nft.ts': "import { fake } from '#test/fake.ts';\nimport { y } from '#nothing';\n",
    'src/proxy/nft.test.ts': "import { fake } from '#test/fake.ts';\n",
    'src/unheard/unheard.ts': "import { a } from '#kit/assert.ts';\n",
    'src/client/client.ts': '',
  });
  assert.deepEqual(found, [
    'src/proxy/proxy.ts:1 ../client/client.ts: import another module by its #name',
    'src/proxy/rules.ts:1 #proxy: inside its module a file imports by relative path',
    'src/proxy/rules.ts:2 ../../bin/x.ts: never "../..", import across modules by #name',
    'src/proxy/nft.ts:1 #test/fake.ts: only tests may import from test/',
    'src/proxy/nft.ts:2 #nothing is not in package.json imports',
    'src/unheard/unheard.ts:1 module unheard has no row in scripts/tidy/layers.ts',
  ]);
});

test('layers: generated types may be named from below', () => {
  const type = { 'src/api/object.ts': "import type { Pod } from '#resources/types/core-v1.ts';\n" };
  assert.deepEqual(problems(checkLayers, type), []);
  const value = { 'src/api/object.ts': "import { kinds } from '#resources/kinds.ts';\n" };
  assert.equal(problems(checkLayers, value).length, 1);
});

test('layers: a row allows only what some file of the module does', () => {
  const allowed = Object.values(layers).flatMap((row) => (row === 'everything' ? [] : row));
  const found = problems(checkUnusedLayers, {
    'src/api/patch.ts': "import type { Clock } from '#kit/clock.ts';\n",
    'src/kit/clock.ts': '',
  });
  assert.equal(found.length, allowed.length - 1);
  assert.ok(found.includes('scripts/tidy/layers.ts:0 store may import kit, and does not'));
  assert.ok(!found.some((text) => text.includes('api may import')));
});

test('faces: each module has one, named in package.json; no barrels', () => {
  const found = problems(checkFaces, {
    'src/store/store.ts': '',
    'src/client/client.ts': "export * from './informer.ts';\n",
    'src/proxy/nft.ts': '',
    'src/dns/dns.ts': '',
    'src/client/index.ts': '',
  });
  assert.deepEqual(found, [
    'src/proxy/proxy.ts:0 the face is missing',
    'package.json:0 imports must name #dns',
    'package.json:0 #proxy names ./src/proxy/proxy.ts, not there',
    'src/client/client.ts:0 no "export *"',
    'src/client/index.ts:0 no index files',
  ]);
});

test('cycles: imports of values only', () => {
  const found = problems(checkCycles, {
    'src/store/store.ts': "import { a } from './a.ts';\n",
    'src/store/a.ts': "import { b } from './b.ts';\nimport type { S } from './store.ts';\n",
    'src/store/b.ts': "import { type S, a } from './a.ts';\n",
    'src/store/c.ts': "import { type S } from './d.ts';\n",
    'src/store/d.ts': "import { c } from './c.ts';\nnew URL('./d.ts', import.meta.url);\n",
  });
  assert.deepEqual(found, [
    'src/store/a.ts:0 import cycle: src/store/a.ts -> src/store/b.ts -> src/store/a.ts',
  ]);
});

test('dead files: a file that only its own test imports is dead', () => {
  const found = problems(checkDeadFiles, {
    'src/main.ts': "import { run } from '#store';\n",
    'src/store/store.ts': "new Worker(new URL('./log.worker.js', import.meta.url));\n",
    'src/store/log.worker.js': "await import('./log-worker.ts');\n",
    'src/store/log-worker.ts': '',
    'src/store/old.ts': '',
    'src/store/old.test.ts': "import { old } from './old.ts';\n",
    'src/store/log.contract.ts': '',
    'src/store/log.test.ts': "import { contract } from './log.contract.ts';\n",
  });
  assert.deepEqual(found, ['src/store/old.ts:0 nothing imports this file']);
});

test('dead files: what other packages import is alive', () => {
  const texts = new Map([
    ['package.json', '{"exports":{"./testing":"./src/testing/testing.ts"}}'],
    ['src/testing/testing.ts', 'export function startCluster() {}\n'],
  ]);
  assert.deepEqual(checkDeadFiles(makeTree(texts)), []);
  assert.deepEqual(checkDeadExports(makeTree(texts)), []);
});

test('dead exports: what no other file names is not shown', () => {
  const found = problems(checkDeadExports, {
    'src/kit/rate.ts':
      'export const limits = {};\nexport function rate() {}\nexport async function slow() {}\n',
    'src/kit/rate.test.ts': "import { rate } from './rate.ts';\n",
    'src/kit/other.ts': 'const slow = 1;\n',
    'bench/server.ts': 'export function serve() {}\n',
    'bench/api.bench.ts': "start(new URL('./server.ts', import.meta.url));\n",
  });
  assert.deepEqual(found, ['src/kit/rate.ts:3 no other file takes slow: export it no longer']);
});

test('sizes: lines and columns', () => {
  const long = `const words = 1; // ${'word '.repeat(20)}`;
  const found = problems(checkSizes, {
    'src/kit/a.ts': `${'\n'.repeat(500)}x`,
    'src/kit/a.test.ts': `${'\n'.repeat(999)}x`,
    'src/kit/b.ts': `\n${long}`,
    'src/kit/c.ts': `const text =\n  '${'x'.repeat(120)}';`,
  });
  assert.deepEqual(found, [
    'src/kit/a.ts:500 501 lines, at most 500',
    'src/kit/b.ts:2 more than 100 columns',
  ]);
});

test('functions: of a file and of a class, to the brace at their end', () => {
  const body = (indent: string, lines: number): string => `${indent}run();\n`.repeat(lines);
  const found = problems(checkFunctions, {
    'src/kit/a.ts': `export async function fits(): void {\n${body('  ', 68)}}\n`,
    'src/kit/b.ts': `function long(\n  a: A,\n): void {\n${body('  ', 67)}}\n`,
    'src/kit/c.ts': `class C {\n  async #long(): void {\n${body('    ', 69)}  }\n}\n`,
    'src/kit/d.ts': `interface D {\n  one(\n    a: A,\n  ): B;\n${'  two(): B;\n'.repeat(80)}}\n`,
    'src/kit/e.test.ts': `function long(): void {\n${body('  ', 100)}}\n`,
  });
  assert.deepEqual(found, [
    'src/kit/b.ts:1 long has 71 lines, at most 70',
    'src/kit/c.ts:2 #long has 71 lines, at most 70',
  ]);
});

test('headers: every file says what it is', () => {
  const found = problems(checkHeaders, {
    'src/kit/a.ts': "import 'node:fs';\n",
    'src/kit/b.ts': '/** Short. */\n',
    'src/kit/b.test.ts': '/** Short. */\n',
    'src/kit/c.ts': `/**\n${' * more\n'.repeat(20)} */\n`,
    'src/kit/d.ts': '/**\n * What it is.\n */\n',
    'bin/x.js': '#!/usr/bin/env node\n// Entry.\n',
  });
  assert.deepEqual(found, [
    'src/kit/a.ts:1 no header comment',
    'src/kit/b.ts:1 a header comment of 1 lines',
    'src/kit/c.ts:1 a header comment of 22 lines',
  ]);
});

test('names: no drawers, kebab-case', () => {
  const found = problems(checkNames, {
    'src/kit/utils.ts': '',
    'src/store/shared/a.ts': '',
    'src/store/WatchHub.ts': '',
    'src/store/log.worker.js': '',
  });
  assert.deepEqual(found, [
    'src/kit/utils.ts:0 "utils" says nothing',
    'src/store/shared/a.ts:0 "shared" says nothing',
    'src/store/WatchHub.ts:0 "WatchHub.ts" is not kebab-case',
  ]);
});

test('words: no loose ends', () => {
  const found = problems(checkWords, {
    'src/kit/a.ts': '// FIXME later\n// TODO: more\n// TODO(#12) is tracked\n',
  });
  assert.deepEqual(found, [
    'src/kit/a.ts:1 FIXME: repair it or describe it as it is',
    'src/kit/a.ts:2 TODO: TODO needs an issue: TODO(#12)',
  ]);
});

test('purity: time and chance come in through deps', () => {
  const found = problems(checkPurity, {
    'src/store/a.ts': '// Math.random\nconst x = Math.random();\nconst y = Date.now();\n',
    'src/store/b.ts': "import { setTimeout } from 'node:timers/promises';\n",
    'src/store/c.ts': "new Date(ms).toISOString();\nlog(`uses randomUUID`, 'Math.random');\n",
    'src/kit/random.ts': 'Math.random();\n',
    'src/store/a.test.ts': 'Date.now();\n',
  });
  assert.deepEqual(found, [
    'src/store/a.ts:3 Date.now: time comes in through deps.clock',
    'src/store/a.ts:2 Math.random: chance comes in through deps.random',
    'src/store/b.ts:1 time comes in through deps.clock',
  ]);
});

test('surroundings: only the composition root reads settings and ends the process', () => {
  const found = problems(checkSurroundings, {
    'src/proxy/a.ts': "const home = process.env.HOME;\nprocess.on('SIGTERM', stop);\n",
    'src/cluster/a.ts': 'const home = process.env.HOME;\n',
    'src/main.ts': 'process.exitCode = 1;\n',
  });
  assert.deepEqual(found, [
    'src/proxy/a.ts:1 process.env: settings are read in main.ts and cluster/',
    'src/proxy/a.ts:2 process.on: signals and the exit are for main.ts',
  ]);
});

test('links: every document leads somewhere', () => {
  const found = problems(checkLinks, {
    'README.md': 'see [one](docs/one.md), [web](https://example.com) and [two](docs/two.md#part)\n',
    'docs/one.md': 'back to [readme](../README.md) by `src/kit/gone.ts` and `src/kit/here.ts:12`\n',
    'src/kit/here.ts': '',
  });
  assert.deepEqual(found, [
    'README.md:1 dead link docs/two.md',
    'docs/one.md:1 names src/kit/gone.ts, which is not there',
  ]);
});

test('named files: a comment names what is there', () => {
  const found = problems(checkNamedFiles, {
    'src/store/store.ts':
      '/** Read by `log.ts`, `kit/rate.ts`, `../kit/rate.ts`.\n * `gone.ts` writes. */',
    'src/store/log.ts': '// `store/rate.ts` is none.',
    'src/kit/rate.ts': '',
  });
  assert.deepEqual(found, [
    'src/store/store.ts:2 names gone.ts, which is not there',
    'src/store/log.ts:1 names store/rate.ts, which is not there',
  ]);
});

test('decisions: those that are named exist', () => {
  const found = problems(checkDecisions, {
    'docs/decisions/0003-yaml.md': '# 0003 Dependency: yaml',
    'src/kit/yaml.ts': '/** Decision 0003 says why,\n * and decision 9999 not. */',
  });
  assert.deepEqual(found, ['src/kit/yaml.ts:2 there is no decision 9999']);
});

test('dependencies: one importing file and a record each', () => {
  const yaml = "import { parse } from 'yaml';\n";
  assert.deepEqual(
    problems(checkDependencies, {
      'src/kit/yaml.ts': yaml,
      'src/cluster/settings/config.ts': `${yaml}import x from '@scope/left-pad/deep';\n`,
    }),
    [
      'src/cluster/settings/config.ts:1 only src/kit/yaml.ts imports yaml',
      'src/cluster/settings/config.ts:2 @scope/left-pad is not on the list of dependencies',
      'package.json:0 yaml has no decision record',
    ],
  );
  assert.deepEqual(problems(checkDependencies, { 'docs/decisions/0003-yaml.md': '' }), [
    'package.json:0 nothing imports yaml',
  ]);
});

test('lock file: the packages of all platforms are there', () => {
  const packages = {
    'node_modules/a': { optionalDependencies: { 'a-linux': '1', 'a-darwin': '1' } },
    'node_modules/a-linux': {},
  };
  assert.deepEqual(problems(checkLockFile, { 'package-lock.json': JSON.stringify({ packages }) }), [
    'package-lock.json:0 a-darwin is missing: npm ci would refuse the file',
  ]);
});

test('limits: the operator finds each in the list', () => {
  const found = problems(checkLimits, {
    'src/store/store.ts':
      'export const limits = {\n  /** not: this */\n  valueBytesMax: 1,\n  pageMax: 2,\n} as const;\n',
    'src/dns/dns.ts': 'export const limits = { nameBytesMax: 255, cacheMax: 1 } as const;\n',
    'src/dns/cache.ts': 'export const cacheLimits = { ageMs: 1 } as const;\n',
    'docs/operating.md': '| `valueBytesMax` | 1.5 MiB |\n| `cacheMax` | 1 |\n',
  });
  assert.deepEqual(found, [
    'src/store/store.ts:0 docs/operating.md does not list `pageMax`',
    'src/dns/dns.ts:0 docs/operating.md does not list `nameBytesMax`',
    'src/dns/cache.ts:0 docs/operating.md does not list `ageMs`',
  ]);
});

test('code without prose keeps its lines and columns', () => {
  const template = ['`$', "{h('`')} i` + j;"].join('');
  const text = `a('x // y'); // z\n/* b\n */ c = /['"]/g; d = e / f / g; ${template}\n`;
  const code = codeOnly(text);
  assert.equal(code.length, text.length);
  assert.equal(code.replaceAll(/ +/g, ' '), 'a( ); \n \n c = g; d = e / f / g; + j;\n');
});
