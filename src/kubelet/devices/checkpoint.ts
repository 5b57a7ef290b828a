/**
 * A file that survives a crash: written beside, then renamed, with a checksum over its data.
 *
 * What does not read well is as if it were not there: the caller begins anew and the damage is
 * logged. The device manager and the claims of dynamic resources keep what they gave in it.
 */
import { mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { crc32 } from 'node:zlib';
import type { Logger } from '#kit/log.ts';

export class Checkpoint<T> {
  readonly #path: string;
  readonly #log: Logger;

  constructor(path: string, log: Logger) {
    this.#path = path;
    this.#log = log;
  }

  read(): T | undefined {
    let text: string;
    try {
      text = readFileSync(this.#path, 'utf8');
    } catch {
      // There is none: nothing was given yet.
      return undefined;
    }
    try {
      const { Data, Checksum }: { Data: string; Checksum: number } = JSON.parse(text);
      // Only what this class wrote has the right checksum.
      if (crc32(Data) === Checksum) return JSON.parse(Data);
      this.#log.error('a checkpoint is damaged, going on without', { path: this.#path });
    } catch (error) {
      this.#log.error('a checkpoint cannot be read, going on without', { path: this.#path, error });
    }
    return undefined;
  }

  write(data: T): void {
    const text = JSON.stringify(data);
    mkdirSync(dirname(this.#path), { recursive: true });
    const beside = `${this.#path}.new`;
    writeFileSync(beside, JSON.stringify({ Data: text, Checksum: crc32(text) }), { mode: 0o600 });
    renameSync(beside, this.#path);
  }
}
