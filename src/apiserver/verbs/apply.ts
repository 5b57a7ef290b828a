/**
 * PATCH with `application/apply-patch+yaml`: server-side apply.
 *
 * The configuration is laid over the live object, what this manager applied before and now leaves
 * out goes (unless somebody else owns it), and then it is an update. Where nothing is there yet,
 * the configuration is created. Loaded with the first such request.
 * Next: `api/field-merge.ts` for the merge, `api/field-ownership.ts` for conflicts.
 */

import type { Served } from '#api/catalog.ts';
import { duplicateSteps, mismatchedField } from '#api/configuration-problems.ts';
import { decodeObject } from '#api/decode.ts';
import {
  alreadyExists,
  badRequest,
  conflict,
  isReason,
  notFound,
  unexplained,
} from '#api/errors.ts';
import { mergeFields, pruneFields } from '#api/field-merge.ts';
import {
  type Manager,
  type Ownership,
  ownAfterApply,
  ownAfterUpdate,
  ownable,
  parseManagedFields,
  sameManager,
} from '#api/field-ownership.ts';
import { differenceOf, type FieldSet, unionOf } from '#api/field-set.ts';
import { compareFields, fieldsOf } from '#api/field-structure.ts';
import { formatGroupVersion, type KubeObject } from '#api/object.ts';
import { formatTime } from '#kit/clock.ts';
import { isMembers, type Members } from '#kit/members.ts';
import { awaitDefaultAccount } from '../admission/default-account-wait.ts';
import type { Parts } from '../parts.ts';
import { hubObject, keyOf, textOf, viewObject } from '../registry.ts';
import type { Answer, Call } from '../request.ts';
import { decodeFor } from './body.ts';
import { checkNamespace, createObject } from './create.ts';
import { lastAppliedAnnotation, withLastApplied } from './last-applied.ts';
import { changesBetween, withManagedFields } from './managed-fields.ts';
import { checkOptions, fieldValidationOf, isDryRun } from './options.ts';
import { changeObject } from './update.ts';
import { groupResource, withStatusOf } from './write.ts';

/** Owns what was there before anybody applied and no managers were recorded. */
const firstManager = 'before-first-apply';

interface Configuration {
  readonly json: Members;
  readonly fields: FieldSet;
  readonly writer: Manager;
  readonly force: boolean;
  readonly dryRun: boolean;
}

export async function apply(parts: Parts, call: Call): Promise<Answer> {
  const configuration = await readConfiguration(parts, call);
  const { served, info } = call;
  const found = parts.store.get(keyOf(served.resource, info.namespace, info.name));
  if (found !== undefined) return change(parts, call, configuration);
  try {
    return await createByApply(parts, call, configuration);
  } catch (error) {
    // Somebody else created it meanwhile.
    if (!isReason(error, 'AlreadyExists')) throw error;
    return change(parts, call, configuration);
  }
}

async function readConfiguration(parts: Parts, call: Call): Promise<Configuration> {
  const { served, info } = call;
  checkOptions('PatchOptions', info.query, { isApply: true });
  const manager = info.query.get('fieldManager') ?? '';
  const json = await readApplied(call);
  const apiVersion = formatGroupVersion(served.view);
  checkConfiguration(parts, call, json, apiVersion);
  const said = ownPart(call, json);
  return {
    json: said,
    fields: ownable(fieldsOf(ownedPart(served, said), served.view.schema, parts.catalog)),
    writer: { manager, operation: 'Apply', apiVersion, subresource: info.subresource },
    force: info.query.get('force') === 'true',
    dryRun: isDryRun(info.query.getAll('dryRun')),
  };
}

async function readApplied({ request, info, warn }: Call): Promise<Members> {
  const { parseFirstYaml, YamlError } = await import('#kit/yaml.ts');
  const validation = fieldValidationOf(info.query);
  const converting = 'error converting YAML to JSON: yaml:';
  let json: unknown;
  try {
    const { value, repeated } = parseFirstYaml(textOf(request.body ?? new Uint8Array()));
    json = value;
    if (validation === 'Strict' && repeated.length > 0) {
      const lines = repeated.map((problem) => `\n  ${problem}`).join('');
      throw badRequest(`error strict decoding YAML: ${converting} unmarshal errors:${lines}`);
    }
    if (validation === 'Warn') warn(repeated);
  } catch (error) {
    if (!(error instanceof YamlError)) throw error;
    throw badRequest(`error decoding YAML: ${converting} ${error.goMessage}`);
  }
  json ??= {};
  if (!isMembers(json)) {
    const word = Array.isArray(json) ? 'array' : typeof json;
    const why = `json: cannot unmarshal ${word} into Go value of type map[string]interface {}`;
    throw badRequest(`error decoding YAML: error unmarshaling JSON: while decoding JSON: ${why}`);
  }
  return json;
}

/**
 * `scale` by apply: the number of replicas comes to belong to the manager, as a field of the object
 * that is scaled.
 */
export async function applyScale(parts: Parts, call: Call): Promise<Answer> {
  const { served, info } = call;
  checkOptions('PatchOptions', info.query, { isApply: true });
  const said = await readApplied(call);
  const given = { apiVersion: String(said['apiVersion'] ?? ''), kind: String(said['kind'] ?? '') };
  if (given.apiVersion !== 'autoscaling/v1' || given.kind !== 'Scale') {
    throw badRequest(
      `Incorrect version specified in apply patch. Specified patch version: ${given.apiVersion}, expected: autoscaling/v1`,
    );
  }
  const spec = isMembers(said['spec']) ? said['spec'] : {};
  const apiVersion = formatGroupVersion(served.view);
  const { replicas } = spec;
  const json: Members = {
    apiVersion,
    kind: served.resource.kind,
    metadata: { name: info.name },
    ...(replicas === undefined ? {} : { spec: { replicas } }),
  };
  const manager = info.query.get('fieldManager') ?? '';
  return change(parts, call, {
    json,
    fields: ownable(fieldsOf(json, served.view.schema, parts.catalog)),
    writer: { manager, operation: 'Apply', apiVersion, subresource: 'scale' },
    force: info.query.get('force') === 'true',
    dryRun: isDryRun(info.query.getAll('dryRun')),
  });
}

function checkConfiguration(parts: Parts, call: Call, json: Members, apiVersion: string): void {
  const { served, info } = call;
  const said = String(json['apiVersion'] ?? '');
  if (said !== apiVersion || json['kind'] !== served.resource.kind) {
    throw badRequest(`invalid object type: ${slashed(said)}, Kind=${String(json['kind'] ?? '')}`);
  }
  const metadata = isMembers(json['metadata']) ? json['metadata'] : {};
  const entries = metadata['managedFields'];
  if (Array.isArray(entries)) {
    throw badRequest('metadata.managedFields must be nil');
  }
  const { namespace = '' } = metadata;
  const place = `${String(namespace)}/${String(metadata['name'] ?? '')}`;
  const type = `${slashed(apiVersion)}, Kind=${served.resource.kind}`;
  const what = `failed to create typed patch object (${place}; ${type})`;
  const mismatch = mismatchedField(json, served.view.schema, parts.catalog);
  if (mismatch !== undefined) throw unexplained(`${what}: ${mismatch}`);
  const { problems } = decodeObject(json, served.view.schema, parts.catalog);
  const [problem] = problems;
  const field = problem === undefined ? undefined : /^unknown field "(.*)"$/.exec(problem)?.[1];
  if (field !== undefined) throw unexplained(`${what}: .${field}: field not declared in schema`);
  const twice = duplicateSteps(json, served.view.schema, parts.catalog);
  if (twice !== undefined) throw unexplained(`${what}: ${twice}`);
  const name = metadata['name'] ?? info.name;
  if (name !== info.name) {
    throw badRequest(
      `the name of the object (${String(name)}) does not match the name on the URL (${info.name})`,
    );
  }
}

/** `/v1`, as upstream writes the core group here. */
function slashed(apiVersion: string): string {
  return apiVersion === '' || !apiVersion.includes('/') ? `/${apiVersion}` : apiVersion;
}

/** Only the part that this path writes: the status on its own, or everything but it. */
function ownPart({ served, info }: Call, json: Members): Members {
  if (!served.resource.hasStatus) return json;
  const { status, ...rest } = json;
  if (info.subresource !== 'status') return rest;
  const { apiVersion, kind, metadata } = rest;
  return { apiVersion, kind, metadata, ...(status === undefined ? {} : { status }) };
}

/** What the applier comes to own of it. */
function ownedPart({ resource }: Served, json: Members): Members {
  const { unowned = [] } = resource;
  if (unowned.length === 0) return json;
  return Object.fromEntries(Object.entries(json).filter(([key]) => !unowned.includes(key)));
}

async function createByApply(
  parts: Parts,
  call: Call,
  { json, fields, writer, dryRun }: Configuration,
): Promise<Answer> {
  const { served, info, identity } = call;
  const of = groupResource(served);
  if (info.subresource !== '') throw notFound(of, info.name);
  const decoded = decodeFor(parts, served, json, { validation: 'Ignore', problems: [] }).object;
  const { uid = '' } = decoded.metadata;
  if (uid !== '') {
    const why = `uid mismatch: the provided object specified uid ${uid}, and no existing object was found`;
    throw conflict(of, info.name, why);
  }
  checkNamespace(served, decoded, info.namespace);
  if ((decoded.metadata.name ?? '') === '') {
    throw badRequest(
      `the name of the object (${info.name} based on URL) was undeterminable: name must be provided`,
    );
  }
  const owner: Ownership = { ...writer, time: formatTime(parts.clock.now()), fields };
  const named = { ...decoded, metadata: { ...decoded.metadata, name: info.name } };
  const object = withManagedFields(named, [owner]);
  const { namespace } = info;
  await awaitDefaultAccount(parts, { served, object, namespace, arrival: call.arrival });
  const { warn } = call;
  const made = await createObject(parts, { served, object, namespace, identity, dryRun, warn });
  if (made.status !== 201) throw alreadyExists(of, info.name);
  return made;
}

function change(parts: Parts, call: Call, configuration: Configuration): Promise<Answer> {
  const { served, info, identity } = call;
  const { json, dryRun } = configuration;
  const metadata = isMembers(json['metadata']) ? json['metadata'] : {};
  return changeObject(parts, {
    served,
    namespace: info.namespace,
    name: info.name,
    identity,
    subresource: info.subresource,
    dryRun,
    insists: (metadata['resourceVersion'] ?? '') !== '',
    next: (hub) => applied(parts, call, configuration, hub),
    warn: call.warn,
  });
}

/** The live object with the configuration in it, and with the owners that follow. */
function applied(
  parts: Parts,
  { served, info }: Call,
  { json, fields, writer, force }: Configuration,
  hub: KubeObject,
): KubeObject {
  const { catalog } = parts;
  const { schema } = served.view;
  const owners = ownersOf(parts, served, hub);
  const live = viewObject(served, hub);
  const merged = mergeFields(live, json, schema, catalog);
  const before = owners.find((owner) => sameManager(owner, writer));
  const others = owners.filter((owner) => owner !== before);
  const keep = others.reduce((all, owner) => unionOf(all, owner.fields), fields);
  const sameVersion = before?.apiVersion === writer.apiVersion;
  const pruned =
    before === undefined || !sameVersion
      ? merged
      : pruneFields(merged, { last: before.fields, keep }, schema, catalog);
  const { object } = decodeFor(parts, served, pruned, { validation: 'Ignore', problems: [] });
  const isKubectl = writer.manager === 'kubectl';
  checkNamespace(served, object, info.namespace);
  const next = hubObject(served, object);
  const seen = info.subresource === '' ? withStatusOfLive(served, next, hub) : next;
  const after = ownAfterApply(owners, {
    writer,
    fields,
    force,
    allowed: isKubectl ? lastApplied(parts, served, hub) : {},
    now: formatTime(parts.clock.now()),
    changesIn: changesBetween(parts, served, hub, seen),
  });
  // The annotation is kubectl's own note, whoever owns it: it changes without conflict.
  const noted = isKubectl ? withLastApplied(object, json) : object;
  if (after === owners && hub.metadata.managedFields !== undefined) return noted;
  return withManagedFields(noted, after);
}

/**
 * What kubectl wrote from the client, by its own annotation, and what is still as it wrote it: it
 * may go on with that from the server without conflicts, under its usual name only.
 */
function lastApplied({ catalog }: Parts, served: Call['served'], hub: KubeObject): FieldSet {
  const { annotations } = hub.metadata;
  const text = annotations?.[lastAppliedAnnotation] ?? '';
  const { view } = served;
  let json: unknown;
  try {
    json = text === '' ? undefined : JSON.parse(text);
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error;
  }
  if (!isMembers(json) || json['apiVersion'] !== formatGroupVersion(view)) return {};
  const { set, removed } = compareFields(json, viewObject(served, hub), view.schema, catalog);
  const said = fieldsOf(json, view.schema, catalog);
  return differenceOf(differenceOf(said, set), removed);
}

function withStatusOfLive({ resource }: Call['served'], next: KubeObject, live: KubeObject) {
  return resource.hasStatus ? withStatusOf(next, live) : next;
}

function ownersOf(parts: Parts, served: Call['served'], hub: KubeObject): readonly Ownership[] {
  const owners = parseManagedFields(hub.metadata.managedFields, { stored: true }) ?? [];
  if (owners.length > 0) return owners;
  return ownAfterUpdate(owners, {
    writer: {
      manager: firstManager,
      operation: 'Update',
      apiVersion: formatGroupVersion(served.view),
      subresource: '',
    },
    now: formatTime(parts.clock.now()),
    changesIn: changesBetween(parts, served, undefined, hub),
  });
}
