/** Tar archives, read back by a reader of the test's own. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type Entry, formatTar } from './tar.ts';

const file = (path: string, text: string, mode = 0o644): Entry => ({
  ...{ kind: 'file', path, mode, content: Buffer.from(text) },
});

interface Read {
  readonly path: string;
  readonly mode: string;
  readonly flag: string;
  readonly target: string;
  readonly text: string;
}

/** A reader of its own, so that the writer is not checked by itself. */
function read(archive: Buffer): readonly Read[] {
  const entries: Read[] = [];
  const text = (at: number, length: number) =>
    archive.toString('latin1', at, at + length).split('\u0000')[0] ?? '';
  for (let at = 0; at < archive.length && archive[at] !== 0; ) {
    const header = archive.subarray(at, at + 512);
    const blanked = Buffer.from(header).fill(0x20, 148, 156);
    const sum = blanked.reduce((total, byte) => total + byte, 0);
    assert.equal(Number.parseInt(text(at + 148, 8), 8), sum, 'the checksum of the header');
    const size = Number.parseInt(text(at + 124, 12), 8);
    entries.push({
      path: text(at, 100),
      mode: text(at + 100, 8),
      flag: text(at + 156, 1),
      target: text(at + 157, 100),
      text: archive.toString('utf8', at + 512, at + 512 + size),
    });
    at += 512 + Math.ceil(size / 512) * 512;
  }
  return entries;
}

test('entries come back as they were, in the order of their paths', () => {
  const entries: Entry[] = [
    file('etc/passwd', 'root\n'),
    { kind: 'directory', path: 'etc', mode: 0o755 },
    { kind: 'symlink', path: 'bin/sh', mode: 0o777, target: 'busybox' },
    { kind: 'directory', path: 'tmp', mode: 0o1777 },
  ];
  const archive = formatTar(entries);
  assert.equal(archive.length % 512, 0);
  assert.deepEqual(read(archive), [
    { path: 'bin/sh', mode: '0000777', flag: '2', target: 'busybox', text: '' },
    { path: 'etc/', mode: '0000755', flag: '5', target: '', text: '' },
    { path: 'etc/passwd', mode: '0000644', flag: '0', target: '', text: 'root\n' },
    { path: 'tmp/', mode: '0001777', flag: '5', target: '', text: '' },
  ]);
  assert.deepEqual(formatTar(entries.toReversed()), archive, 'whatever their order');
});

test('long and foreign paths are announced by a record that counts itself', () => {
  const long = `${'folder/'.repeat(15)}name`;
  const foreign = 'straße';
  const [announced, , second] = read(formatTar([file(long, 'x'), file(foreign, 'y')]));
  assert.equal(announced?.flag, 'x');
  assert.equal(announced?.text, `${announced?.text.length} path=${long}\n`);
  assert.match(second?.text ?? '', new RegExp(`^\\d+ path=${foreign}\n$`));
  assert.equal(Buffer.byteLength(second?.text ?? ''), Number.parseInt(second?.text ?? '', 10));
});

test('two entries with one path are a mistake', () => {
  assert.throws(() => formatTar([file('a', 'x'), file('a', 'y')]), /two entries/);
});
