/** Discovery says of each kind what upstream says: names, verbs, scope, sub-resources. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { openTestServer } from '#test/fixtures.ts';
import { type UpstreamResource, upstreamDiscovery } from '#test/upstream-discovery.ts';

/** Groups that are to be complete; those of later work are not here. */
const groups = [
  'rbac.authorization.k8s.io',
  'networking.k8s.io',
  'storage.k8s.io',
  'node.k8s.io',
  'certificates.k8s.io',
  'coordination.k8s.io',
  'discovery.k8s.io',
  'events.k8s.io',
  'admissionregistration.k8s.io',
  'flowcontrol.apiserver.k8s.io',
  'resource.k8s.io',
];

interface Shown extends Omit<UpstreamResource, 'kind' | 'subresources'> {
  readonly responseKind: { readonly kind: string };
  readonly subresources?: readonly {
    readonly subresource: string;
    readonly responseKind: { readonly kind: string };
    readonly verbs: readonly string[];
  }[];
}

function factsOf({ responseKind, subresources = [], ...shown }: Shown): UpstreamResource {
  return {
    ...shown,
    kind: responseKind.kind,
    shortNames: shown.shortNames ?? [],
    categories: shown.categories ?? [],
    subresources: subresources.map(({ subresource, responseKind: of, verbs }) => ({
      subresource,
      kind: of.kind,
      verbs,
    })),
  };
}

const inOrder = (list: readonly UpstreamResource[]): readonly UpstreamResource[] =>
  list.toSorted((a, b) => (a.resource < b.resource ? -1 : 1));

test('groups hold the kinds that upstream serves, with the same facts', async () => {
  await using server = await openTestServer();
  const accept = 'application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList';
  const { body } = await server.request('GET', '/apis', undefined, { headers: { accept } });
  const upstream = upstreamDiscovery();
  for (const name of groups) {
    const group = body.items.find((item: { metadata: { name: string } }) => {
      return item.metadata.name === name;
    });
    assert.deepEqual(
      group?.versions.map(({ version }: { version: string }) => version),
      ['v1'],
      name,
    );
    const shown: Shown[] = group.versions[0].resources;
    assert.deepEqual(inOrder(shown.map(factsOf)), inOrder(upstream.get(`${name}/v1`) ?? []), name);
  }
});
