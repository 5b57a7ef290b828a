/**
 * Starting a whole pod again in place, because a container ended by a rule that says so
 * (`restartPolicyRules` with the action `RestartAllContainers`). Pure.
 *
 * All containers are stopped and removed, in the end the one that asked for it; then the pod begins
 * as it did at first, with its init containers, in the sandbox and with the volumes that it has. As
 * long as that lasts a condition says so, by which a kubelet that was killed meanwhile goes on.
 * `plan.ts` asks first, `status.ts` tells. Behaviour: KEP-5532.
 */
import type { Container, ContainerRestartRule, Pod } from '#resources/types/core-v1.ts';
import type { Action } from './plan.ts';
import { type ContainerFact, latestOf, type PodFacts, ruleAfter, startOrder } from './pod-facts.ts';

type Facts = Pick<PodFacts, 'pod' | 'runtime'>;

/** How a container that was removed for this ended, and why it waits. */
export const restartingAll = {
  reason: 'RestartingAllContainers',
  message: 'The container is removed because RestartAllContainers in place',
} as const;

export function mayRestartAll(pod: Pod): boolean {
  return startOrder(pod).some(({ restartPolicyRules }) =>
    (restartPolicyRules ?? []).some(isForAll),
  );
}

/** From the end that asks for it until the first container is started again. */
export function isRestartingAll({ pod, runtime }: Facts): boolean {
  if (!mayRestartAll(pod)) return false;
  const known = pod.status?.conditions?.find(({ type }) => type === 'AllContainersRestarting');
  if (known?.status === 'True') return true;
  return startOrder(pod).some((container) =>
    asksForIt(container, latestOf(runtime, container.name)),
  );
}

/** Whether anything of before is left. */
export function hasOldContainers({ pod, runtime }: Facts): boolean {
  return startOrder(pod).some(({ name }) => latestOf(runtime, name) !== undefined);
}

/** First everything that runs is stopped; when nothing does, everything is removed. */
export function planRestartAll({ pod, runtime }: Facts, graceSeconds: number): readonly Action[] {
  const own = runtime.containers.filter((fact) =>
    startOrder(pod).some(({ name }) => name === fact.name),
  );
  const alive = own.filter(({ state }) => state === 'running' || state === 'unknown');
  if (alive.length > 0) {
    const message = 'Container will be stopped, all containers of the pod are restarted';
    return alive.map((container): Action => {
      return { do: 'stopContainer', container, message, graceSeconds };
    });
  }
  const isSource = (fact: ContainerFact): boolean =>
    startOrder(pod).some((container) => container.name === fact.name && asksForIt(container, fact));
  const order = [...own.filter((fact) => !isSource(fact)), ...own.filter(isSource)];
  return order.map(({ id }): Action => ({ do: 'removeContainer', id }));
}

function asksForIt(container: Container, fact: ContainerFact | undefined): boolean {
  const rule = fact?.state === 'exited' ? ruleAfter(container, fact.exitCode) : undefined;
  return rule !== undefined && isForAll(rule);
}

function isForAll({ action }: ContainerRestartRule): boolean {
  return action === 'RestartAllContainers';
}
