/**
 * `/stats/summary`: what pods use, from the runtime's figures, in the form that metrics collectors
 * ask for.
 */
import type { ServerResponse } from 'node:http';
import type { Received } from '#cri';
import { formatTime } from '#kit/clock.ts';
import type { Pod } from '#resources/types/core-v1.ts';
import { podLabels } from './pod-facts.ts';
import type { ServerParts } from './server.ts';

export async function answerStats(
  { runtime }: ServerParts,
  pods: readonly Pod[],
  response: ServerResponse,
  signal: AbortSignal,
): Promise<void> {
  const stats = await runtime.listContainerStats({ signal });
  const summary = {
    node: { nodeName: pods[0]?.spec?.nodeName ?? '' },
    pods: pods.map((pod) => podSummary(pod, stats)),
  };
  response.writeHead(200, { 'content-type': 'application/json' });
  response.end(JSON.stringify(summary));
}

function podSummary(pod: Pod, stats: readonly Received<'ContainerStats'>[]): unknown {
  const { name, namespace, uid } = pod.metadata;
  const own = stats.filter(({ attributes }) => attributes?.labels[podLabels.podUid] === uid);
  return {
    podRef: { name, namespace, uid },
    startTime: pod.status?.startTime,
    containers: own.map((each) => ({
      name: each.attributes?.labels[podLabels.containerName],
      cpu: {
        time: timeOf(each.cpu?.timestamp),
        usageCoreNanoSeconds: each.cpu?.usageCoreNanoSeconds?.value,
        usageNanoCores: each.cpu?.usageNanoCores?.value,
      },
      memory: {
        time: timeOf(each.memory?.timestamp),
        workingSetBytes: each.memory?.workingSetBytes?.value,
        usageBytes: each.memory?.usageBytes?.value,
      },
      rootfs: { usedBytes: each.writableLayer?.usedBytes?.value },
    })),
  };
}

function timeOf(nanoseconds: number | undefined): string | undefined {
  return nanoseconds === undefined ? undefined : formatTime(nanoseconds / 1e6);
}
