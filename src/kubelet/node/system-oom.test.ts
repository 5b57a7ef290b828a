/** Whom the kernel killed for the machine, and whom for a limit. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { OomReader, systemOomMessage, type Victim } from './system-oom.ts';

function victims(...lines: readonly string[]): readonly Victim[] {
  const reader = new OomReader();
  return lines.flatMap((line) => reader.read(line) ?? []);
}

const begin = 'stress invoked oom-killer: gfp_mask=0xcc0(GFP_KERNEL), order=0, oom_score_adj=0';
const ofLimit =
  'oom-kill:constraint=CONSTRAINT_MEMCG,nodemask=(null),cpuset=2a7a,mems_allowed=0,' +
  'oom_memcg=/kubepods/burstable/podu1,task_memcg=/kubepods/burstable/podu1/c1,task=tail,pid=15356,uid=0';
const ofMachine =
  'oom-kill:constraint=CONSTRAINT_NONE,nodemask=(null),cpuset=/,mems_allowed=0,global_oom,' +
  'task_memcg=/kubepods/besteffort/podu2/c2,task=stress,pid=4481,uid=0';
const numbers = 'total-vm:26168kB, anon-rss:24064kB, file-rss:1264kB';

test('one who was killed since the machine had no memory left is told of', () => {
  const killed = `Out of memory: Killed process 4481 (stress) ${numbers}`;
  const [victim] = victims(begin, 'Call Trace:', ofMachine, killed);
  assert.deepEqual(victim, { name: 'stress', pid: '4481' });
  const message = 'System OOM encountered, victim process: stress, pid: 4481';
  assert.equal(victim && systemOomMessage(victim), message);
  // As kernels before 5.0 say it.
  const old = 'Killed process 4481 (stress) total-vm:1kB';
  assert.equal(victims(begin, old).length, 1);
  assert.equal(victims(begin, 'Task in /a/b killed as a result of limit of /', old).length, 1);
});

test('who had a limit of his own is not, nor what nobody began', () => {
  const killed = `Memory cgroup out of memory: Killed process 15356 (tail) ${numbers}`;
  assert.deepEqual(victims(begin, ofLimit, killed), []);
  const old = 'Task in /kubepods/podu1/c1 killed as a result of limit of /kubepods/podu1';
  assert.deepEqual(victims(begin, old, 'Killed process 15356 (tail) total-vm:1kB'), []);
  assert.deepEqual(victims(killed, ofMachine, 'eth0: link becomes ready'), []);
  // One after the other, each by itself.
  const second = `Out of memory: Killed process 7 (web (1)) ${numbers}`;
  const all = victims(begin, ofLimit, killed, begin, ofMachine, second);
  assert.deepEqual(
    all.map(({ pid }) => pid),
    ['7'],
  );
});
