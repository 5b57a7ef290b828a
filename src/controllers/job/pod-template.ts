/**
 * The pod that a Job makes: its template, the finalizer that tracks it, and, for an Indexed Job,
 * the index as label, annotation, host name and `JOB_COMPLETION_INDEX`. Pure; `job.ts` sends it.
 * Behaviour: kubernetes.io, Jobs, "Completion mode" and "Backoff limit per index".
 */
import { jobs as jobKind } from '#resources/kinds.ts';
import type { Job } from '#resources/types/batch-v1.ts';
import type { Container, Pod, PodSpec } from '#resources/types/core-v1.ts';
import { controllerReference } from '../ownership.ts';
import { judgeFailure } from './failure-policy.ts';
import type { NewPod } from './plan.ts';
import {
  failuresKey,
  ignoredFailuresKey,
  indexFailures,
  indexKey,
  trackingFinalizer,
} from './pod-facts.ts';

const nameLengthMax = 63;
const suffixLength = 5;

export function podOf(job: Job, { index, replaces }: NewPod): Pod {
  const template = job.spec?.template;
  const { labels, annotations, finalizers = [] } = template?.metadata ?? {};
  const name = job.metadata.name ?? '';
  const indexed = index === undefined ? {} : { [indexKey]: String(index) };
  const spec = template?.spec ?? { containers: [] };
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: {
      namespace: job.metadata.namespace,
      generateName: prefixOf(name, index),
      labels: { ...labels, ...indexed },
      annotations: { ...annotations, ...indexed, ...failureCounts(job, index, replaces) },
      finalizers: [...finalizers.filter((one) => one !== trackingFinalizer), trackingFinalizer],
      ownerReferences: [controllerReference(job, jobKind)],
    },
    spec: index === undefined ? spec : specWithIndex(spec, `${name}-${index}`),
  };
}

/** `pi-` or `pi-3-`; a long name is cut, so that the index stays. */
function prefixOf(name: string, index: number | undefined): string {
  if (index === undefined) return `${name}-`;
  const suffix = `-${index}-`;
  return name.slice(0, nameLengthMax - suffixLength - suffix.length) + suffix;
}

/** Only with a limit for each index: how often this index has failed before this pod. */
function failureCounts(
  job: Job,
  index: number | undefined,
  replaces: Pod | undefined,
): Readonly<Record<string, string>> {
  if (index === undefined || job.spec?.backoffLimitPerIndex === undefined) return {};
  const before = replaces === undefined ? { counted: 0, ignored: 0 } : indexFailures(replaces);
  let { counted, ignored } = before;
  if (replaces !== undefined) {
    if (judgeFailure(job.spec.podFailurePolicy, replaces).counts) counted += 1;
    else ignored += 1;
  }
  return {
    [failuresKey]: String(counted),
    ...(ignored > 0 ? { [ignoredFailuresKey]: String(ignored) } : {}),
  };
}

function specWithIndex(spec: PodSpec, hostname: string): PodSpec {
  return {
    ...spec,
    containers: spec.containers.map(withIndex),
    ...(spec.initContainers ? { initContainers: spec.initContainers.map(withIndex) } : {}),
    hostname: spec.hostname || hostname.slice(0, nameLengthMax),
  };
}

const variable = 'JOB_COMPLETION_INDEX';

function withIndex(container: Container): Container {
  const env = container.env ?? [];
  if (env.some(({ name }) => name === variable)) return container;
  const fieldRef = { fieldPath: `metadata.labels['${indexKey}']` };
  return { ...container, env: [...env, { name: variable, valueFrom: { fieldRef } }] };
}
