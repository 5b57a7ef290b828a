/**
 * Deployments that an autoscaler sizes by what their pods use, as a stand-in measures it: the load
 * rises and falls, nobody measures for a while, the bounds change. In the end the size is what the
 * load asks for, within its bounds.
 */
import { configMaps, deployments, horizontalPodAutoscalers } from '#resources/kinds.ts';
import type { Deployment } from '#resources/types/apps-v1.ts';
import type { HorizontalPodAutoscaler, MetricSpec } from '#resources/types/autoscaling-v2.ts';
import { missingIn } from '../checkers/convergence.ts';
import { loadName, loadOf } from './metrics.ts';
import { type Actor, containersOf, deploymentOf, type User } from './user.ts';

const namespace = 'scaled';
const name = 'elastic';
/** What a pod asks for, and what of it is to be used. */
const askedMilli = 20;
const targetPercent = 50;
const tolerance = 0.1;
const share = { type: 'Utilization', averageUtilization: targetPercent } as const;
const average = { type: 'AverageValue', averageValue: '10m' } as const;
const metric = { name: loadName };
/** The same wish in four ways. */
const metrics: readonly MetricSpec[] = [
  { type: 'Resource', resource: { name: 'cpu', target: share } },
  {
    type: 'ContainerResource',
    containerResource: { name: 'cpu', container: 'c', target: share },
  },
  { type: 'Pods', pods: { metric, target: average } },
  { type: 'External', external: { metric, target: average } },
];
const steps = ['load', 'load', 'load', 'silence', 'bounds', 'roll'] as const;

export class Autoscalers implements Actor {
  readonly #user: User;

  constructor(user: User) {
    this.#user = user;
  }

  async begin(signal: AbortSignal): Promise<void> {
    const user = this.#user;
    await user.createNamespace(namespace, signal);
    const spec = { containers: containersOf(`${askedMilli}m`) };
    await user.create(deployments, deploymentOf({ namespace, name }, 1, spec), signal);
    const load = { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: loadName, namespace } };
    await user.create(configMaps, { ...load, data: { cpu: '10' } }, signal);
    const autoscaler: HorizontalPodAutoscaler = {
      apiVersion: 'autoscaling/v2',
      kind: 'HorizontalPodAutoscaler',
      metadata: { name, namespace },
      spec: {
        scaleTargetRef: { apiVersion: 'apps/v1', kind: 'Deployment', name },
        minReplicas: 1,
        maxReplicas: 6,
        metrics: [user.choose(metrics)],
        ...user.choose([
          {},
          { behavior: { scaleDown: { stabilizationWindowSeconds: 30 } } },
          {
            behavior: {
              scaleUp: { policies: [{ type: 'Pods', value: 1, periodSeconds: 60 }] },
              scaleDown: { policies: [{ type: 'Percent', value: 50, periodSeconds: 30 }] },
            },
          },
        ]),
      },
    };
    await user.create(horizontalPodAutoscalers, autoscaler, signal);
  }

  async step(signal: AbortSignal): Promise<void> {
    const user = this.#user;
    const step = user.choose(steps);
    switch (step) {
      case 'load':
        return this.#load(String(user.between(0, 80)), signal);
      case 'silence':
        return this.#load(null, signal);
      case 'bounds': {
        const spec = { minReplicas: user.between(1, 3), maxReplicas: user.between(3, 8) };
        return user.patch(horizontalPodAutoscalers, { namespace, name }, { spec }, { signal });
      }
      case 'roll': {
        const annotations = { roll: user.random.uuid() };
        const patch = { spec: { template: { metadata: { annotations } } } };
        return user.patch(deployments, { namespace, name }, patch, { signal });
      }
      default:
        step satisfies never;
    }
  }

  async settle(signal: AbortSignal): Promise<void> {
    if (loadOf(this.#user.truth, namespace) === undefined) await this.#load('40', signal);
  }

  missing(): readonly string[] {
    const { truth } = this.#user;
    const problems = [...missingIn(truth, namespace, [name])];
    const size = truth.find<Deployment>('Deployment', name, namespace)?.spec?.replicas ?? 0;
    const autoscaler = truth.find<HorizontalPodAutoscaler>(
      'HorizontalPodAutoscaler',
      name,
      namespace,
    );
    const wanted = sizeFor(loadOf(truth, namespace) ?? 0, size, autoscaler);
    if (size !== wanted) problems.push(`${size} pods share the load, not ${wanted}`);
    const { currentReplicas } = autoscaler?.status ?? {};
    if (currentReplicas !== size) problems.push(`the autoscaler counts ${currentReplicas} pods`);
    return problems;
  }

  #load(cpu: string | null, signal: AbortSignal): Promise<void> {
    const at = { namespace, name: loadName };
    return this.#user.patch(configMaps, at, { data: { cpu } }, { signal });
  }
}

/** Where it stays, once it is there: a size that the load asks for, or one near enough. */
function sizeFor(
  loadMilli: number,
  size: number,
  autoscaler: HorizontalPodAutoscaler | undefined,
): number {
  const { minReplicas = 1, maxReplicas = 1 } = autoscaler?.spec ?? {};
  const pods = Math.max(1, size);
  const [metric] = autoscaler?.spec?.metrics ?? [];
  // What is asked of each pod comes in whole thousandths, and shares in whole percents.
  const eachMilli = metric?.type === 'External' ? loadMilli / pods : Math.round(loadMilli / pods);
  const isShare = metric?.type === 'Resource' || metric?.type === 'ContainerResource';
  const exact = (eachMilli * 100) / askedMilli;
  const ratio = (isShare ? Math.floor(exact) : exact) / targetPercent;
  const isNear = ratio >= 1 - tolerance && ratio <= 1 + tolerance;
  const asked = isNear ? size : Math.ceil(ratio * pods);
  return Math.min(maxReplicas, Math.max(minReplicas, asked));
}
