/**
 * Stops every pod of a container runtime: containers get TERM and their time, then the sandboxes
 * go. Used when a cluster stops for good; the objects stay in the store, and the next start makes
 * the pods anew.
 */
import type { Runtime } from '#cri';
import type { Logger } from '#kit/log.ts';

const limits = { graceSeconds: 10, atOnce: 16 } as const;

export async function stopAllPods(
  deps: { readonly runtime: Runtime; readonly log: Logger },
  options: { readonly signal: AbortSignal },
): Promise<void> {
  const { runtime, log } = deps;
  const containers = await runtime.listContainers({}, options);
  const sandboxes = await runtime.listPodSandboxes({}, options);
  const attempt = async (what: string, id: string, action: () => Promise<void>): Promise<void> => {
    try {
      await action();
    } catch (error) {
      options.signal.throwIfAborted();
      log.warn('pod not stopped cleanly', { what, id, error });
    }
  };
  await inParallel(containers, ({ id }) =>
    attempt('container', id, () =>
      runtime.stopContainer(id, { ...options, graceSeconds: limits.graceSeconds }),
    ),
  );
  await inParallel(sandboxes, ({ id }) =>
    attempt('sandbox', id, async () => {
      await runtime.stopPodSandbox(id, options);
      await runtime.removePodSandbox(id, options);
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
