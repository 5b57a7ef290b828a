/** Which packages are needed, from the text that apt-cache prints. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { packageClosure, parseDepends } from './debian-rootfs.ts';

const text = `server
  PreDepends: base
 |Depends: chosen
  Depends: <virtual-thing>
    other
  Depends: <mail-agent>
    postfix
    exim
  Depends: library:any
base
  Depends: libgcc
<virtual-thing>
other
chosen
  Depends: gcc-12-base
library
  Depends: base
postfix
  Depends: debconf
exim
debconf
  Depends: perl
perl
gcc-12-base
libgcc
`;

test('the output of apt-cache becomes alternatives per dependency', () => {
  const graph = parseDepends(text);
  assert.deepEqual(graph.get('server'), [
    ['base'],
    ['chosen', 'other'],
    ['postfix', 'exim'],
    ['library'],
  ]);
  assert.deepEqual(graph.get('exim'), []);
});

test('the closure takes the first alternative and leaves out what is not wanted', () => {
  const graph = parseDepends(text);
  const all = packageClosure(graph, { roots: ['server'], omit: ['debconf'] });
  assert.deepEqual(all, ['base', 'chosen', 'libgcc', 'library', 'postfix', 'server']);
  const withExim = packageClosure(graph, { roots: ['exim', 'server'], omit: [] });
  assert.ok(!withExim.includes('postfix'), 'what is there already satisfies');
});
