/**
 * `pods/NAME/binding`, and a Binding made on its own: the scheduler's word on where a pod runs. It
 * is said once: a pod that has a node, or that is being deleted, cannot be bound.
 */
import type { Served } from '#api/catalog.ts';
import { badRequest, conflict, success, unexplained } from '#api/errors.ts';
import { type FieldError, formatFieldErrors, notSupported, required } from '#api/field-error.ts';
import type { KubeObject } from '#api/object.ts';
import { assert, present } from '#kit/assert.ts';
import { formatTime } from '#kit/clock.ts';
import type { Binding, Pod, PodCondition } from '#resources/types/core-v1.ts';
import { checkNamespaceAccepts } from '../admission/namespace-lifecycle.ts';
import { topologyLabelsOf } from '../admission/topology-labels.ts';
import type { Parts } from '../parts.ts';
import { viewObject } from '../registry.ts';
import type { Answer, Call } from '../request.ts';
import { readJson, readObject } from '../verbs/body.ts';
import { isDryRun } from '../verbs/options.ts';
import { changeObject } from '../verbs/update.ts';

export async function bind(parts: Parts, call: Call): Promise<Answer> {
  const { json } = await readJson(parts, call.request, { duplicates: false });
  if (json === null || typeof json !== 'object') throw badRequest('the body must be a Binding');
  // Parse boundary: the fields that matter are checked below.
  const binding = json as Partial<Binding>;
  if ((binding.metadata?.name ?? call.info.name) !== call.info.name) {
    throw badRequest('name in URL does not match name in Binding object');
  }
  return bindTo(parts, call, { served: call.served, name: call.info.name, binding });
}

/** `POST …/bindings`: the object says itself which pod is meant. */
export async function bindPod(parts: Parts, call: Call): Promise<Answer> {
  const object = await readObject(parts, call);
  const served = parts.catalog.findPlural({ group: '', version: 'v1' }, 'pods');
  const { name = '' } = object.metadata;
  if (name === '') throw badRequest('name is required');
  return bindTo(parts, call, {
    served: present(served, 'pods are served'),
    name,
    // Decoded along the schema of Binding.
    binding: object as Binding,
  });
}

interface Bound {
  readonly served: Served;
  readonly name: string;
  readonly binding: Partial<Binding>;
}

async function bindTo(parts: Parts, { info, identity }: Call, bound: Bound): Promise<Answer> {
  const { served, name } = bound;
  const { namespace } = info;
  const hub = { kind: 'Binding', apiVersion: 'v1', metadata: { name } };
  checkNamespaceAccepts(parts, { resource: served.resource, hub, namespace });
  const errors = validateBinding(bound.binding);
  // Upstream gives no reason and 500 here.
  if (errors.length > 0) throw unexplained(formatFieldErrors(errors));
  const now = formatTime(parts.clock.now());
  await changeObject(parts, {
    served,
    namespace,
    name,
    identity,
    subresource: 'binding',
    dryRun: isDryRun(info.query.getAll('dryRun')),
    insists: false,
    next: (pod) => viewObject(served, boundPod(parts, pod, { ...bound, now })),
  });
  return { type: 'value', status: 201, value: { ...success(), code: 201 } };
}

function validateBinding({ target }: Partial<Binding>): readonly FieldError[] {
  const errors: FieldError[] = [];
  const { kind = '', name = '' } = target ?? {};
  if (kind !== '' && kind !== 'Node') {
    errors.push(notSupported('target.kind', kind, ['Node', '<empty>']));
  }
  if (name === '') errors.push(required('target.name'));
  return errors;
}

function refuseBound(hub: KubeObject, { name, binding }: Bound): void {
  // Routing checked the kind.
  const { spec, metadata } = hub as Pod;
  const { uid = '', resourceVersion = '' } = binding.metadata ?? {};
  for (const [what, wanted, is = ''] of [
    ['UID', uid, metadata.uid],
    ['ResourceVersion', resourceVersion, metadata.resourceVersion],
  ] as const) {
    if (wanted === '' || wanted === is) continue;
    const why = `Precondition failed: ${what} in precondition: ${wanted}, ${what} in object meta: ${is}`;
    throw conflict({ group: '', resource: 'pods' }, name, why);
  }
  const of = { group: '', resource: 'pods/binding' };
  if (metadata.deletionTimestamp !== undefined) {
    throw conflict(of, name, `pod ${name} is being deleted, cannot be assigned to a host`);
  }
  const already = spec?.nodeName ?? '';
  if (already !== '') {
    throw conflict(of, name, `pod ${name} is already assigned to node ${JSON.stringify(already)}`);
  }
  if ((spec?.schedulingGates ?? []).length > 0) {
    throw conflict(of, name, `pod ${name} has non-empty .spec.schedulingGates`);
  }
}

function boundPod(parts: Parts, hub: KubeObject, bound: Bound & { readonly now: string }) {
  refuseBound(hub, bound);
  // Routing checked the kind.
  const pod = hub as Pod;
  const { binding, now } = bound;
  const nodeName = binding.target?.name;
  assert(nodeName !== undefined, 'a validated binding names a node');
  const { nominatedNodeName: _nominated, ...status } = pod.status ?? {};
  const conditions = status.conditions ?? [];
  const before = conditions.find(({ type }) => type === 'PodScheduled');
  const scheduled: PodCondition = {
    type: 'PodScheduled',
    status: 'True',
    lastTransitionTime: before?.status === 'True' ? (before.lastTransitionTime ?? now) : now,
  };
  const { annotations, labels } = binding.metadata ?? {};
  const topology = topologyLabelsOf(parts, nodeName);
  return {
    ...hub,
    metadata: {
      ...hub.metadata,
      annotations: merged(hub.metadata.annotations, annotations),
      labels: merged(hub.metadata.labels, { ...labels, ...topology }),
      resourceVersion: undefined,
    },
    spec: { ...pod.spec, nodeName },
    status: {
      ...status,
      conditions: [...conditions.filter(({ type }) => type !== 'PodScheduled'), scheduled],
    },
  };
}

type Texts = Readonly<Record<string, string>>;

/** What the binding says goes onto the pod. */
function merged(own: Texts | undefined, added: Texts | undefined): Texts | undefined {
  return Object.keys(added ?? {}).length === 0 ? own : { ...own, ...added };
}
