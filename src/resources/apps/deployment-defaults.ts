/**
 * Defaults of Deployments. Each served version has its own numbers, kept from the days in which it
 * was published; the versions before apps/v1 also derive selector and labels from the template.
 */
import type { KubeObject } from '#api/object.ts';
import { setPodTemplateDefaults } from '../core/pod/defaults.ts';
import { fillIn } from '../fill-in.ts';
import type { Deployment, DeploymentSpec, DeploymentStrategy } from '../types/apps-v1.ts';

interface VersionDefaults {
  readonly maxUnavailable: number | string;
  readonly maxSurge: number | string;
  readonly revisionHistoryLimit: number;
  readonly progressDeadlineSeconds: number;
  readonly selectorFromTemplate: boolean;
}

const int32Max = 2 ** 31 - 1;

const current: VersionDefaults = {
  maxUnavailable: '25%',
  maxSurge: '25%',
  revisionHistoryLimit: 10,
  progressDeadlineSeconds: 600,
  selectorFromTemplate: false,
};

export const deploymentDefaults = {
  'apps/v1': current,
  'apps/v1beta2': current,
  'apps/v1beta1': { ...current, revisionHistoryLimit: 2, selectorFromTemplate: true },
  'extensions/v1beta1': {
    maxUnavailable: 1,
    maxSurge: 1,
    revisionHistoryLimit: int32Max,
    progressDeadlineSeconds: int32Max,
    selectorFromTemplate: true,
  },
} as const satisfies Record<string, VersionDefaults>;

export function setDeploymentDefaults(
  object: KubeObject,
  version: keyof typeof deploymentDefaults,
): KubeObject {
  // The view's schema has checked the shape.
  const deployment = object as Deployment;
  if (deployment.spec === undefined) return object;
  const defaults: VersionDefaults = deploymentDefaults[version];
  const template = setPodTemplateDefaults(deployment.spec.template ?? {});
  const labels = template.metadata?.labels;
  const spec: DeploymentSpec = fillIn(
    { ...deployment.spec, template },
    {
      replicas: 1,
      revisionHistoryLimit: defaults.revisionHistoryLimit,
      progressDeadlineSeconds: defaults.progressDeadlineSeconds,
      ...(defaults.selectorFromTemplate && labels !== undefined
        ? { selector: { matchLabels: labels } }
        : {}),
    },
  );
  const metadata =
    defaults.selectorFromTemplate && labels !== undefined
      ? fillIn(deployment.metadata, { labels })
      : deployment.metadata;
  const strategy = setStrategyDefaults(spec.strategy ?? {}, defaults);
  const next: Deployment = { ...deployment, metadata, spec: { ...spec, strategy } };
  return next;
}

function setStrategyDefaults(
  strategy: DeploymentStrategy,
  { maxUnavailable, maxSurge }: VersionDefaults,
): DeploymentStrategy {
  const next = fillIn(strategy, { type: 'RollingUpdate' });
  if (next.type !== 'RollingUpdate') return next;
  return {
    ...next,
    rollingUpdate: fillIn(next.rollingUpdate ?? {}, { maxUnavailable, maxSurge }),
  };
}
