/**
 * Where a pod may run and how well it would run there: facts in, verdicts out, no I/O.
 *
 * `cluster.ts` is the picture that decisions are made from; a `Profile` says which rules count, one
 * file each in `plugins/`; `cycle.ts` decides for one pod, `preemption.ts` makes room. The
 * scheduler calls this for each pending pod, and a review of the API server to say why one waits.
 */
export { type Amounts, amountsOf, isResizeInfeasible } from './amounts.ts';
export { Cluster } from './cluster.ts';
export { type Decision, enoughNodes, type Feasible, SchedulingCycle } from './cycle.ts';
export { type Explanation, explain, type NodeExplanation } from './explanation.ts';
export {
  backedResources,
  earlierClaim,
  keyOfMade,
} from './extended-claims.ts';
export { type Facts, factsOf, type Reader, readerOf } from './facts.ts';
export { type FitFailure, fitMessage, rejectingPlugins } from './fit-failure.ts';
export { type Objection, prepare, scoreNodes, type Trial } from './framework.ts';
export type { CycleMeter, PointStatus } from './metered.ts';
export { NodeInfo } from './node-info.ts';
/** For the pods of DaemonSets, which choose their nodes by the same rules. */
export { matchesChoice as matchesRequired } from './node-selector.ts';
export type { BindStep, ClaimToMake, ClusterChange, DeviceAllocation, Plugin } from './plugin.ts';
export { claimOutOfReach } from './plugins/dynamic-resources.ts';
export { hasEnded, type PodFacts, podFacts } from './pod-facts.ts';
export {
  type Candidates,
  findCandidates,
  noCandidate,
  type PreemptionPlan,
  pickCandidate,
  planPreemption,
  type Victims,
  whyNotEligible,
} from './preemption.ts';
export {
  changeHelps,
  defaultProfile,
  defaultWeights,
  type Hold,
  heldBack,
  openPlugins,
  type PluginArgs,
  type PreemptionArgs,
  type Profile,
  preemptionDefaults,
} from './profile.ts';
export { toleratesAll, toleratesDevice } from './tolerations.ts';
