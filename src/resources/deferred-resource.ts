/**
 * A kind whose descriptor is loaded when something asks for more than its facts: the first write,
 * the first table, the first old version. A server serves many kinds of which a cluster uses few,
 * so it starts sooner and stays smaller; lists and watches need the facts only.
 *
 * To all others this is a `Resource` like any; `resources.ts` makes it.
 */
import type { Resource, ResourceView } from '#api/resource.ts';
import { present } from '#kit/assert.ts';
import type { KindFacts, ViewFacts } from './kind-facts.ts';

/** All of its members, so that the compiler says when one is forgotten here. */
type Whole<T> = { readonly [Key in keyof Required<T>]: T[Key] };

export function deferResource(facts: KindFacts, load: () => Resource): Resource {
  return new DeferredResource(facts, load);
}

class DeferredResource implements Whole<Resource> {
  readonly kind: string;
  readonly plural: string;
  readonly singular: string;
  readonly shortNames: readonly string[];
  readonly categories: readonly string[];
  readonly namespaced: boolean;
  readonly storagePrefix: string;
  readonly hasStatus: boolean;
  readonly verbs: Resource['verbs'];
  /** Built-in kinds are typed: their lists say the kind once. */
  readonly itemsNameTheirKind = undefined;
  readonly views: readonly ResourceView[];
  readonly #scales: boolean;
  readonly #load: () => Resource;
  #loaded: Resource | undefined;

  constructor(facts: KindFacts, load: () => Resource) {
    this.kind = facts.kind;
    this.plural = facts.plural;
    this.singular = facts.singular;
    this.shortNames = facts.shortNames;
    this.categories = facts.categories;
    this.namespaced = facts.namespaced;
    this.storagePrefix = facts.storagePrefix;
    this.hasStatus = facts.hasStatus;
    this.verbs = facts.verbs;
    this.views = facts.views.map(
      (view, index) =>
        new DeferredView(view, () => present(this.#whole().views[index], 'as many views as facts')),
    );
    this.#scales = facts.scales;
    this.#load = load;
  }

  get scale() {
    return this.#scales ? this.#whole().scale : undefined;
  }

  get unowned() {
    return this.#whole().unowned ?? [];
  }

  get unownedStatus() {
    return this.#whole().unownedStatus ?? [];
  }

  get updateJudgedAlone() {
    return this.#whole().updateJudgedAlone ?? false;
  }

  get metadataRechecked() {
    return this.#whole().metadataRechecked ?? 'whole and change';
  }

  get prepareForCreate() {
    return this.#whole().prepareForCreate;
  }

  get prepareForUpdate() {
    return this.#whole().prepareForUpdate;
  }

  get prepareForStatusUpdate() {
    return this.#whole().prepareForStatusUpdate;
  }

  get asWritten() {
    return this.#whole().asWritten;
  }

  get specChanged() {
    return this.#whole().specChanged;
  }

  get validate() {
    return this.#whole().validate;
  }

  get validateNew() {
    return this.#whole().validateNew;
  }

  get validateUpdate() {
    return this.#whole().validateUpdate;
  }

  get validateStatusUpdate() {
    return this.#whole().validateStatusUpdate;
  }

  get partialUpdates() {
    return this.#whole().partialUpdates;
  }

  get nameRule() {
    return this.#whole().nameRule;
  }

  get columns() {
    return this.#whole().columns;
  }

  get selectableFields() {
    return this.#whole().selectableFields;
  }

  get deleteWarning() {
    return this.#whole().deleteWarning;
  }

  get gracePeriodSeconds() {
    return this.#whole().gracePeriodSeconds;
  }

  get defaultPropagation() {
    return this.#whole().defaultPropagation;
  }

  get ttlMs() {
    return this.#whole().ttlMs;
  }

  get allowUnconditionalUpdate() {
    return this.#whole().allowUnconditionalUpdate;
  }

  get allowCreateOnUpdate() {
    return this.#whole().allowCreateOnUpdate;
  }

  get warnings() {
    return this.#whole().warnings;
  }

  #whole(): Resource {
    this.#loaded ??= this.#load();
    return this.#loaded;
  }
}

class DeferredView implements Whole<ResourceView> {
  readonly group: string;
  readonly version: string;
  readonly definition: string;
  readonly legacy: boolean | undefined;
  readonly #converts: boolean;
  readonly #whole: () => ResourceView;

  constructor(facts: ViewFacts, whole: () => ResourceView) {
    this.group = facts.group;
    this.version = facts.version;
    this.definition = facts.definition;
    this.legacy = facts.legacy;
    this.#converts = facts.converts;
    this.#whole = whole;
  }

  get schema() {
    return this.#whole().schema;
  }

  get setDefaults() {
    return this.#whole().setDefaults;
  }

  get toHub() {
    return this.#converts ? this.#whole().toHub : undefined;
  }

  get fromHub() {
    return this.#converts ? this.#whole().fromHub : undefined;
  }
}
