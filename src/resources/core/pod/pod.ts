/**
 * Pod: containers that run together on one node. The most-written kind; its parts are
 * `defaults.ts`, `spec-validation.ts` and its neighbours, `update-validation.ts`, `columns.ts`.
 */
import { forbidden } from '#api/field-error.ts';
import { defineResource, type Resource, type WriteContext } from '#api/resource.ts';
import { jsonEqual } from '#kit/json-equal.ts';
import { fillIn } from '#resources/fill-in.ts';
import type { Pod, PodCondition, PodSpec, PodStatus } from '#resources/types/core-v1.ts';
import { hubView } from '#resources/view.ts';
import { validateAppArmorMatch, withAppArmorFields } from './app-armor-annotations.ts';
import { podColumns } from './columns.ts';
import { mirrorServiceAccount, setPodDefaults } from './defaults.ts';
import { ephemeralContainersUpdate } from './ephemeral-containers.ts';
import { withLabelKeys } from './label-keys.ts';
import { qosClassOf } from './qos-class.ts';
import { resizeUpdate } from './resize.ts';
import { validatePod } from './spec-validation.ts';
import { validatePodStatusUpdate, validatePodUpdate } from './update-validation.ts';
import { podWarnings } from './warnings.ts';

export function podResource(): Resource {
  return defineResource<Pod>({
    kind: 'Pod',
    plural: 'pods',
    singular: 'pod',
    shortNames: ['po'],
    categories: ['all'],
    namespaced: true,
    storagePrefix: 'pods',
    views: [
      hubView<Pod>({
        group: '',
        version: 'v1',
        definition: 'io.k8s.api.core.v1.Pod',
        setDefaults: (pod) => setPodDefaults(withoutOldAnnotations(pod)),
      }),
    ],
    hasStatus: true,
    specChanged: (next, old) => !jsonEqual(next.spec, old.spec),
    prepareForCreate,
    prepareForUpdate: (next, old) => ({ ...next, status: old.status }),
    prepareForStatusUpdate: (next, old) => ({
      ...next,
      metadata: { ...next.metadata, ownerReferences: old.metadata.ownerReferences },
      spec: old.spec,
      status: preparedStatus(next.status ?? {}, old.status ?? {}),
    }),
    validate: validatePod,
    validateNew: (pod) => [
      ...((pod.spec?.ephemeralContainers ?? []).length === 0
        ? []
        : [forbidden('spec.ephemeralContainers', 'cannot be set on create')]),
      ...validateAppArmorMatch(pod),
    ],
    validateUpdate: validatePodUpdate,
    validateStatusUpdate: validatePodStatusUpdate,
    partialUpdates: { ephemeralcontainers: ephemeralContainersUpdate, resize: resizeUpdate },
    warnings: podWarnings,
    columns: podColumns(),
    selectableFields: {
      'spec.nodeName': ({ spec }) => spec?.nodeName ?? '',
      'spec.host': ({ spec }) => spec?.nodeName ?? '',
      'spec.restartPolicy': ({ spec }) => spec?.restartPolicy ?? '',
      'spec.schedulerName': ({ spec }) => spec?.schedulerName ?? '',
      'spec.serviceAccountName': ({ spec }) => spec?.serviceAccountName ?? '',
      'spec.hostNetwork': ({ spec }) => String(spec?.hostNetwork ?? false),
      'status.phase': ({ status }) => status?.phase ?? '',
      'status.podIP': ({ status }) => status?.podIPs?.[0]?.ip ?? status?.podIP ?? '',
      'status.podIPs': ({ status }) => status?.podIPs?.[0]?.ip ?? status?.podIP ?? '',
      'status.nominatedNodeName': ({ status }) => status?.nominatedNodeName ?? '',
    },
    gracePeriodSeconds: gracePeriodSecondsOf,
  });
}

function prepareForCreate(pod: Pod, { now }: WriteContext): Pod {
  const { spec } = pod;
  const gates = spec?.schedulingGates ?? [];
  return {
    ...pod,
    ...(spec === undefined ? {} : { spec: preparedSpec(spec, pod) }),
    status: {
      phase: 'Pending',
      qosClass: spec === undefined ? 'BestEffort' : qosClassOf(spec),
      ...(gates.length === 0 ? {} : { conditions: [gatedCondition(now)] }),
    },
  };
}

function preparedSpec(spec: PodSpec, pod: Pod): PodSpec {
  const { annotations } = pod.metadata;
  return withAppArmorFields(withLabelKeys(mirrorServiceAccount(spec), pod), annotations);
}

/** A status with what its writers may leave out, since they did not know of it. */
function preparedStatus(status: PodStatus, old: PodStatus): PodStatus {
  const generations = new Map<string, (number | undefined)[]>();
  for (const { type, observedGeneration } of old.conditions ?? []) {
    generations.set(type, [...(generations.get(type) ?? []), observedGeneration]);
  }
  const conditions = status.conditions?.map((condition) => {
    const was = generations.get(condition.type)?.shift();
    return condition.observedGeneration || was === undefined
      ? condition
      : { ...condition, observedGeneration: was };
  });
  const observedGeneration = status.observedGeneration || old.observedGeneration;
  return {
    ...fillIn(withAddresses(status), { qosClass: old.qosClass }),
    ...(observedGeneration === undefined ? {} : { observedGeneration }),
    ...(conditions === undefined ? {} : { conditions }),
  };
}

/** `podIP` is the first of `podIPs`; where they differ, it is `podIP` that counts. */
function withAddresses(status: PodStatus): PodStatus {
  const { podIP, podIPs = [] } = status;
  const first = podIPs[0]?.ip;
  if (podIP === first) return status;
  if (podIP) return { ...status, podIPs: [{ ip: podIP }] };
  return first === undefined ? status : { ...status, podIP: first };
}

function gatedCondition(now: string): PodCondition {
  const condition = {
    type: 'PodScheduled',
    status: 'False',
    // As upstream shows it; see `WireFacts`.
    lastProbeTime: null,
    lastTransitionTime: now,
    reason: 'SchedulingGated',
    message: 'Scheduling is blocked due to non-empty scheduling gates',
  };
  return condition as object as PodCondition;
}

/** A pod that no kubelet runs, or that has ended, goes at once whatever was asked for. */
function gracePeriodSecondsOf({ spec, status }: Pod): number {
  if (!spec?.nodeName || status?.phase === 'Succeeded' || status?.phase === 'Failed') return 0;
  return spec.terminationGracePeriodSeconds ?? 30;
}

/** What init containers were written in before there were fields: it is gone, and taken away. */
const oldAnnotation = /^pod\.(?:alpha|beta)\.kubernetes\.io\/init-container(?:s|-statuses)$/;

function withoutOldAnnotations(pod: Pod): Pod {
  const { metadata } = pod;
  if (metadata.annotations === undefined) return pod;
  const entries = Object.entries(metadata.annotations);
  const kept = entries.filter(([key]) => !oldAnnotation.test(key));
  if (kept.length === entries.length) return pod;
  const { annotations: _annotations, ...rest } = metadata;
  const annotations = kept.length === 0 ? {} : { annotations: Object.fromEntries(kept) };
  return { ...pod, metadata: { ...rest, ...annotations } };
}
