/**
 * `pods/NAME/binding`: the scheduler's word on where a pod runs. It is said once: a pod that has a
 * node, or that is being deleted, cannot be bound.
 */
import { badRequest, conflict, success } from '#api/errors.ts';
import type { KubeObject } from '#api/object.ts';
import { formatTime } from '#kit/clock.ts';
import type { Binding, Pod, PodCondition } from '#resources/types/core-v1.ts';
import type { Parts } from '../parts.ts';
import { viewObject } from '../registry.ts';
import type { Answer, Call } from '../request.ts';
import { isDryRun, readJson } from '../verbs/body.ts';
import { changeObject } from '../verbs/update.ts';
import { groupResource, throwInvalid } from '../verbs/write.ts';

export async function bind(parts: Parts, call: Call): Promise<Answer> {
  const { served, info, identity } = call;
  const { json } = await readJson(parts, call.request, { duplicates: false });
  if (json === null || typeof json !== 'object') throw badRequest('the body must be a Binding');
  // Parse boundary: the fields that matter are checked below.
  const binding = json as Partial<Binding>;
  const node = binding.target?.name;
  if (typeof node !== 'string' || node === '') {
    throwInvalid(served, info.name, [
      { type: 'FieldValueRequired', field: 'target.name', badValue: '', detail: '' },
    ]);
  }
  const now = formatTime(parts.clock.now());
  await changeObject(parts, {
    served,
    namespace: info.namespace,
    name: info.name,
    identity,
    subresource: 'binding',
    dryRun: isDryRun(info.query.getAll('dryRun')),
    insists: false,
    next: (hub) => viewObject(served, bound(call, hub, { binding, node: String(node), now })),
  });
  return { type: 'value', status: 201, value: { ...success(), code: 201 } };
}

function bound(
  { served, info }: Call,
  hub: KubeObject,
  {
    binding,
    node,
    now,
  }: { readonly binding: Partial<Binding>; readonly node: string; readonly now: string },
): KubeObject {
  // Routing checked the kind.
  const pod = hub as unknown as Pod;
  const { name } = info;
  const of = groupResource(served);
  const uid = binding.metadata?.uid ?? '';
  if (uid !== '' && uid !== hub.metadata.uid) {
    throw conflict(
      of,
      name,
      `Precondition failed: UID in precondition: ${uid}, UID in object meta: ${hub.metadata.uid ?? ''}`,
    );
  }
  if (hub.metadata.deletionTimestamp !== undefined) {
    throw conflict(
      { group: '', resource: 'pods/binding' },
      name,
      `pod ${name} is being deleted, cannot be assigned to a host`,
    );
  }
  const already = pod.spec?.nodeName ?? '';
  if (already !== '') {
    throw conflict(
      { group: '', resource: 'pods/binding' },
      name,
      `pod ${name} is already assigned to node ${JSON.stringify(already)}`,
    );
  }
  const conditions = pod.status?.conditions ?? [];
  const before = conditions.find(({ type }) => type === 'PodScheduled');
  const scheduled: PodCondition = {
    type: 'PodScheduled',
    status: 'True',
    lastTransitionTime: before?.status === 'True' ? (before.lastTransitionTime ?? now) : now,
  };
  return {
    ...hub,
    metadata: {
      ...hub.metadata,
      annotations: annotations(hub, binding),
      resourceVersion: undefined,
    },
    spec: { ...pod.spec, nodeName: node },
    status: {
      ...pod.status,
      conditions: [...conditions.filter(({ type }) => type !== 'PodScheduled'), scheduled],
    },
  } as KubeObject;
}

/** Annotations of the binding go onto the pod. */
function annotations(
  hub: KubeObject,
  { metadata }: Partial<Binding>,
): Readonly<Record<string, string>> | undefined {
  if (metadata?.annotations === undefined) return hub.metadata.annotations;
  return { ...hub.metadata.annotations, ...metadata.annotations };
}
