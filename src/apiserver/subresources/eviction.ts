/**
 * `pods/NAME/eviction`: a delete that asks politely. The pod's disruption budget may refuse it with
 * 429, to be tried again later (`disruption-budget.ts`); where it agrees, the pod gets the
 * condition DisruptionTarget and is deleted with the options of the Eviction.
 */
import type { Served } from '#api/catalog.ts';
import { badRequest, conflict, isReason, notFound, success } from '#api/errors.ts';
import type { KubeObject } from '#api/object.ts';
import { formatTime } from '#kit/clock.ts';
import type { Pod } from '#resources/types/core-v1.ts';
import { checkNamespaceAccepts } from '../admission/namespace-lifecycle.ts';
import { restrictNode } from '../admission/node-restriction.ts';
import type { Parts } from '../parts.ts';
import { decodeEntry, keyOf } from '../registry.ts';
import type { Answer, Call } from '../request.ts';
import { readJson } from '../verbs/body.ts';
import { deleteObject } from '../verbs/delete.ts';
import { type DeleteOptions, deleteOptionsFrom } from '../verbs/delete-options.ts';
import { changeObject } from '../verbs/update.ts';
import { groupResource } from '../verbs/write.ts';
import { beingProcessed, budgetsOf, planEviction, takeDisruption } from './disruption-budget.ts';

export async function evict(parts: Parts, call: Call): Promise<Answer> {
  const { served, info, identity } = call;
  const options = await readOptions(parts, call);
  const pod = readPod(parts, served, info);
  const { namespace, name } = info;
  checkNamespaceAccepts(parts, { resource: served.resource, hub: pod, namespace });
  const write = { resource: served.resource, identity, namespace, name, old: pod };
  restrictNode(parts, { ...write, operation: 'create', subresource: 'eviction' });
  const budgetKind = parts.catalog.findPlural(
    { group: 'policy', version: 'v1' },
    'poddisruptionbudgets',
  );
  const budgets = budgetKind === undefined ? [] : budgetsOf(parts, budgetKind, info.namespace);
  const plan = planEviction(pod, budgets);
  switch (plan.do) {
    case 'refuse':
      throw plan.error;
    case 'ask': {
      if (budgetKind === undefined) break;
      const { budget } = plan;
      const { dryRun } = options;
      await takeDisruption(parts, { served: budgetKind, budget, pod, identity, dryRun });
      await markAndDelete(parts, call, { options, pod });
      break;
    }
    case 'evict':
      await evictUnasked(parts, call, { options, pod, unchanged: plan.unchanged });
      break;
    default:
      plan satisfies never;
  }
  return { type: 'value', status: 201, value: { ...success(), code: 201 } };
}

async function readOptions(parts: Parts, { request, info }: Call): Promise<DeleteOptions> {
  const { json } = await readJson(parts, request, { duplicates: false });
  if (json === null || typeof json !== 'object') throw badRequest('the body must be an Eviction');
  // Parse boundary: the options are checked by the reader of DeleteOptions.
  const { metadata, deleteOptions } = json as {
    readonly metadata?: { readonly name?: string };
    readonly deleteOptions?: object | null;
  };
  if ((metadata?.name ?? info.name) !== info.name) {
    throw badRequest(`name in URL does not match name in Eviction object: ${info.name}`);
  }
  return deleteOptionsFrom(withDryRun(deleteOptions ?? {}, info.query.getAll('dryRun')));
}

/** The options of the object, and the query where they do not say whether it is only a try. */
function withDryRun(
  options: { readonly dryRun?: readonly string[] | null },
  asked: readonly string[],
): object {
  const { dryRun } = options;
  if (dryRun === null || dryRun === undefined || dryRun.length === 0) {
    return { ...options, dryRun: asked };
  }
  if (asked.length === 0 || asked.join() === dryRun.join()) return options;
  const both = `[${asked.join(' ')}] and [${dryRun.join(' ')}]`;
  throw badRequest(`Non-matching dry-run options in request and content: ${both}`);
}

function readPod(parts: Parts, served: Served, { namespace, name }: Call['info']): Pod {
  const entry = parts.store.get(keyOf(served.resource, namespace, name));
  if (entry === undefined) throw notFound(groupResource(served), name);
  return decodeEntry<Pod>(entry);
}

interface Going {
  readonly options: DeleteOptions;
  readonly pod: Pod;
}

/** No budget was asked, which may only hold for the pod as it was (`unchanged`). */
async function evictUnasked(
  parts: Parts,
  call: Call,
  { options, pod, unchanged }: Going & { readonly unchanged: boolean },
): Promise<void> {
  const { resourceVersion } = pod.metadata;
  const own = options.preconditions?.resourceVersion === undefined;
  if (!unchanged || !own) return markAndDelete(parts, call, { options, pod });
  const preconditions = { ...options.preconditions, resourceVersion };
  try {
    await markAndDelete(parts, call, { options: { ...options, preconditions }, pod });
  } catch (error) {
    // The pod has changed meanwhile, so the question has to be asked anew.
    if (isReason(error, 'Conflict')) throw beingProcessed(pod.metadata.name ?? '');
    throw error;
  }
}

async function markAndDelete(parts: Parts, call: Call, { options, pod }: Going): Promise<void> {
  const { served, info } = call;
  const wanted = options.preconditions?.resourceVersion;
  const marked = options.dryRun ? pod : await mark(parts, call, wanted);
  const { resourceVersion } = marked.metadata;
  const preconditions =
    wanted === undefined ? options.preconditions : { ...options.preconditions, resourceVersion };
  await deleteObject(parts, {
    served,
    namespace: info.namespace,
    name: info.name,
    options: { ...options, preconditions },
  });
}

/** Says in the pod's status why it goes. */
async function mark(parts: Parts, call: Call, wanted: string | undefined): Promise<KubeObject> {
  const { served, info, identity } = call;
  const written = await changeObject(parts, {
    served,
    namespace: info.namespace,
    name: info.name,
    identity,
    subresource: 'status',
    dryRun: false,
    insists: wanted !== undefined,
    next: (hub) => {
      if (wanted !== undefined && hub.metadata.resourceVersion !== wanted) {
        throw conflict(groupResource(served), info.name);
      }
      // What is stored under a pod's key has this shape.
      return withCondition(hub as Pod, formatTime(parts.clock.now()));
    },
  });
  return written.type === 'entry' ? decodeEntry(written.entry) : written.hub;
}

function withCondition(pod: Pod, now: string): Pod {
  const { conditions = [] } = pod.status ?? {};
  const type = 'DisruptionTarget';
  const before = conditions.find((one) => one.type === type);
  if (before?.status === 'True' && before.reason === 'EvictionByEvictionAPI') return pod;
  const condition = {
    type,
    status: 'True',
    reason: 'EvictionByEvictionAPI',
    message: 'Eviction API: evicting',
    lastTransitionTime: now,
  };
  const others = conditions.filter((one) => one !== before);
  return { ...pod, status: { ...pod.status, conditions: [...others, condition] } };
}
