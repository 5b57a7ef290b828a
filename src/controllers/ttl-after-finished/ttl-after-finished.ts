/**
 * Deletes finished Jobs when their time is over (`ttlSecondsAfterFinished`), with their pods.
 *
 * `plan.ts` says when. Before the deletion the server itself is asked, since somebody may have
 * given the Job more time; the deletion holds only for that very object.
 * Behaviour: kubernetes.io, "Automatic Cleanup for Finished Jobs".
 */
import { isReason } from '#api/errors.ts';
import { objectKey } from '#api/object.ts';
import type { Informer } from '#client';
import { WorkQueue } from '#kit/work-queue.ts';
import { jobs as jobKind } from '#resources/kinds.ts';
import type { Job } from '#resources/types/batch-v1.ts';
import type { Controller, ControllerDeps } from '../controller.ts';
import { expiresAtMs } from './plan.ts';

export function openTTLAfterFinishedController(deps: ControllerDeps): Controller {
  const queue = new WorkQueue(deps);
  const jobs = deps.informers.of(jobKind);
  const enqueue = (job: Job): void => {
    const atMs = expiresAtMs(job);
    if (atMs !== undefined) queue.addAfter(objectKey(job), atMs - deps.clock.now());
  };
  jobs.addHandler({ onAdd: enqueue, onUpdate: enqueue });
  return {
    name: 'ttl-after-finished-controller',
    queue,
    reconcile: (key, { signal }) => reconcile({ ...deps, jobs, queue }, key, signal),
    workers: 1,
    sources: [jobs],
  };
}

async function reconcile(
  deps: ControllerDeps & { readonly jobs: Informer<Job>; readonly queue: WorkQueue },
  key: string,
  signal: AbortSignal,
): Promise<void> {
  const { client, clock, jobs, queue } = deps;
  const known = jobs.get(key);
  if (known === undefined || expiresAtMs(known) === undefined) return;
  const { namespace, name = '' } = known.metadata;
  try {
    const job = await client.get(jobKind, { namespace, name }, { signal });
    const atMs = expiresAtMs(job);
    if (atMs === undefined) return;
    if (atMs > clock.now()) {
      queue.addAfter(key, atMs - clock.now());
      return;
    }
    const { uid = '', resourceVersion = '' } = job.metadata;
    const options = { propagationPolicy: 'Foreground', signal } as const;
    const preconditions = { uid, resourceVersion };
    await client.delete(jobKind, { namespace, name }, { ...options, preconditions });
    const late = 'ttl_after_finished_controller_job_deletion_duration_seconds';
    deps.figures.observe(late, [], (clock.now() - atMs) / 1000);
  } catch (error) {
    if (!isReason(error, 'NotFound')) throw error;
  }
}
