/**
 * Stops every pod of a container runtime: containers get TERM and their time, then the sandboxes
 * go. Used when a cluster stops for good; the objects stay in the store, and the next start makes
 * the pods anew. One that the runtime never stops holds up no other: its processes end with all
 * that is left of the cluster.
 */
import type { Runtime } from '#cri';
import type { Clock } from '#kit/clock.ts';
import type { Logger } from '#kit/log.ts';

const limits = { graceSeconds: 10, containerMs: 20_000, sandboxMs: 10_000, atOnce: 16 } as const;

export async function stopAllPods(
  deps: { readonly runtime: Runtime; readonly clock: Clock; readonly log: Logger },
  options: { readonly signal: AbortSignal },
): Promise<void> {
  const { runtime, clock, log } = deps;
  const containers = await runtime.listContainers({}, options);
  const sandboxes = await runtime.listPodSandboxes({}, options);
  const attempt = async (
    { what, id, limitMs }: { readonly what: string; readonly id: string; readonly limitMs: number },
    action: (options: { readonly signal: AbortSignal }) => Promise<void>,
  ): Promise<void> => {
    const limit = new AbortController();
    const cancel = clock.after(limitMs, () =>
      limit.abort(new Error(`the runtime did not stop it within ${limitMs / 1000} s`)),
    );
    try {
      await action({ signal: AbortSignal.any([options.signal, limit.signal]) });
    } catch (error) {
      options.signal.throwIfAborted();
      log.warn('pod not stopped cleanly', { what, id, error });
    } finally {
      cancel();
    }
  };
  const { graceSeconds, containerMs, sandboxMs } = limits;
  await inParallel(containers, ({ id }) =>
    attempt({ what: 'container', id, limitMs: containerMs }, ({ signal }) =>
      runtime.stopContainer(id, { signal, graceSeconds }),
    ),
  );
  await inParallel(sandboxes, ({ id }) =>
    attempt({ what: 'sandbox', id, limitMs: sandboxMs }, async ({ signal }) => {
      await runtime.stopPodSandbox(id, { signal });
      await runtime.removePodSandbox(id, { signal });
    }),
  );
  log.info('pods stopped', { sandboxes: sandboxes.length });
}

async function inParallel<T>(items: readonly T[], run: (item: T) => Promise<void>): Promise<void> {
  const queue = [...items];
  const worker = async (): Promise<void> => {
    for (let item = queue.shift(); item !== undefined; item = queue.shift()) await run(item);
  };
  await Promise.all(Array.from({ length: limits.atOnce }, worker));
}
