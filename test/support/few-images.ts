/**
 * A folder with the smallest of the example images alone, for clusters of tests whose nodes load
 * what is there at their start and need no other. Removed when it is disposed of.
 */
import { mkdtempSync, readdirSync, rmSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';

export function onlyBusybox(): Disposable & { readonly path: string } {
  const all = resolve(process.env['CORACLE_IMAGES'] ?? '.cache/images');
  const path = mkdtempSync(join(tmpdir(), 'coracle-e2e-'));
  for (const name of readdirSync(all)) {
    if (name.startsWith('busybox-')) symlinkSync(join(all, name), join(path, name));
  }
  return { path, [Symbol.dispose]: () => rmSync(path, { recursive: true }) };
}
