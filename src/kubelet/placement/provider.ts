/**
 * Somebody who gives something of the node to containers before they begin: processors, memory,
 * devices. `placer.ts` asks each where it could give, and then to give.
 */
import type { Container, Pod } from '#resources/types/core-v1.ts';
import type { Refusal } from '../node/admission.ts';
import type { Hint, Hints } from './hints.ts';

export interface Provider {
  /** Where it could give what a container needs, or all that the pod needs. */
  hints(
    pod: Pod,
    container: Container | undefined,
    options: { readonly nodes: readonly number[] },
  ): Hints;
  /** Undefined: it has what it needs, or needs nothing. What was given before stays its own. */
  allocate(
    pod: Pod,
    container: Container,
    options: { readonly hint: Hint; readonly signal: AbortSignal },
  ): Promise<Refusal | undefined>;
}

/** Nobody has said where to give. */
export const anywhere: Hint = { mask: undefined, preferred: false };

/** For what goes wrong without that a user did anything wrong. */
export function unexpected(problem: string): Refusal {
  const message = `Allocate failed due to ${problem}, which is unexpected`;
  return { reason: 'UnexpectedAdmissionError', message };
}
