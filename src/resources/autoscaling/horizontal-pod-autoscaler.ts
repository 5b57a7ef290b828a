/**
 * HorizontalPodAutoscaler: keeps the number of pods of a workload between two bounds, by metrics.
 * Stored as autoscaling/v2; `v1-view.ts` shows it as autoscaling/v1.
 */
import { defineResource, type Resource } from '#api/resource.ts';
import { ageColumn, nameColumn } from '../columns.ts';
import { fillIn } from '../fill-in.ts';
import type {
  HorizontalPodAutoscaler,
  HorizontalPodAutoscalerBehavior,
  HPAScalingRules,
} from '../types/autoscaling-v2.ts';
import { hubView } from '../view.ts';
import { targetsText } from './targets-text.ts';
import { autoscalingV1View } from './v1-view.ts';
import { validateAutoscalerStatus, validateHorizontalPodAutoscaler } from './validation.ts';

export function horizontalPodAutoscalerResource(): Resource {
  return defineResource<HorizontalPodAutoscaler>({
    kind: 'HorizontalPodAutoscaler',
    plural: 'horizontalpodautoscalers',
    singular: 'horizontalpodautoscaler',
    shortNames: ['hpa'],
    categories: ['all'],
    namespaced: true,
    storagePrefix: 'horizontalpodautoscalers',
    metadataRechecked: 'change',
    views: [
      hubView<HorizontalPodAutoscaler>({
        group: 'autoscaling',
        version: 'v2',
        definition: 'io.k8s.api.autoscaling.v2.HorizontalPodAutoscaler',
        setDefaults,
      }),
      autoscalingV1View(),
    ],
    hasStatus: true,
    specChanged: () => false,
    prepareForCreate: (autoscaler) => ({ ...autoscaler, status: emptyStatus }),
    prepareForUpdate: (next, old) => ({ ...next, status: old.status }),
    prepareForStatusUpdate: (next, old) => ({ ...next, spec: old.spec }),
    validate: validateHorizontalPodAutoscaler,
    validateStatusUpdate: validateAutoscalerStatus,
    columns: [
      nameColumn(),
      {
        name: 'Reference',
        type: 'string',
        description: 'What is scaled.',
        priority: 0,
        cell: ({ spec }) => `${spec.scaleTargetRef.kind}/${spec.scaleTargetRef.name}`,
      },
      {
        name: 'Targets',
        type: 'string',
        description: 'Metrics as they are, and as they should be.',
        priority: 0,
        cell: targetsText,
      },
      {
        name: 'MinPods',
        type: 'string',
        description: 'Lower bound.',
        priority: 0,
        cell: ({ spec }) => (spec.minReplicas === undefined ? '<unset>' : String(spec.minReplicas)),
      },
      {
        name: 'MaxPods',
        type: 'string',
        description: 'Upper bound.',
        priority: 0,
        cell: ({ spec }) => spec.maxReplicas,
      },
      {
        name: 'Replicas',
        type: 'string',
        description: 'Pods at the moment.',
        priority: 0,
        cell: ({ status }) => status?.currentReplicas ?? 0,
      },
      ageColumn(),
    ],
  });
}

/** As upstream shows it; see `WireFacts` for the null. */
const emptyStatus = { desiredReplicas: 0, currentMetrics: null } as object as NonNullable<
  HorizontalPodAutoscaler['status']
>;

function setDefaults(autoscaler: HorizontalPodAutoscaler): HorizontalPodAutoscaler {
  // A body without a spec reaches validation, which says what is missing.
  if (autoscaler.spec === undefined) return autoscaler;
  let spec = fillIn(autoscaler.spec, { minReplicas: 1 });
  if ((spec.metrics ?? []).length === 0) {
    const target = { type: 'Utilization', averageUtilization: 80 };
    spec = { ...spec, metrics: [{ type: 'Resource', resource: { name: 'cpu', target } }] };
  }
  if (spec.behavior !== undefined) {
    spec = { ...spec, behavior: setBehaviorDefaults(spec.behavior) };
  }
  return { ...autoscaler, spec };
}

const scaleUpDefaults: HPAScalingRules = {
  stabilizationWindowSeconds: 0,
  selectPolicy: 'Max',
  policies: [
    { type: 'Pods', value: 4, periodSeconds: 15 },
    { type: 'Percent', value: 100, periodSeconds: 15 },
  ],
};

const scaleDownDefaults: HPAScalingRules = {
  selectPolicy: 'Max',
  policies: [{ type: 'Percent', value: 100, periodSeconds: 15 }],
};

function setBehaviorDefaults(
  behavior: HorizontalPodAutoscalerBehavior,
): HorizontalPodAutoscalerBehavior {
  return {
    scaleUp: fillIn(behavior.scaleUp ?? {}, scaleUpDefaults),
    scaleDown: fillIn(behavior.scaleDown ?? {}, scaleDownDefaults),
  };
}
