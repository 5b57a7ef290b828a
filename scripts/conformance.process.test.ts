/** The list of passing conformance tests, with a small program in place of the real suite. */
import assert from 'node:assert/strict';
import { chmodSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { commandLine, compare, parseJUnit, runConformance } from './conformance.ts';

const report = `<?xml version="1.0" encoding="UTF-8"?>
<testsuites><testsuite name="Kubernetes e2e suite">
<testcase name="[SynchronizedBeforeSuite]" status="passed" time="1"></testcase>
<testcase name="[It] [sig-apps] Deployment should &#34;roll&#34; &amp; end" status="passed" time="2">
  <system-err>with &lt;failure&gt; in its text</system-err></testcase>
<testcase name="[It] [sig-node] Pods should run" status="failed" time="2">
  <failure message="no" type="failed">text</failure></testcase>
<testcase name="[It] [sig-node] Pods timed out [sig-node, Conformance]" status="timedout" time="2"></testcase>
<testcase name="[It] [sig-storage] Volumes" status="skipped"><skipped message="x">
  </skipped></testcase>
<testcase name="[It] [sig-cli] pending" status="pending"/>
<testcase name="[It] [sig-cli] no nodes" status="skipped">
  <skipped message="skipped - needs two nodes"></skipped></testcase>
</testsuite></testsuites>`;

test('a JUnit report is read as Ginkgo writes it', () => {
  assert.deepEqual(parseJUnit(report), [
    { name: '[sig-apps] Deployment should "roll" & end', status: 'passed' },
    { name: '[sig-node] Pods should run', status: 'failed' },
    { name: '[sig-node] Pods timed out', status: 'failed' },
    { name: '[sig-storage] Volumes', status: 'not chosen' },
    { name: '[sig-cli] pending', status: 'not chosen' },
    { name: '[sig-cli] no nodes', status: 'skipped' },
  ]);
});

test('the list only grows and a listed failure is a regression', () => {
  const list = ['b', 'c', 'y', 'z'];
  const cases = [
    { name: 'a', status: 'passed' },
    { name: 'b', status: 'passed' },
    { name: 'c', status: 'failed' },
    { name: 'd', status: 'failed' },
    { name: 'x', status: 'skipped' },
    { name: 'y', status: 'skipped' },
    { name: 'z', status: 'not chosen' },
  ] as const;
  assert.deepEqual(compare(list, cases), {
    list: ['a', 'b', 'c', 'y', 'z'],
    added: ['a'],
    regressions: ['c', 'y'],
    otherFailures: ['d'],
  });
});

test('several tests at a time run through ginkgo, with a limit', () => {
  const options = { suite: '/s/e2e.test', focus: 'Pods', skip: 'Slow', kubeconfig: '/k' };
  const alone = commandLine({ ...options, limit: '9m' }, '/r/junit.xml');
  assert.equal(alone.command, '/s/e2e.test');
  assert.ok(alone.args.includes('--ginkgo.timeout=9m'));
  const parallel = { ginkgo: '/g/ginkgo', procs: '3' };
  const { command, args } = commandLine({ ...options, parallel }, '/r/junit.xml');
  assert.equal(command, '/g/ginkgo');
  assert.deepEqual(args, [
    '--no-color',
    '--focus=Pods',
    '--skip=Slow',
    '--procs=3',
    '--output-dir=/r',
    '--junit-report=junit.xml',
    '/s/e2e.test',
    '--',
    '--kubeconfig=/k',
    '--provider=skeleton',
  ]);
});

test('a run of the suite adds what passes and fails on what passed before', async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'coracle-fake-suite-'));
  t.after(() => rmSync(folder, { recursive: true }));
  const suite = join(folder, 'e2e.test');
  const list = join(folder, 'passing.txt');
  writeFileSync(join(folder, 'report.xml'), report);
  writeFileSync(
    suite,
    `#!/bin/sh
for arg; do case $arg in --ginkgo.junit-report=*) cp ${folder}/report.xml "\${arg#*=}";; esac; done
echo "$@" > ${folder}/arguments
exit 1\n`,
  );
  chmodSync(suite, 0o755);
  const options = { suite, focus: 'Pods', skip: undefined, kubeconfig: '/nowhere/kubeconfig' };
  t.mock.method(console, 'log', () => {});

  writeFileSync(list, '[sig-storage] Volumes\n');
  assert.equal(await runConformance(options, list), true);
  const grown = '[sig-apps] Deployment should "roll" & end\n[sig-storage] Volumes\n';
  assert.equal(readFileSync(list, 'utf8'), grown);
  const said = readFileSync(join(folder, 'arguments'), 'utf8');
  assert.match(said, /--kubeconfig=\/nowhere\/kubeconfig .*--ginkgo\.focus=Pods /);

  writeFileSync(list, '[sig-node] Pods should run\n');
  assert.equal(await runConformance(options, list), false);

  writeFileSync(join(folder, 'report.xml'), '<testsuites></testsuites>');
  assert.equal(await runConformance(options, list), false, 'a run of nothing proves nothing');
});
