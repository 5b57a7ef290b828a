/**
 * Discovery: which groups, versions and kinds there are, derived from the catalog.
 *
 * Plain (`/api`, `/apis`, `/apis/G/V`) and aggregated (everything in one document, asked for by
 * Accept). Documents are made when first asked for and again after the catalog has changed, so that
 * a kind that was just added is there at once. Legacy versions show only where they are switched
 * on, come last, are never preferred, and carry no short names or categories.
 */
import { createHash } from 'node:crypto';
import type { Catalog } from '#api/catalog.ts';
import { formatGroupVersion } from '#api/object.ts';
import { type Resource, type ResourceView, standardVerbs } from '#api/resource.ts';
import { type ReviewFacts, reviewFacts } from '../subresources/reviews.ts';
import { type SubresourceFacts, subresourcesOf } from '../subresources/subresources.ts';

export interface DiscoveryOptions {
  readonly legacyVersions: boolean;
  /** Host and port that clients in the cluster use. */
  readonly serverAddress: string;
}

interface VersionKinds {
  readonly version: string;
  readonly kinds: { readonly resource: Resource; readonly view: ResourceView }[];
  /** Questions that this version answers and that are no kinds. */
  readonly reviews: ReviewFacts[];
  legacy: boolean;
}

/** One group version as the published documents describe it. */
export interface GroupVersionKinds {
  readonly group: string;
  readonly version: string;
  readonly kinds: VersionKinds['kinds'];
  readonly reviews: VersionKinds['reviews'];
}

interface Group {
  readonly name: string;
  readonly versions: readonly VersionKinds[];
}

export class Discovery {
  readonly #catalog: Catalog;
  readonly #options: DiscoveryOptions;
  #generation = -1;
  #groups: readonly Group[] = [];
  #documents = new Map<string, object>();

  constructor(deps: { readonly catalog: Catalog }, options: DiscoveryOptions) {
    this.#catalog = deps.catalog;
    this.#options = options;
  }

  get serverAddress(): string {
    return this.#options.serverAddress;
  }

  /** `/api`. */
  coreVersions(): object {
    return this.#document('core', () => ({
      kind: 'APIVersions',
      versions: this.#core().map(({ version }) => version),
      serverAddressByClientCIDRs: [
        { clientCIDR: '0.0.0.0/0', serverAddress: this.#options.serverAddress },
      ],
    }));
  }

  /** `/apis`. */
  groupList(): object {
    return this.#document('groups', () => ({
      kind: 'APIGroupList',
      apiVersion: 'v1',
      groups: this.#named().map(groupDocument),
    }));
  }

  /** `/apis/G`. */
  group(name: string): object | undefined {
    const group = this.#named().find((candidate) => candidate.name === name);
    return group && { kind: 'APIGroup', apiVersion: 'v1', ...groupDocument(group) };
  }

  /** `/api/v1`, `/apis/G/V`. */
  resourceList(group: string, version: string): object | undefined {
    const found = this.#all()
      .find(({ name }) => name === group)
      ?.versions.find((candidate) => candidate.version === version);
    if (found === undefined) return undefined;
    const groupVersion = formatGroupVersion({ group, version });
    return this.#document(groupVersion, () => ({
      kind: 'APIResourceList',
      ...(group === '' ? {} : { apiVersion: 'v1' }),
      groupVersion,
      resources: [
        ...found.kinds.flatMap(({ resource, view }) => plainResources(resource, view)),
        ...found.reviews.map(plainReview),
      ].sort((a, b) => (a.name < b.name ? -1 : 1)),
    }));
  }

  /** Everything below `/api` (`core`) or `/apis`, in one document. */
  aggregated(which: 'core' | 'named'): object {
    return this.#document(`aggregated ${which}`, () => ({
      kind: 'APIGroupDiscoveryList',
      apiVersion: 'apidiscovery.k8s.io/v2',
      metadata: {},
      items: (which === 'core' ? this.#all().filter(({ name }) => name === '') : this.#named()).map(
        aggregatedGroup,
      ),
    }));
  }

  /** Group versions and what is in them, for OpenAPI and `/`. */
  groupVersions(): readonly GroupVersionKinds[] {
    return this.#all().flatMap(({ name, versions }) =>
      versions.map(({ version, kinds, reviews }) => ({ group: name, version, kinds, reviews })),
    );
  }

  #document(key: string, make: () => object): object {
    this.#all();
    let document = this.#documents.get(key);
    if (document === undefined) {
      document = make();
      this.#documents.set(key, document);
    }
    return document;
  }

  #core(): readonly VersionKinds[] {
    return this.#all().find(({ name }) => name === '')?.versions ?? [];
  }

  #named(): readonly Group[] {
    return this.#all().filter(({ name }) => name !== '');
  }

  #all(): readonly Group[] {
    if (this.#generation !== this.#catalog.generation) {
      this.#groups = groupsOf(this.#catalog, this.#options);
      this.#documents = new Map();
      this.#generation = this.#catalog.generation;
    }
    return this.#groups;
  }
}

/**
 * Groups in the order in which upstream prefers them, which clients keep to when a short name or a
 * plural is in several; groups of nobody's after them, and those that are only old last.
 */
const groupOrder = [
  ...['', 'apiregistration.k8s.io', 'apps', 'events.k8s.io', 'authentication.k8s.io'],
  ...['authorization.k8s.io', 'autoscaling', 'batch', 'certificates.k8s.io'],
  ...['networking.k8s.io', 'policy', 'rbac.authorization.k8s.io', 'storage.k8s.io'],
  ...['admissionregistration.k8s.io', 'apiextensions.k8s.io', 'scheduling.k8s.io'],
  ...['coordination.k8s.io', 'node.k8s.io', 'discovery.k8s.io', 'resource.k8s.io'],
  'flowcontrol.apiserver.k8s.io',
];

function groupsOf(catalog: Catalog, { legacyVersions }: DiscoveryOptions): readonly Group[] {
  const groups = new Map<string, Map<string, VersionKinds>>();
  const versionOf = (group: string, version: string, legacy: boolean): VersionKinds => {
    const versions = groups.get(group) ?? new Map<string, VersionKinds>();
    groups.set(group, versions);
    const found = versions.get(version) ?? { version, kinds: [], reviews: [], legacy };
    versions.set(version, found);
    return found;
  };
  for (const resource of catalog.resources) {
    for (const view of resource.views) {
      const legacy = view.legacy === true;
      if ((legacy && !legacyVersions) || !catalog.serves(view)) continue;
      const found = versionOf(view.group, view.version, legacy);
      found.legacy &&= legacy;
      found.kinds.push({ resource, view });
    }
  }
  for (const review of reviewFacts) {
    if (!catalog.answers(review, `${review.kind.toLowerCase()}s`)) continue;
    versionOf(review.group, review.version, false).reviews.push(review);
  }
  const rankOf = ({ name, versions }: Group): number => {
    if (versions.every(({ legacy }) => legacy)) return groupOrder.length + 1;
    const at = groupOrder.indexOf(name);
    return at < 0 ? groupOrder.length : at;
  };
  return [...groups]
    .map(([name, versions]): Group => ({ name, versions: sortVersions([...versions.values()]) }))
    .sort((a, b) => rankOf(a) - rankOf(b));
}

/** Stable before beta before alpha, higher numbers first; legacy last. */
function sortVersions(versions: VersionKinds[]): readonly VersionKinds[] {
  const rank = ({ version, legacy }: VersionKinds): number => {
    const [, major = '0', level = '', minor = '0'] =
      /^v(\d+)(?:(alpha|beta)(\d+))?$/.exec(version) ?? [];
    const stability = level === '' ? 2 : level === 'beta' ? 1 : 0;
    return (legacy ? 0 : 1e9) + stability * 1e6 + Number(major) * 1e3 + Number(minor);
  };
  return versions.sort((a, b) => rank(b) - rank(a));
}

function groupDocument({ name, versions }: Group): object {
  const shown = versions.map(({ version }) => ({ groupVersion: `${name}/${version}`, version }));
  return { name, versions: shown, preferredVersion: shown[0] };
}

function verbsOf(resource: Resource): readonly string[] {
  return resource.verbs === undefined ? standardVerbs : [...resource.verbs].sort();
}

interface Listed {
  readonly name: string;
  readonly [field: string]: unknown;
}

function plainResources(resource: Resource, view: ResourceView): readonly Listed[] {
  const { namespaced, singular, kind, plural } = resource;
  const main = {
    name: plural,
    singularName: singular,
    namespaced,
    kind,
    verbs: verbsOf(resource),
    ...namesOf(resource, view),
    // What is not stored has none.
    ...(verbsOf(resource).includes('watch')
      ? { storageVersionHash: storageVersionHash(resource) }
      : {}),
  };
  const rest = subresourcesOf(resource, view).map((sub) => ({
    name: `${plural}/${sub.name}`,
    singularName: '',
    namespaced,
    ...(sub.kind.group === view.group && sub.kind.version === view.version
      ? {}
      : { group: sub.kind.group, version: sub.kind.version }),
    kind: sub.kind.kind,
    verbs: sub.verbs,
  }));
  return [main, ...rest];
}

function plainReview({ kind, namespaced }: ReviewFacts): Listed {
  const singularName = kind.toLowerCase();
  return { name: `${singularName}s`, singularName, namespaced, kind, verbs: ['create'] };
}

function aggregatedReview({ group, version, kind, namespaced }: ReviewFacts): Aggregated {
  const singularResource = kind.toLowerCase();
  return {
    resource: `${singularResource}s`,
    responseKind: { group, version, kind },
    scope: namespaced ? 'Namespaced' : 'Cluster',
    singularResource,
    verbs: ['create'],
  };
}

function namesOf(resource: Resource, view: ResourceView): object {
  if (view.legacy === true) return {};
  const { shortNames, categories } = resource;
  return {
    ...(shortNames.length === 0 ? {} : { shortNames }),
    ...(categories.length === 0 ? {} : { categories }),
  };
}

/** Tells clients whether two group versions store the same thing. */
function storageVersionHash(resource: Resource): string {
  const view = resource.views[0];
  const text = `${view?.group ?? ''}/${view?.version ?? ''}/${resource.kind}`;
  return createHash('sha256').update(text).digest().subarray(0, 8).toString('base64');
}

interface Aggregated {
  readonly resource: string;
  readonly [field: string]: unknown;
}

function aggregatedGroup({ name, versions }: Group): object {
  return {
    metadata: { name, creationTimestamp: null },
    versions: versions.map(({ version, kinds, reviews }) => ({
      version,
      freshness: 'Current',
      resources: [
        ...kinds.map(({ resource, view }) => aggregatedResource(resource, view)),
        ...reviews.map(aggregatedReview),
      ].sort((a, b) => (a.resource < b.resource ? -1 : 1)),
    })),
  };
}

function aggregatedResource(resource: Resource, view: ResourceView): Aggregated {
  const { group, version } = view;
  const subresources = subresourcesOf(resource, view).map(aggregatedSubresource);
  return {
    resource: resource.plural,
    responseKind: { group, version, kind: resource.kind },
    scope: resource.namespaced ? 'Namespaced' : 'Cluster',
    singularResource: resource.singular,
    verbs: verbsOf(resource),
    ...namesOf(resource, view),
    ...(subresources.length === 0 ? {} : { subresources }),
  };
}

function aggregatedSubresource({ name, kind, verbs }: SubresourceFacts): object {
  return { subresource: name, responseKind: kind, verbs };
}
