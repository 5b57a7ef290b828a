/**
 * What other programs in this process may add to the scheduler besides pure rules: to be asked
 * when a place is reserved, to hold a pod back before it is bound, to prepare or do the binding.
 *
 * An extension takes part in every profile. Rules of its own (`filter`, `score`) are `Plugin`s.
 */
import type { PodFacts } from '#scheduling';

export interface Placement {
  readonly pod: PodFacts;
  readonly nodeName: string;
}

export type Permission =
  | { readonly do: 'allow' }
  | { readonly do: 'reject'; readonly message: string };

export interface SchedulerExtension {
  readonly name: string;
  /** The place has been taken; a message gives it back and makes the pod wait. */
  reserve?(placement: Placement): string | undefined;
  /** What was reserved is given back, whatever went wrong. */
  unreserve?(placement: Placement): void;
  /** May wait; the pod keeps its place meanwhile. */
  permit?(placement: Placement, options: { readonly signal: AbortSignal }): Promise<Permission>;
  preBind?(placement: Placement, options: { readonly signal: AbortSignal }): Promise<void>;
  /** True where it has bound the pod itself. */
  bind?(placement: Placement, options: { readonly signal: AbortSignal }): Promise<boolean>;
  postBind?(placement: Placement): void;
}
