/**
 * Finds what answers: path → kind and verb → one function.
 *
 * `/apis/apps/v1/namespaces/x/deployments` finds the descriptor in the catalog (kinds added at run
 * time are there at once), then the verb in `verbs/` or the sub-resource in `subresources/`. Plain
 * paths go to `discovery/`. Next in the walk: a kind, as `resources/apps/deployment.ts`.
 */
import { badRequest, methodNotAllowed, unknownResource } from '#api/errors.ts';
import type { Resource, Verb } from '#api/resource.ts';
import type { Identity } from '#kit/transport.ts';
import { answerPath } from '../discovery/paths.ts';
import type { Parts } from '../parts.ts';
import type { Answer, Arrival, Call, Output, RequestInfo } from '../request.ts';
import { bind, bindPod } from '../subresources/binding.ts';
import { getComponentStatus, listComponentStatus } from '../subresources/component-status.ts';
import { evict } from '../subresources/eviction.ts';
import { finalize } from '../subresources/finalize.ts';
import { answerReview, findReview } from '../subresources/reviews.ts';
import { scale } from '../subresources/scale.ts';
import { subresourcesOf } from '../subresources/subresources.ts';
import { requestToken } from '../subresources/token-request.ts';
import { create } from '../verbs/create.ts';
import { deleteOne } from '../verbs/delete.ts';
import { deleteCollection } from '../verbs/delete-collection.ts';
import { get } from '../verbs/get.ts';
import { list } from '../verbs/list.ts';
import { patch } from '../verbs/patch.ts';
import { update } from '../verbs/update.ts';
import { watch } from '../verbs/watch.ts';

export interface Routed {
  readonly info: RequestInfo;
  readonly identity: Identity;
  readonly output: Output;
  readonly arrival: Arrival;
  readonly warn: Call['warn'];
}

type Perform = (parts: Parts, call: Call) => Promise<Answer>;

const verbs: Readonly<Record<Verb, Perform>> = {
  get,
  list,
  watch,
  create,
  update,
  patch,
  delete: deleteOne,
  deletecollection: deleteCollection,
};

/** What kinds that are not stored do instead. */
const unstored: Readonly<Record<string, Perform>> = {
  'bindings/create': bindPod,
  'componentstatuses/get': getComponentStatus,
  'componentstatuses/list': listComponentStatus,
};

/** Sub-resources that are not the object in another light (`status`) but an action of their own. */
const actions: Readonly<Record<string, Perform>> = {
  binding: bind,
  eviction: evict,
  finalize,
  scale,
  token: requestToken,
  log: (parts, { info, request, arrival: { signal } }) =>
    plain(parts.kubelet.log(parts.kubelet.target(info, request.path), { signal })),
  proxy: (parts, { info, request, arrival: { signal } }) =>
    plain(parts.kubelet.fetch(info, request, { signal })),
  exec: upgradeOnly,
  attach: upgradeOnly,
  portforward: upgradeOnly,
};

export function route(parts: Parts, routed: Routed): Promise<Answer> {
  const { info, identity, output, arrival, warn } = routed;
  const { request } = arrival;
  if (info.type === 'path') return answerPath(parts, info, arrival);
  const served = parts.catalog.findServed(info, info.plural);
  if (served === undefined) {
    const review = parts.catalog.answers(info, info.plural) ? findReview(info) : undefined;
    if (review === undefined || info.verb !== 'create') throw unknownResource();
    return answerReview(parts, review, { info, identity, output, arrival });
  }
  checkShape(served.resource, info);
  const call: Call = { info, served, identity, output, request, arrival, warn };
  if (info.subresource === '') {
    const allowed = served.resource.verbs?.includes(info.verb) ?? true;
    if (!allowed) throw methodNotAllowed();
    const perform = unstored[`${served.resource.storagePrefix}/${info.verb}`] ?? verbs[info.verb];
    return perform(parts, call);
  }
  const sub = subresourcesOf(served.resource, served.view).find(
    ({ name }) => name === info.subresource,
  );
  if (sub === undefined) throw unknownResource();
  if (!sub.verbs.includes(info.verb) && info.subresource !== 'proxy') {
    throw methodNotAllowed();
  }
  const perform = actions[info.subresource] ?? verbs[info.verb];
  return perform(parts, call);
}

/** Whether the path fits the kind: namespaced or not, named or not. */
function checkShape(
  { namespaced }: Resource,
  { namespace, name, verb, subresource }: Extract<RequestInfo, { type: 'resource' }>,
): void {
  if (!namespaced && namespace !== '') throw unknownResource();
  const many = verb === 'list' || verb === 'watch' || verb === 'deletecollection';
  if (namespaced && namespace === '' && (!many || verb === 'deletecollection')) {
    if (verb === 'create' || verb === 'deletecollection') {
      throw methodNotAllowed();
    }
    throw unknownResource();
  }
  const named = verb === 'get' || verb === 'update' || verb === 'patch' || verb === 'delete';
  const misnamed = verb === 'create' && subresource === '' && name !== '';
  if ((named && name === '') || misnamed) throw methodNotAllowed();
}

async function plain(
  response: Promise<Extract<Answer, { type: 'plain' }>['response']>,
): Promise<Answer> {
  return { type: 'plain', response: await response };
}

/** These need a connection of their own; `http.ts` takes them away before they come here. */
function upgradeOnly(): Promise<Answer> {
  throw badRequest('Upgrade request required');
}
