/**
 * The manifests that the documents print, and what upstream says to each: `test/manifests/`.
 *
 *   npm run manifests -- FOLDER        takes them out of the texts in a folder
 *   npm run manifests -- --server URL --token T --ca FILE
 *                                      records what a server says to each
 *
 * The server is upstream's kube-apiserver v1.36, fresh, with the address range of our tests
 * (`--service-cluster-ip-range 10.43.0.0/16`). `test/component/manifests.test.ts` compares ours.
 */
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { openHttpTransport } from '#client';
import type { Transport } from '#kit/transport.ts';
import { distinct, extractManifests, type Manifest } from '../test/manifests/extract.ts';
import {
  type FindPlace,
  type KindPlace,
  prepareNamespaces,
  type RecordedManifest,
  rehearse,
} from '../test/manifests/rehearse.ts';

const target = new URL('../test/manifests/manifests.jsonl', import.meta.url);
const { signal } = new AbortController();

function extract(folder: string): void {
  const files = readdirSync(folder).filter((name) => name.endsWith('.txt'));
  const manifests = files
    .sort()
    .flatMap((name) =>
      extractManifests(name.slice(0, 3), readFileSync(join(folder, name), 'utf8')),
    );
  const kept = distinct(manifests);
  write(kept.map((manifest) => ({ ...manifest, outcome: null })));
  console.log(`${manifests.length} manifests, ${kept.length} of them different`);
}

async function record(transport: Transport): Promise<void> {
  const manifests: readonly Manifest[] = readFileSync(target, 'utf8')
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line));
  const findPlace = await discover(transport);
  const deps = { transport, findPlace, signal };
  await prepareNamespaces(deps, manifests);
  const recorded: RecordedManifest[] = [];
  for (const { id, object } of manifests) {
    recorded.push({ id, object, ...(await rehearse(deps, { id, object })) });
  }
  write(recorded);
  const accepted = recorded.filter(({ outcome }) => outcome?.code === 201).length;
  const unknown = recorded.filter(({ outcome }) => outcome === null).length;
  console.log(`${recorded.length}: ${accepted} accepted, ${unknown} of kinds that are not there`);
}

interface Discovered {
  readonly items: readonly {
    readonly metadata: { readonly name?: string };
    readonly versions: readonly {
      readonly version: string;
      readonly resources: readonly {
        readonly resource: string;
        readonly responseKind: { readonly kind: string };
        readonly scope: string;
      }[];
    }[];
  }[];
}

async function discover(transport: Transport): Promise<FindPlace> {
  const accept = 'application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList';
  const places: (KindPlace & { readonly kind: string })[] = [];
  for (const path of ['/api', '/apis']) {
    const request = { method: 'GET', path, headers: { accept } };
    const { body } = await transport.send(request, { signal });
    const parts: Uint8Array[] = [];
    if (body instanceof Uint8Array) parts.push(body);
    else for await (const part of body) parts.push(part);
    const { items }: Discovered = JSON.parse(Buffer.concat(parts).toString('utf8'));
    for (const { metadata, versions } of items) {
      for (const { version, resources } of versions) {
        const group = metadata.name ?? '';
        const apiVersion = group === '' ? version : `${group}/${version}`;
        for (const { resource, responseKind, scope } of resources) {
          const namespaced = scope === 'Namespaced';
          places.push({ kind: responseKind.kind, apiVersion, plural: resource, namespaced });
        }
      }
    }
  }
  return (apiVersion, kind) => {
    const found = places.filter((place) => place.kind === kind);
    return found.find((place) => place.apiVersion === apiVersion) ?? found[0];
  };
}

function write(manifests: readonly RecordedManifest[]): void {
  writeFileSync(target, manifests.map((manifest) => `${JSON.stringify(manifest)}\n`).join(''));
}

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    server: { type: 'string' },
    token: { type: 'string' },
    ca: { type: 'string' },
  },
});
const [folder] = positionals;
if (folder !== undefined) extract(folder);
else if (values.server !== undefined) {
  const ca = values.ca === undefined ? undefined : readFileSync(values.ca, 'utf8');
  using transport = openHttpTransport({ server: values.server, token: values.token, ca });
  await record(transport);
} else throw new Error('usage: npm run manifests -- FOLDER | --server URL');
