/**
 * Certificates in upstream's files, for a kubelet that others have set up or will look after:
 * certificate and key together in `<folder>/NAME-TIME.pem`, and a link `NAME-current.pem` to the
 * newest. Called by `kubelet-command.ts`.
 */
import {
  existsSync,
  mkdirSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import type { KeyPair } from '#kit/x509.ts';

export class CertificateStore {
  readonly #folder: string;
  readonly #name: string;

  constructor(folder: string, name: 'kubelet-client' | 'kubelet-server') {
    this.#folder = folder;
    this.#name = name;
  }

  get currentPath(): string {
    return join(this.#folder, `${this.#name}-current.pem`);
  }

  read(): KeyPair | undefined {
    if (!existsSync(this.currentPath)) return undefined;
    const text = readFileSync(this.currentPath, 'utf8');
    const blocks = text.match(/-----BEGIN ([A-Z ]+)-----[^-]*-----END \1-----\n?/g) ?? [];
    const isKey = (block: string): boolean => /^-----BEGIN [A-Z ]*PRIVATE KEY/.test(block);
    const [cert, key] = [blocks.filter((block) => !isKey(block)).join(''), blocks.find(isKey)];
    return cert === '' || key === undefined ? undefined : { cert, key };
  }

  write({ cert, key }: KeyPair, nowMs: number): void {
    mkdirSync(this.#folder, { recursive: true, mode: 0o700 });
    // `2026-11-21-12-45-29`, as upstream names them.
    const time = new Date(nowMs).toISOString().slice(0, 19).replaceAll(/[T:]/g, '-');
    const path = join(this.#folder, `${this.#name}-${time}.pem`);
    writeFileSync(path, `${cert.trimEnd()}\n${key.trimEnd()}\n`, { mode: 0o600 });
    const link = `${this.currentPath}.new`;
    rmSync(link, { force: true });
    symlinkSync(path, link);
    renameSync(link, this.currentPath);
  }
}
