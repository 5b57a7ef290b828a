/**
 * A decision that extenders have a say in: rules first, then the extenders one after another, then
 * points of both. The answers take time, so the chosen node is asked once more at the end, in one
 * synchronous stretch with taking the place.
 */

import type { Cancel } from '#client';
import { messageOf } from '#kit/error-message.ts';
import {
  type Candidates,
  type Cluster,
  type Decision,
  findCandidates,
  noCandidate,
  type PodFacts,
  type PreemptionPlan,
  type Profile,
  pickCandidate,
  type SchedulingCycle,
  type Victims,
  whyNotEligible,
} from '#scheduling';
import type { Extender } from './extender.ts';

export interface ConsultationDeps {
  readonly cycle: SchedulingCycle;
  readonly cluster: Cluster;
  readonly extenders: readonly Extender[];
}

export function concerns(extenders: readonly Extender[], { pod }: PodFacts): boolean {
  return extenders.some(
    (one) => (one.filters || one.scores || one.preempts) && one.isInterested(pod),
  );
}

export async function decideWithExtenders(
  { cycle, extenders }: ConsultationDeps,
  pod: PodFacts,
  profile: Profile,
  options: Cancel,
): Promise<Decision> {
  const prepared = cycle.prepare(pod, profile);
  if (prepared.do !== 'ask') return prepared;
  const { objections, fault, ...found } = cycle.feasible(prepared.trial, profile, {
    explained: true,
  });
  if (fault !== undefined) return { do: 'fail', message: fault };
  let { nodes } = found;
  const interested = extenders.filter((one) => one.isInterested(pod.pod));
  for (const extender of interested.filter(({ filters }) => filters)) {
    if (nodes.length === 0) break;
    try {
      const sifted = await extender.filter(pod.pod, nodes, options);
      for (const [reasons, unresolvable] of [
        [sifted.failed, false],
        [sifted.unresolvable, true],
      ] as const) {
        for (const [name, reason] of reasons) {
          const verdict = { fits: false, reasons: [reason], unresolvable } as const;
          objections.set(name, { plugin: 'Extender', verdict });
        }
      }
      nodes = sifted.nodes;
    } catch (error) {
      options.signal.throwIfAborted();
      if (extender.options.ignorable) continue;
      return { do: 'fail', message: messageOf(error) };
    }
  }
  const points = await collectPoints(interested, pod, nodes, options);
  // Nodes and pods may have changed meanwhile: from here on nothing waits.
  const again = cycle.prepare(pod, profile);
  if (again.do !== 'ask') return again;
  const left = nodes.filter(
    (node) => node.node !== undefined && again.trial.objection(node) === undefined,
  );
  if (left.length === 0) return cycle.rejected(again.trial, objections);
  const node = cycle.choose(again.trial, profile, left, points);
  return { do: 'place', node, steps: again.trial.steps(node) };
}

async function collectPoints(
  interested: readonly Extender[],
  { pod }: PodFacts,
  nodes: Parameters<Extender['prioritize']>[1],
  options: Cancel,
): Promise<ReadonlyMap<string, number>> {
  const sums = new Map<string, number>();
  if (nodes.length <= 1) return sums;
  const scorers = interested.filter(({ scores }) => scores);
  const answers = await Promise.allSettled(
    scorers.map((extender) => extender.prioritize(pod, nodes, options)),
  );
  options.signal.throwIfAborted();
  for (const answer of answers) {
    // One that fails gives no points.
    if (answer.status === 'rejected') continue;
    for (const [name, points] of answer.value) sums.set(name, (sums.get(name) ?? 0) + points);
  }
  return sums;
}

type PreemptionFacts = Parameters<typeof findCandidates>[0];

export async function preemptWithExtenders(
  { cluster, extenders }: ConsultationDeps,
  facts: PreemptionFacts,
  options: Cancel,
): Promise<PreemptionPlan> {
  const refusal = whyNotEligible(facts);
  if (refusal !== undefined) return { do: 'give up', message: refusal, clears: false };
  const candidates: Candidates = findCandidates(facts);
  if (candidates.victims.length === 0) return noCandidate(facts, candidates);
  let left: readonly Victims[] = candidates.victims;
  for (const extender of extenders) {
    if (!extender.preempts || !extender.isInterested(facts.pod.pod) || left.length === 0) continue;
    try {
      left = await extender.preempt(facts.pod.pod, left, cluster, options);
    } catch (error) {
      options.signal.throwIfAborted();
      if (extender.options.ignorable) continue;
      const message = messageOf(error);
      return { do: 'give up', message, clears: false };
    }
  }
  const best = pickCandidate(
    left.filter(({ pods }) => pods.length > 0),
    facts.nowMs,
  );
  if (best !== undefined) return { do: 'preempt', victims: best };
  return { do: 'give up', message: 'no candidate node for preemption', clears: false };
}
