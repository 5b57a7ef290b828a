/**
 * What `coracle up` prints: one line per component with the time since start, then what to type.
 */
import type { Clock } from '#kit/clock.ts';
import type { Progress } from '../cluster.ts';

export function openProgress(deps: {
  readonly clock: Clock;
  readonly write: (line: string) => void;
}): Progress & { note(text: string): void } {
  const startMs = deps.clock.monotonic();
  const seconds = (): string => `${((deps.clock.monotonic() - startMs) / 1000).toFixed(2)} s`;
  const line = (mark: string, name: string, detail: string): void =>
    deps.write(`${mark} ${name.padEnd(14)} ${seconds().padStart(8)}  ${detail}\n`);
  return {
    component: ({ name, state, detail }) => line(state === 'failed' ? '!' : '+', name, detail),
    note: (text) => deps.write(`coracle: ${text}\n`),
    ready: ({ kubeconfig, isCurrentContext, keepsObjects }) => {
      const fate = keepsObjects ? 'kept for the next start' : 'in memory only, and then gone';
      line('+', 'cluster', 'ready');
      const prefix = isCurrentContext ? 'kubectl' : `kubectl --kubeconfig ${kubeconfig}`;
      deps.write(
        [
          '',
          'Now type, in another terminal:',
          `  ${prefix} apply -f examples/web/`,
          `  ${prefix} get pods -o wide -w`,
          `Ctrl-C stops the cluster and its pods; its objects are ${fate}.`,
          '',
        ].join('\n'),
      );
    },
  };
}
