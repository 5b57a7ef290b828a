/**
 * Extenders: programs outside that have a say over HTTP.
 */
import type { Pod } from '#resources/types/core-v1.ts';

export interface ExtenderBinder {
  isInterested(pod: Pod): boolean;
  bind(pod: Pod, nodeName: string, options: { readonly signal: AbortSignal }): Promise<void>;
}
