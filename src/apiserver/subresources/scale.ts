/**
 * `…/scale`: the number of replicas of any kind that has one, as autoscaling/v1 Scale. get, update
 * and patch; the change itself goes through the same loop as any update.
 */

import type { Served } from '#api/catalog.ts';
import { notFound } from '#api/errors.ts';
import { invalid } from '#api/field-error.ts';
import type { KubeObject } from '#api/object.ts';
import type { ResourceView, ScaleBinding } from '#api/resource.ts';
import { assert } from '#kit/assert.ts';
import type { Parts } from '../parts.ts';
import { decodeEntry, keyOf, viewObject } from '../registry.ts';
import { type Answer, type Call, withWarnings } from '../request.ts';
import { decodeFor, mediaTypeOf, readObject } from '../verbs/body.ts';
import { checkNamespace } from '../verbs/create.ts';
import { managerOf } from '../verbs/managed-fields.ts';
import { checkOptions, fieldValidationOf, isDryRun } from '../verbs/options.ts';
import { readPatch } from '../verbs/patch.ts';
import { changeObject, withName } from '../verbs/update.ts';
import { groupResource, throwInvalid } from '../verbs/write.ts';

interface ScaleBody extends KubeObject {
  readonly spec?: { readonly replicas?: number };
}

const definition = 'io.k8s.api.autoscaling.v1.Scale';

export async function scale(parts: Parts, call: Call): Promise<Answer> {
  const { served, info, identity } = call;
  const binding = served.resource.scale;
  assert(binding !== undefined, 'routing checked that the kind scales');
  const { namespace, name, verb } = info;
  if (verb === 'get') {
    const entry = parts.store.get(keyOf(served.resource, namespace, name));
    if (entry === undefined) throw notFound(groupResource(served), name);
    return answer(binding, decodeEntry(entry));
  }
  if (verb === 'patch' && mediaTypeOf(call.request) === 'application/apply-patch+yaml') {
    const { applyScale } = await import('../verbs/apply.ts');
    return scaled(binding, await applyScale(parts, call));
  }
  checkOptions(verb === 'patch' ? 'PatchOptions' : 'UpdateOptions', info.query);
  const { read, warnings } =
    verb === 'patch' ? patched(parts, call) : await replacement(parts, call);
  let insists = verb === 'update';
  const result = await changeObject(parts, {
    served,
    namespace,
    name,
    identity,
    subresource: 'scale',
    dryRun: isDryRun(info.query.getAll('dryRun')),
    manager: managerOf(call),
    get insists() {
      return insists;
    },
    next: (hub) => {
      const wanted = read(scaleOf(binding, hub));
      const { resourceVersion = '', uid = hub.metadata.uid } = wanted.metadata;
      insists = verb === 'update' && resourceVersion !== '';
      const scaled = binding.withReplicas(hub, replicasOf(call, wanted));
      const metadata = { ...scaled.metadata, resourceVersion, uid };
      return viewObject(served, { ...scaled, metadata });
    },
    named: verb === 'update',
  });
  return withWarnings(scaled(binding, result), warnings);
}

interface WantedScale {
  readonly read: (current: object) => ScaleBody;
  readonly warnings: readonly string[];
}

/** Patches are of the Scale that the object shows. */
function patched(parts: Parts, call: Call): WantedScale {
  const apply = readPatch(parts, call);
  const validation = fieldValidationOf(call.info.query);
  const warnings: string[] = [];
  const read = (current: object): ScaleBody => {
    const given = { validation, problems: [] } as const;
    const decoded = decodeFor(parts, servedScale(call), apply(current), given);
    warnings.splice(0, warnings.length, ...decoded.warnings);
    // The schema of Scale has checked it.
    return decoded.object as ScaleBody;
  };
  return { read, warnings };
}

/** The kind that bodies of this path have. */
function servedScale({ served }: Call): Served {
  const { resource } = served;
  const view: ResourceView = {
    group: 'autoscaling',
    version: 'v1',
    definition,
    schema: { ref: definition },
    setDefaults: (object) => object,
  };
  return { resource: { ...resource, kind: 'Scale', views: [view] }, view };
}

async function replacement(parts: Parts, call: Call): Promise<WantedScale> {
  const { info } = call;
  const served = servedScale(call);
  const object = await readObject(parts, { ...call, served });
  checkNamespace(served, object, info.namespace);
  // The schema of Scale has checked it.
  const wanted = withName(object, info.name) as ScaleBody;
  return { read: () => wanted, warnings: [] };
}

function replicasOf(call: Call, { spec }: ScaleBody): number {
  const replicas = spec?.replicas ?? 0;
  if (replicas < 0) {
    const detail = 'must be greater than or equal to 0';
    throwInvalid(servedScale(call), call.info.name, [invalid('spec.replicas', replicas, detail)]);
  }
  return replicas;
}

function scaled(binding: ScaleBinding, result: Answer): Answer {
  if (result.type === 'entry') return answer(binding, decodeEntry(result.entry));
  assert(result.type === 'hub', 'a change answers with the object');
  return answer(binding, result.hub);
}

function answer(binding: ScaleBinding, hub: KubeObject): Answer {
  return { type: 'value', status: 200, value: scaleOf(binding, hub) };
}

function scaleOf(binding: ScaleBinding, hub: KubeObject): object {
  const { name, namespace, uid, resourceVersion, creationTimestamp } = hub.metadata;
  const replicas = binding.specReplicas(hub);
  return {
    kind: 'Scale',
    apiVersion: 'autoscaling/v1',
    metadata: { name, namespace, uid, resourceVersion, creationTimestamp },
    spec: replicas === 0 ? {} : { replicas },
    status: { replicas: binding.statusReplicas(hub), selector: binding.selector(hub) },
  };
}
