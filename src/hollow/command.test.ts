/** Commands whose end is plain are known to end; nothing else is guessed at. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { endOf } from './command.ts';

const end = (...command: string[]) => endOf({ name: 'c', command });

test('plain commands end when and as they say', () => {
  assert.deepEqual(end('sleep', '5'), { afterMs: 5000, code: 0 });
  assert.deepEqual(end('/bin/true'), { afterMs: 0, code: 0 });
  assert.deepEqual(end('/bin/false'), { afterMs: 0, code: 1 });
  assert.deepEqual(end('/bin/sh', '-c', 'exit 1'), { afterMs: 0, code: 1 });
  assert.deepEqual(end('sh', '-c', 'echo hi && sleep 2; exit 3'), { afterMs: 2000, code: 3 });
  assert.deepEqual(endOf({ name: 'c', command: ['sleep'], args: ['1'] }), {
    afterMs: 1000,
    code: 0,
  });
});

test('what is not plain goes on', () => {
  assert.equal(endOf({ name: 'c' }), undefined);
  assert.equal(end('nginx'), undefined);
  assert.equal(end('sh', '-c', 'exit $(( $RANDOM / 16384 ))'), undefined);
  assert.equal(end('sh', '-c', 'while true; do date; sleep 1; done'), undefined);
  assert.equal(end('sh', '-c', 'test -f /x && exit 0'), undefined);
  assert.equal(end('sleep', 'infinity'), undefined);
});
