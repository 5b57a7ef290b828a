/**
 * Every manifest that the documents print, which are of v1.8, is accepted or refused as by
 * upstream's kube-apiserver v1.36: status, reason and message. `test/manifests/` holds them with
 * what upstream said (`scripts/manifests.ts`); where we differ, and why, is a list there.
 */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import type { Catalog } from '#api/catalog.ts';
import { formatGroupVersion, parseGroupVersion } from '#api/object.ts';
import { openTestServer } from '#test/fixtures.ts';
import { distinct, extractManifests } from '../manifests/extract.ts';
import {
  type FindPlace,
  type KindPlace,
  prepareNamespaces,
  type RecordedManifest,
  rehearse,
} from '../manifests/rehearse.ts';

const folder = new URL('../manifests/', import.meta.url);
const { signal } = new AbortController();

function readManifests(): readonly RecordedManifest[] {
  const text = readFileSync(new URL('manifests.jsonl', folder), 'utf8');
  return text
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line));
}

function readDifferences(): Readonly<Record<string, string>> {
  return JSON.parse(readFileSync(new URL('differences.json', folder), 'utf8'));
}

/** Where our server creates a kind in one version. */
function placeIn(catalog: Catalog, apiVersion: string, kind: string): KindPlace | undefined {
  const served = catalog.findKind(parseGroupVersion(apiVersion), kind);
  if (served === undefined) return undefined;
  const { plural, namespaced } = served.resource;
  return { apiVersion: formatGroupVersion(served.view), plural, namespaced };
}

test('manifests are accepted, or refused with the reason of upstream', async () => {
  await using server = await openTestServer();
  const { transport, catalog } = server;
  const manifests = readManifests();
  const differences = readDifferences();
  const sentAs = new Map(manifests.map(({ object, sentAs: version }) => [object, version]));
  let current: RecordedManifest | undefined;
  // The version in which upstream got it; none where upstream has no such kind.
  const findPlace: FindPlace = (apiVersion, kind) => {
    const version = current === undefined ? undefined : sentAs.get(current.object);
    return version === null ? undefined : placeIn(catalog, version ?? apiVersion, kind);
  };
  const deps = { transport, findPlace, signal };
  await prepareNamespaces(deps, manifests);
  const differing: object[] = [];
  for (const manifest of manifests) {
    current = manifest;
    const { id, object, outcome } = manifest;
    const ours = (await rehearse(deps, manifest)).outcome;
    if (JSON.stringify(ours) === JSON.stringify(outcome) || id in differences) continue;
    differing.push({ id, kind: object['kind'], ours, theirs: outcome });
  }
  assert.deepEqual(differing, []);
  assert.ok(manifests.length > 300);
  for (const id of Object.keys(differences)) {
    assert.ok(
      manifests.some((manifest) => manifest.id === id),
      `there is no ${id}`,
    );
  }
});

test('manifests in versions of their time are taken in these versions', async () => {
  await using server = await openTestServer({ options: { legacyVersions: true } });
  const { transport, catalog } = server;
  const manifests = readManifests();
  const deps = {
    transport,
    findPlace: (apiVersion: string, kind: string) => placeIn(catalog, apiVersion, kind),
    signal,
  };
  await prepareNamespaces(deps, manifests);
  const refused: string[] = [];
  let taken = 0;
  for (const manifest of manifests) {
    if (typeof manifest.sentAs !== 'string') continue;
    const { outcome } = await rehearse(deps, manifest);
    if (outcome?.code === 201) taken += 1;
    else refused.push(manifest.id);
  }
  assert.deepEqual(
    refused.filter((id) => !(id in refusedInTheirTime)),
    [],
  );
  assert.ok(taken > 40, `${taken} of another version`);
});

const noName = 'the document leaves the name out';
const noContainers = 'broken indentation: the pod has no containers, or no labels';
const noVersion = 'the document names a version in which the kind never was';
const refusedInTheirTime: Readonly<Record<string, string>> = {
  '003:16373': 'the document leaves the image out',
  '003:17402': noVersion,
  '003:28722': noVersion,
  '003:30066': 'autoscaling/v2beta1 is not served',
  '003:30133': 'autoscaling/v2beta1 is not served',
  '003:34308': 'broken indentation: the selector is empty',
  '003:36241': 'CustomResourceDefinitions are served in v1 only',
  '003:36392': 'CustomResourceDefinitions are served in v1 only',
  '003:36665': 'CustomResourceDefinitions are served in v1 only',
  '003:36900': 'the document stands for the request with a shell command',
  '003:44488': noName,
  '003:44652': noName,
  '003:47575': noName,
  '003:47652': noName,
  '003:47768': noName,
  '003:47814': noName,
  '003:48032': noName,
  '003:48292': noContainers,
  '003:50324.3': noContainers,
  '003:50658': noContainers,
  '003:51310.3': noContainers,
  '003:51411.3': noContainers,
  '003:51675': noContainers,
  '003:52005.3': noContainers,
};

test('blocks of a document: several objects, a shell around them, what is no manifest', () => {
  const text = [
    'prose',
    '```',
    '$ cat <<EOF | kubectl create -f -',
    'apiVersion: v1',
    'kind: ConfigMap',
    'metadata: {name: a}',
    'EOF',
    '$ kubectl get configmaps',
    '```',
    '```',
    '---',
    'apiVersion: v1',
    'kind: List',
    'items:',
    '- {apiVersion: v1, kind: Secret}',
    '- {kind: Nothing}',
    '---',
    '{"apiVersion": "v1", "kind": "Pod"}',
    '```',
    '```',
    'apiVersion: v1',
    'kind: Broken: [',
    '```',
  ].join('\n');
  const found = extractManifests('000', text);
  assert.deepEqual(
    found.map(({ id, object }) => `${id} ${object['kind']}`),
    ['000:3 ConfigMap', '000:11 Secret', '000:11.2 Pod'],
  );
  assert.equal(distinct([...found, ...found]).length, 3);
});
