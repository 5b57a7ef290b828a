/**
 * Tells the runtime from which addresses the node's pods come, at the start and whenever that
 * changes: runtimes whose network is made of a template wait for it, others pass it over. Called
 * once, by `kubelet.ts`.
 */
import type { Informer } from '#client';
import type { Runtime } from '#cri';
import type { Node } from '#resources/types/core-v1.ts';
import type { KubeletParts } from '../parts.ts';

export function followPodRange(
  { runtime, log }: Pick<KubeletParts, 'log'> & { readonly runtime: Pick<Runtime, 'setPodRange'> },
  node: Pick<Informer<Node>, 'addHandler'>,
  options: {
    readonly podCIDR?: string | undefined;
    readonly registers?: boolean | undefined;
  },
  spawn: (task: (signal: AbortSignal) => Promise<void>) => void,
): void {
  let told = '';
  const tell = (range: string): void => {
    if (range === '' || range === told) return;
    told = range;
    spawn(async (signal) => {
      try {
        await runtime.setPodRange(range, { signal });
      } catch (error) {
        if (signal.aborted) throw error;
        // Perhaps it was just starting: the next news of the node tell it again.
        if (told === range) told = '';
        log.warn('the runtime does not take the range of pods', { range, error });
      }
    });
  };
  const look = ({ spec }: Node): void => tell((spec?.podCIDRs ?? [spec?.podCIDR ?? '']).join(','));
  node.addHandler({ onAdd: look, onUpdate: look });
  // Nobody else says it where there is no Node of ours.
  if (options.registers === false) tell(options.podCIDR ?? '');
}
