/**
 * Writes what a pod needs before it may be bound, as its rules have planned: volumes become its
 * claims', whoever provisions learns the node, devices are allocated. Then waits until it is so.
 */
import type { BindStep } from '#scheduling';
import type { Placement } from './extension.ts';

export interface StepPerformer {
  perform(
    placement: Placement,
    steps: readonly BindStep[],
    options: { readonly signal: AbortSignal },
  ): Promise<void>;
}

export const noSteps: StepPerformer = { perform: async () => {} };
