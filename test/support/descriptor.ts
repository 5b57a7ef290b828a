/**
 * A write as far as descriptors go: decode, defaults, hub, what creation drops, validation. Without
 * a server, so that tests of kinds say in one line what goes in and what comes out.
 */
import { decodeObject } from '#api/decode.ts';
import { type FieldError, formatFieldError } from '#api/field-error.ts';
import { type KubeObject, parseGroupVersion } from '#api/object.ts';
import type { Resource, ResourceView, WriteContext } from '#api/resource.ts';
import { assert, present } from '#kit/assert.ts';
import { seededRandom } from '#kit/random.ts';
import { openCatalog } from '#resources/resources.ts';

const context: WriteContext = {
  now: '2026-01-01T00:00:00Z',
  user: 'tester',
  random: seededRandom(1),
};

export interface Written<Hub> {
  readonly hub: Hub;
  /** `spec.replicas: Invalid value: -1: must be …`. */
  readonly errors: readonly string[];
  /** Of the strict decoder. */
  readonly problems: readonly string[];
  readonly resource: Resource;
  readonly view: ResourceView;
  /** What the columns of the kind show, by name. */
  cells(nowMs: number): Readonly<Record<string, unknown>>;
}

/** What a create would store. The caller knows the type that the kind's hub has. */
export function written<Hub extends KubeObject>(json: unknown): Written<Hub> {
  const { object, problems, resource, view } = decoded(json);
  const versioned = view.setDefaults(object, context);
  const hub = view.toHub?.(versioned) ?? versioned;
  const prepared = resource.prepareForCreate?.(hub, context) ?? hub;
  return result<Hub>(prepared, resource.validate(prepared), { problems, resource, view });
}

/** What an update of a stored hub to `json` would store. */
export function updated<Hub extends KubeObject>(
  json: unknown,
  old: KubeObject,
  subresource?: 'status',
): Written<Hub> {
  const { object, problems, resource, view } = decoded(json);
  const versioned = view.setDefaults(object, context);
  const hub = view.toHub?.(versioned) ?? versioned;
  if (subresource === 'status') {
    const next = present(resource.prepareForStatusUpdate, 'has a status')(hub, old, context);
    const errors = resource.validateStatusUpdate?.(next, old) ?? [];
    return result<Hub>(next, errors, { problems, resource, view });
  }
  const next = resource.prepareForUpdate?.(hub, old, context) ?? hub;
  const own = resource.updateJudgedAlone === true ? [] : resource.validate(next);
  const errors = [...own, ...(resource.validateUpdate?.(next, old) ?? [])];
  return result<Hub>(next, errors, { problems, resource, view });
}

/** The stored hub as a served version shows it. */
export function shown(hub: KubeObject, apiVersion: string): KubeObject {
  const served = openCatalog().findKind(parseGroupVersion(apiVersion), hub.kind);
  const { view } = present(served, `${apiVersion} ${hub.kind} is served`);
  return view.fromHub?.(hub) ?? hub;
}

function decoded(json: unknown) {
  const catalog = openCatalog();
  assert(typeof json === 'object' && json !== null, 'an object');
  const { apiVersion, kind } = json as KubeObject;
  const served = catalog.findKind(parseGroupVersion(apiVersion), kind);
  const { resource, view } = present(served, `${apiVersion} ${kind} is served`);
  const { object, problems } = decodeObject(json, view.schema, catalog);
  // Test inputs always carry metadata.
  return { object: object as unknown as KubeObject, problems, resource, view };
}

function result<Hub extends KubeObject>(
  hub: KubeObject,
  errors: readonly FieldError[],
  rest: Pick<Written<Hub>, 'problems' | 'resource' | 'view'>,
): Written<Hub> {
  return {
    // The caller names the type of the kind that it wrote.
    hub: hub as Hub,
    errors: errors.map(formatFieldError),
    ...rest,
    cells: (nowMs) =>
      Object.fromEntries(rest.resource.columns.map(({ name, cell }) => [name, cell(hub, nowMs)])),
  };
}
