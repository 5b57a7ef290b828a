/** Autoscalers in both versions: defaults, the trip through autoscaling/v1, validation, columns. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { shown, written } from '#test/descriptor.ts';
import type { HorizontalPodAutoscaler as V1 } from '../types/autoscaling-v1.ts';
import type { HorizontalPodAutoscaler, MetricSpec } from '../types/autoscaling-v2.ts';

const scaleTargetRef = { apiVersion: 'apps/v1', kind: 'Deployment', name: 'web' };

function body(spec: object, apiVersion = 'autoscaling/v2') {
  return {
    apiVersion,
    kind: 'HorizontalPodAutoscaler',
    metadata: { name: 'web', namespace: 'default', annotations: { mine: 'x' } },
    spec: { scaleTargetRef, maxReplicas: 5, ...spec },
  };
}

const create = (spec: object, apiVersion?: string) =>
  written<HorizontalPodAutoscaler>(body(spec, apiVersion));

const cpu = (averageUtilization: number): MetricSpec => ({
  type: 'Resource',
  resource: { name: 'cpu', target: { type: 'Utilization', averageUtilization } },
});

test('one replica at least and 80 % cpu unless said otherwise, in both versions', () => {
  for (const apiVersion of ['autoscaling/v2', 'autoscaling/v1']) {
    const { hub, errors } = create({}, apiVersion);
    assert.deepEqual(errors, [], apiVersion);
    assert.equal(hub.apiVersion, 'autoscaling/v2');
    assert.equal(hub.spec.minReplicas, 1);
    assert.deepEqual(hub.spec.metrics, [cpu(80)]);
  }
  assert.deepEqual(
    create({ targetCPUUtilizationPercentage: 50 }, 'autoscaling/v1').hub.spec.metrics,
    [cpu(50)],
  );
});

test('behaviour gets its policies', () => {
  const { hub } = create({ behavior: { scaleUp: { stabilizationWindowSeconds: 5 } } });
  assert.deepEqual(hub.spec.behavior, {
    scaleUp: {
      stabilizationWindowSeconds: 5,
      selectPolicy: 'Max',
      policies: [
        { type: 'Pods', value: 4, periodSeconds: 15 },
        { type: 'Percent', value: 100, periodSeconds: 15 },
      ],
    },
    scaleDown: {
      selectPolicy: 'Max',
      policies: [{ type: 'Percent', value: 100, periodSeconds: 15 }],
    },
  });
});

const everything: readonly MetricSpec[] = [
  cpu(50),
  {
    type: 'Resource',
    resource: { name: 'memory', target: { type: 'AverageValue', averageValue: '10Mi' } },
  },
  {
    type: 'ContainerResource',
    containerResource: {
      name: 'cpu',
      container: 'web',
      target: { type: 'Utilization', averageUtilization: 70 },
    },
  },
  {
    type: 'Pods',
    pods: {
      metric: { name: 'rps', selector: { matchLabels: { a: 'b' } } },
      target: { type: 'AverageValue', averageValue: '1k' },
    },
  },
  {
    type: 'Object',
    object: {
      describedObject: { kind: 'Service', name: 'web' },
      metric: { name: 'hits' },
      target: { type: 'Value', value: '2k' },
    },
  },
  {
    type: 'External',
    external: {
      metric: { name: 'queue', selector: { matchLabels: { q: '1' } } },
      target: { type: 'AverageValue', averageValue: '30' },
    },
  },
];

test('a client of autoscaling/v1 reads and writes without losing what it cannot see', () => {
  const { hub } = create({ metrics: everything, behavior: { scaleDown: {} } });
  const stored: HorizontalPodAutoscaler = {
    ...hub,
    status: {
      desiredReplicas: 2,
      currentReplicas: 2,
      conditions: [{ type: 'AbleToScale', status: 'True' }],
      currentMetrics: [
        {
          type: 'Resource',
          resource: { name: 'cpu', current: { averageUtilization: 40, averageValue: '40m' } },
        },
        {
          type: 'Object',
          object: {
            describedObject: { kind: 'Service', name: 'web' },
            metric: { name: 'hits' },
            current: { value: '1k' },
          },
        },
      ],
    },
  };
  const view = shown(stored, 'autoscaling/v1') as V1;
  assert.equal(view.apiVersion, 'autoscaling/v1');
  assert.equal(view.spec.targetCPUUtilizationPercentage, 50);
  assert.equal(view.status?.currentCPUUtilizationPercentage, 40);
  assert.equal(view.metadata.annotations?.['mine'], 'x');
  const { view: v1 } = create({}, 'autoscaling/v1');
  const wire = JSON.parse(JSON.stringify(view));
  const back = v1.toHub?.(wire) as HorizontalPodAutoscaler;
  assert.deepEqual(back.metadata.annotations, { mine: 'x' });
  // The metric that v1 has a field for comes last, as upstream converts it.
  assert.deepEqual(back.spec.metrics, [...everything.slice(1), cpu(50)]);
  assert.deepEqual(back.spec.behavior, hub.spec.behavior);
  assert.deepEqual(JSON.parse(JSON.stringify(back.status)), stored.status);
});

test('annotations that are no JSON are ignored', () => {
  const broken = { ...body({}, 'autoscaling/v1') };
  const metadata = {
    ...broken.metadata,
    annotations: { 'autoscaling.alpha.kubernetes.io/metrics': '{' },
  };
  assert.deepEqual(written<HorizontalPodAutoscaler>({ ...broken, metadata }).hub.spec.metrics, [
    cpu(80),
  ]);
});

test('autoscalers that are refused', () => {
  const cases: readonly [object, string][] = [
    [
      { maxReplicas: 0 },
      'spec.maxReplicas: Required value: must be set and greater than 0|spec.maxReplicas: Invalid value: 0: must be greater than or equal to `minReplicas`',
    ],
    [
      { minReplicas: 0 },
      'spec.minReplicas: Invalid value: 0: must be greater than or equal to 1|spec.metrics: Forbidden: must specify at least one Object or External metric to support scaling to zero replicas',
    ],
    [
      { minReplicas: 6 },
      'spec.maxReplicas: Invalid value: 5: must be greater than or equal to `minReplicas`',
    ],
    [
      { scaleTargetRef: { kind: 'Deployment' } },
      'spec.scaleTargetRef.name: Required value|spec.scaleTargetRef.apiVersion: Invalid value: "": apiVersion must specify API group',
    ],
    [{ scaleTargetRef: { kind: 'ReplicationController', name: 'a' } }, ''],
    [
      { metrics: [{ type: 'Magic' }] },
      'spec.metrics[0].type: Unsupported value: "Magic": supported values: "ContainerResource", "External", "Object", "Pods", "Resource"|spec.metrics[0].type: Unsupported value: "Magic": supported values: "ContainerResource", "External", "Object", "Pods", "Resource"',
    ],
    [
      { metrics: [{ type: 'Pods' }] },
      'spec.metrics[0].pods: Required value: must populate information for the given metric source',
    ],
    [
      { behavior: { scaleUp: { stabilizationWindowSeconds: 3601 } } },
      'spec.behavior.scaleUp.stabilizationWindowSeconds: Invalid value: 3601: must be less than or equal to 3600',
    ],
  ];
  for (const [spec, text] of cases) assert.equal(create(spec).errors.join('|'), text);
  assert.deepEqual(create({ minReplicas: 0, metrics: everything.slice(4, 5) }).errors, []);
});

test('autoscalers in a list', () => {
  const { hub, resource } = create({ metrics: everything });
  const currentMetrics = [
    { type: 'Resource', resource: { name: 'cpu', current: { averageUtilization: 10 } } },
  ];
  const row: HorizontalPodAutoscaler = {
    ...hub,
    status: { desiredReplicas: 1, currentReplicas: 3, currentMetrics },
  };
  assert.deepEqual(
    resource.columns.slice(1, 6).map(({ name, cell }) => `${name} ${cell(row, 0)}`),
    [
      'Reference Deployment/web',
      'Targets cpu: 10%/50%, memory: <unknown>/10Mi + 4 more...',
      'MinPods 1',
      'MaxPods 5',
      'Replicas 3',
    ],
  );
});
