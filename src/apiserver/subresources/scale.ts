/**
 * `…/scale`: the number of replicas of any kind that has one, as autoscaling/v1 Scale. get, update
 * and patch; the change itself goes through the same loop as any update.
 */
import { badRequest, notFound } from '#api/errors.ts';
import type { KubeObject } from '#api/object.ts';
import type { ScaleBinding } from '#api/resource.ts';
import { assert } from '#kit/assert.ts';
import type { Parts } from '../parts.ts';
import { decodeEntry, keyOf, viewObject } from '../registry.ts';
import type { Answer, Call } from '../request.ts';
import { mediaTypeOf, readJson } from '../verbs/body.ts';
import { managerOf } from '../verbs/managed-fields.ts';
import { checkOptions, isDryRun } from '../verbs/options.ts';
import { type ApplyPatch, readPatch } from '../verbs/patch.ts';
import { changeObject } from '../verbs/update.ts';
import { groupResource, throwInvalid } from '../verbs/write.ts';

interface ScaleBody {
  readonly kind?: unknown;
  readonly metadata?: { readonly name?: string; readonly resourceVersion?: string };
  readonly spec?: { readonly replicas?: unknown };
}

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
  const change: ApplyPatch =
    verb === 'patch' ? readPatch(parts, call) : await replacement(parts, call);
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
      // Parse boundary: the two fields that matter are checked below.
      const wanted = change(scaleOf(binding, hub)) as ScaleBody;
      const revision = wanted.metadata?.resourceVersion ?? '';
      insists = verb === 'update' && revision !== '';
      const scaled = binding.withReplicas(hub, replicasOf(call, wanted));
      const metadata = { ...scaled.metadata, resourceVersion: revision };
      return viewObject(served, { ...scaled, metadata });
    },
  });
  return scaled(binding, result);
}

async function replacement(parts: Parts, call: Call): Promise<ApplyPatch> {
  const { json } = await readJson(parts, call.request, { duplicates: false });
  if (json === null || typeof json !== 'object' || Array.isArray(json)) {
    throw badRequest('the body must be a Scale object');
  }
  const { kind, metadata } = json as ScaleBody;
  if (kind !== undefined && kind !== 'Scale') {
    throw badRequest(
      `the kind in the data (${String(kind)}) does not match the expected kind (Scale)`,
    );
  }
  const name = metadata?.name ?? '';
  if (name !== '' && name !== call.info.name) {
    throw badRequest(
      `the name of the object (${name}) does not match the name on the URL (${call.info.name})`,
    );
  }
  return () => json;
}

function replicasOf({ served, info }: Call, wanted: ScaleBody): number {
  const replicas = wanted.spec?.replicas ?? 0;
  if (typeof replicas === 'number' && Number.isInteger(replicas)) {
    if (replicas >= 0) return replicas;
    throwInvalid(served, info.name, [
      {
        type: 'FieldValueInvalid',
        field: 'spec.replicas',
        badValue: replicas,
        detail: 'must be greater than or equal to 0',
      },
    ]);
  }
  throw badRequest('spec.replicas of a Scale must be a whole number');
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
