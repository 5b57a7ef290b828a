/**
 * DELETE: in one step, or in two.
 *
 * An object that must not go at once (a pod with grace, finalizers, a namespace with content) first
 * gets a deletionTimestamp; it goes when the grace is over and the last finalizer is gone. How
 * dependants are treated (`propagationPolicy`) becomes a finalizer that the garbage collector
 * honours. `planDeletion` decides, purely; `deleteObject` acts and tries again after a lost race.
 */
import type { Served } from '#api/catalog.ts';
import { conflict, forbidden, notFound, success } from '#api/errors.ts';
import type { KubeObject } from '#api/object.ts';
import type { Identity } from '#kit/transport.ts';
import type { Entry } from '#store';
import { restrictNode } from '../admission/node-restriction.ts';
import type { Parts } from '../parts.ts';
import { decodeEntry, keyOf } from '../registry.ts';
import { type Answer, type Call, withWarnings } from '../request.ts';
import { type DeleteOptions, readDeleteOptions } from './delete-options.ts';
import { type DeletionPlan, planDeletion } from './plan-deletion.ts';
import { removeEntry } from './remove.ts';
import { replace } from './update.ts';
import { groupResource } from './write.ts';

const attemptsMax = 100;

/** Namespaces that the cluster cannot be without. */
const immortalNamespaces: ReadonlySet<string> = new Set(['default', 'kube-system', 'kube-public']);

export async function deleteOne(parts: Parts, call: Call): Promise<Answer> {
  const { served, info } = call;
  const options = await readDeleteOptions(parts, call);
  const { namespace, name } = info;
  const target = { served, namespace, name, options, identity: call.identity };
  const answer = await deleteObject(parts, target);
  const { deleteWarning } = served.resource;
  if (deleteWarning === undefined || options.propagation !== undefined) return answer;
  return withWarnings(answer, [deleteWarning]);
}

export interface DeleteTarget {
  readonly served: Served;
  readonly namespace: string;
  readonly name: string;
  readonly options: DeleteOptions;
  /** Who asks; absent where somebody may do so on behalf of another (eviction). */
  readonly identity?: Identity;
}

export async function deleteObject(parts: Parts, target: DeleteTarget): Promise<Answer> {
  const { served, namespace, name, options, identity } = target;
  const { resource } = served;
  const key = keyOf(resource, namespace, name);
  for (let attempt = 0; attempt < attemptsMax; attempt++) {
    const entry = parts.store.get(key);
    if (entry === undefined) throw notFound(groupResource(served), name);
    const hub = decodeEntry(entry);
    checkPreconditions(served, hub, options);
    if (identity !== undefined) {
      const write = { resource, identity, namespace, name, subresource: '', old: hub };
      restrictNode(parts, { ...write, operation: 'delete' });
    }
    const plan = planDeletion(resource, hub, options, parts.clock.now());
    if (options.dryRun) return rehearsed(served, hub, plan);
    switch (plan.do) {
      case 'nothing':
        return { type: 'entry', status: 200, served, entry };
      case 'mark': {
        const marked = await replace(parts, served, entry, plan.hub);
        if (marked === undefined) continue;
        return { type: 'entry', status: plan.status, served, entry: marked };
      }
      case 'remove': {
        const removed = await removeEntry(parts, resource, entry, hub);
        if (removed === undefined) continue;
        const ended = plan.ended?.(decodeEntry(removed));
        if (ended !== undefined) return { type: 'hub', status: 200, served, hub: ended };
        return removedAnswer(served, hub, removed);
      }
      default:
        return plan satisfies never;
    }
  }
  throw conflict(groupResource(served), name);
}

/** The answer that the same without `dryRun` would get. */
function rehearsed(served: Served, hub: KubeObject, plan: DeletionPlan): Answer {
  if (plan.do === 'mark') return { type: 'hub', status: plan.status, served, hub: plan.hub };
  if (plan.do === 'nothing' || showsObject(served)) {
    const ended = plan.do === 'remove' ? plan.ended?.(hub) : undefined;
    return { type: 'hub', status: 200, served, hub: ended ?? hub };
  }
  return { type: 'value', status: 200, value: removedStatus(served, hub) };
}

function checkPreconditions(served: Served, hub: KubeObject, options: DeleteOptions): void {
  const { name = '', uid = '', resourceVersion = '' } = hub.metadata;
  const of = groupResource(served);
  // Here upstream names the kind, not the resource.
  const kind = { group: of.group, resource: served.resource.kind };
  const { preconditions } = options;
  if (preconditions?.uid !== undefined && preconditions.uid !== uid) {
    const why = `the UID in the precondition (${preconditions.uid}) does not match the UID in record (${uid}). The object might have been deleted and then recreated`;
    throw conflict(kind, name, why);
  }
  const wanted = preconditions?.resourceVersion;
  if (wanted !== undefined && wanted !== resourceVersion) {
    const why = `the ResourceVersion in the precondition (${wanted}) does not match the ResourceVersion in record (${resourceVersion}). The object might have been modified`;
    throw conflict(kind, name, why);
  }
  if (of.resource === 'namespaces' && of.group === '' && immortalNamespaces.has(name)) {
    throw forbidden(of, name, 'this namespace may not be deleted');
  }
}

/** Kinds whose deletion answers with the object; all others answer with a Status. */
const answersWithObject: ReadonlySet<string> = new Set([
  'csidrivers.storage.k8s.io',
  'csinodes.storage.k8s.io',
  'deviceclasses.resource.k8s.io',
  'resourceclaims.resource.k8s.io',
  'resourceclaimtemplates.resource.k8s.io',
  'resourceslices.resource.k8s.io',
  'storageclasses.storage.k8s.io',
  'volumeattachments.storage.k8s.io',
  'pods',
  'services',
  'serviceaccounts',
  'podtemplates',
  'persistentvolumes',
  'persistentvolumeclaims',
  'resourcequotas',
]);

function showsObject(served: Served): boolean {
  const { group, resource } = groupResource(served);
  return answersWithObject.has(group === '' ? resource : `${resource}.${group}`);
}

function removedAnswer(served: Served, hub: KubeObject, entry: Entry): Answer {
  if (showsObject(served)) return { type: 'entry', status: 200, served, entry };
  return { type: 'value', status: 200, value: removedStatus(served, hub) };
}

function removedStatus(served: Served, hub: KubeObject): object {
  const { group, resource } = groupResource(served);
  const { name = '', uid = '' } = hub.metadata;
  return success({ name, ...(group === '' ? {} : { group }), kind: resource, uid });
}
