/** Pages of programs do not count as what a process keeps, everything else does. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ownKiB } from './own-memory.ts';

const mapping = (head: string, pss: number, anonymous: number): string =>
  [
    head,
    'Size:                900 kB',
    `Pss:                 ${pss} kB`,
    `Pss_Dirty:           ${anonymous} kB`,
    `Anonymous:           ${anonymous} kB`,
    'VmFlags: rd ex mr mw me sd',
    '',
  ].join('\n');

const program = '08:01 131 /usr/bin/containerd';

test('of a program only what was written to counts', () => {
  const smaps = [
    mapping(`00400000-01a00000 r-xp 00000000 ${program}`, 9000, 0),
    mapping(`01a00000-02900000 r--p 01600000 ${program}`, 7000, 0),
    mapping(`02900000-02a00000 rw-p 02500000 ${program}`, 300, 200),
  ];
  assert.equal(ownKiB(smaps.join('')), 200);
});

test('heaps, code that was made, stacks and mapped data count', () => {
  const smaps = [
    mapping('2c949000-353b9000 rw-p 00000000 00:00 0                  [heap]', 5000, 5000),
    mapping('7fc016800000-7fc036000000 rwxp 00000000 00:00 0 ', 400, 400),
    mapping('7ffd5a000000-7ffd5a100000 rw-p 00000000 00:00 0          [stack]', 30, 30),
    mapping('7fbb00000000-7fbb01000000 r--s 00000000 08:01 77 /data/meta.db', 1500, 0),
    mapping('7fbb02000000-7fbb03000000 rw-s 00000000 00:05 9 /dev/shm/a (deleted)', 64, 0),
  ];
  assert.equal(ownKiB(smaps.join('')), 6994);
});
