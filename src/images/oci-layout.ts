/**
 * An image as an OCI layout in one tar file: gzip layers, a config, a manifest, and an index whose
 * annotations carry the full reference, which is what `ctr images import` names the image after.
 *
 * The bytes depend only on the input, so building twice gives the same digests. Layers come as
 * entries (`tar.ts`) or as a folder that is read here. Called by `images.ts`.
 */
import { createHash } from 'node:crypto';
import { lstat, mkdir, readdir, readFile, readlink, rename, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { promisify } from 'node:util';
import { gzip } from 'node:zlib';
import { type Entry, formatTar } from './tar.ts';

/** A folder whose content becomes the layer, or the entries themselves. */
export type Layer = string | readonly Entry[];

/** What the image runs by default; field names as in the OCI image configuration. */
export interface ImageConfig {
  readonly Entrypoint?: readonly string[];
  readonly Cmd?: readonly string[];
  readonly Env?: readonly string[];
  readonly ExposedPorts?: Readonly<Record<string, Readonly<Record<string, never>>>>;
  readonly User?: string;
  readonly WorkingDir?: string;
  readonly StopSignal?: string;
  readonly Labels?: Readonly<Record<string, string>>;
}

export type Architecture = 'amd64' | 'arm64';

export interface LayoutOptions {
  readonly layers: readonly Layer[];
  /** With a tag and a host part: `localhost/busybox:1.35`. */
  readonly reference: string;
  readonly config: ImageConfig;
  readonly architecture: Architecture;
  /** The tar file to write; appears whole or not at all. */
  readonly outputPath: string;
}

interface Descriptor {
  readonly mediaType: string;
  readonly digest: string;
  readonly size: number;
}

const mediaTypes = {
  layer: 'application/vnd.oci.image.layer.v1.tar+gzip',
  config: 'application/vnd.oci.image.config.v1+json',
  manifest: 'application/vnd.oci.image.manifest.v1+json',
  index: 'application/vnd.oci.image.index.v1+json',
} as const;

/** Writes the image; answers the manifest's digest. */
export async function writeLayout(options: LayoutOptions): Promise<string> {
  const { reference, config, architecture, outputPath } = options;
  const blobs = new Map<string, Uint8Array>();
  const put = (mediaType: string, content: Uint8Array): Descriptor => {
    const hex = sha256(content);
    blobs.set(hex, content);
    return { mediaType, digest: `sha256:${hex}`, size: content.length };
  };
  const putJson = (mediaType: string, value: object): Descriptor =>
    put(mediaType, Buffer.from(JSON.stringify(value)));

  const diffIds: string[] = [];
  const layers: Descriptor[] = [];
  for (const layer of options.layers) {
    const plain = formatTar(typeof layer === 'string' ? await readFolder(layer) : layer);
    diffIds.push(`sha256:${sha256(plain)}`);
    layers.push(put(mediaTypes.layer, await promisify(gzip)(plain, { level: 6 })));
  }
  const platform = { architecture, os: 'linux' };
  const created = '1970-01-01T00:00:00Z';
  const configDescriptor = putJson(mediaTypes.config, {
    created,
    ...platform,
    config,
    rootfs: { type: 'layers', diff_ids: diffIds },
    history: diffIds.map(() => ({ created, created_by: 'coracle image build' })),
  });
  const manifest = putJson(mediaTypes.manifest, {
    schemaVersion: 2,
    mediaType: mediaTypes.manifest,
    config: configDescriptor,
    layers,
  });
  const annotations = {
    'io.containerd.image.name': reference,
    'org.opencontainers.image.ref.name': reference.slice(reference.lastIndexOf(':') + 1),
  };
  const index = {
    schemaVersion: 2,
    mediaType: mediaTypes.index,
    manifests: [{ ...manifest, platform, annotations }],
  };
  await writeWhole(outputPath, formatTar(layoutEntries(index, blobs)));
  return manifest.digest;
}

function layoutEntries(index: object, blobs: ReadonlyMap<string, Uint8Array>): Entry[] {
  const file = (name: string, content: Uint8Array): Entry => ({
    kind: 'file',
    path: name,
    mode: 0o644,
    content,
  });
  return [
    file('oci-layout', Buffer.from('{"imageLayoutVersion":"1.0.0"}')),
    file('index.json', Buffer.from(JSON.stringify(index))),
    { kind: 'directory', path: 'blobs', mode: 0o755 },
    { kind: 'directory', path: 'blobs/sha256', mode: 0o755 },
    ...Array.from(blobs, ([hex, content]) => file(`blobs/sha256/${hex}`, content)),
  ];
}

/** Everything below the folder; all of it belongs to root. */
async function readFolder(root: string): Promise<Entry[]> {
  const entries: Entry[] = [];
  const visit = async (relative: string): Promise<void> => {
    const names = await readdir(path.join(root, relative));
    for (const name of names) {
      const at = relative === '' ? name : `${relative}/${name}`;
      const full = path.join(root, at);
      const info = await lstat(full);
      const mode = info.mode & 0o7777;
      if (info.isDirectory()) {
        entries.push({ kind: 'directory', path: at, mode });
        await visit(at);
      } else if (info.isSymbolicLink()) {
        entries.push({ kind: 'symlink', path: at, mode: 0o777, target: await readlink(full) });
      } else if (info.isFile()) {
        entries.push({ kind: 'file', path: at, mode, content: await readFile(full) });
      }
    }
  };
  await visit('');
  return entries;
}

async function writeWhole(outputPath: string, content: Uint8Array): Promise<void> {
  await mkdir(path.dirname(outputPath), { recursive: true });
  const partial = `${outputPath}.partial-${process.pid}`;
  await writeFile(partial, content);
  await rename(partial, outputPath);
}

function sha256(content: Uint8Array): string {
  return createHash('sha256').update(content).digest('hex');
}
