/**
 * What pods and their containers use, as the runtime and the kernel's links count it.
 *
 * `readPodFigures` is what all of the server's figures begin with: `metrics.ts`, `summary.ts`,
 * `counted-pods.ts`. Usage per second is computed from two looks.
 */
import type { Received } from '#cri';
import type { Pod } from '#resources/types/core-v1.ts';
import { statsByPod } from '../eviction/usage.ts';
import type { InterfaceFigures } from '../node/node-figures.ts';
import type { KubeletParts } from '../parts.ts';
import { podLabels } from '../pods/pod-facts.ts';

export interface ContainerFigures {
  readonly id: string;
  readonly name: string;
  readonly startedAtMs: number;
  readonly atMs: number;
  readonly cpuNanoseconds: number;
  readonly workingSetBytes: number;
  readonly usageBytes: number;
  readonly layerBytes: number;
  readonly layerInodes: number;
}

/** Sent and received, and thrown away on the way. */
export interface PacketFigures {
  readonly rx: number;
  readonly rxDropped: number;
  readonly tx: number;
  readonly txDropped: number;
}

export interface PodFigures {
  readonly pod: Pod;
  readonly containers: readonly ContainerFigures[];
  /** As the pod sees it; undefined for pods in the host's network. */
  readonly network?: InterfaceFigures | undefined;
  readonly packets?: PacketFigures | undefined;
}

export interface StatsParts
  extends Pick<KubeletParts, 'runtime' | 'clock' | 'log' | 'machine' | 'paths'> {
  /** Name on the host of the link to a sandbox. */
  readonly linkOf: (sandboxId: string) => string;
}

export async function readPodFigures(
  { runtime, machine, linkOf }: StatsParts,
  pods: readonly Pod[],
  { signal }: { readonly signal: AbortSignal },
): Promise<readonly PodFigures[]> {
  const [stats, containers] = await Promise.all([
    runtime.listContainerStats({ signal }),
    runtime.listContainers({ state: { state: 'CONTAINER_RUNNING' } }, { signal }),
  ]);
  const known = new Map(containers.map((container) => [container.id, container]));
  const byPod = statsByPod(stats);
  return pods.flatMap((pod): PodFigures[] => {
    const own = (byPod.get(pod.metadata.uid ?? '') ?? []).filter(({ attributes }) =>
      known.has(attributes?.id ?? ''),
    );
    if (own.length === 0) return [];
    const sandboxId = known.get(own[0]?.attributes?.id ?? '')?.podSandboxId ?? '';
    const isHost = pod.spec?.hostNetwork === true;
    return [
      {
        pod,
        containers: own.map((each) => {
          const createdAt = known.get(each.attributes?.id ?? '')?.createdAt ?? 0;
          return containerFigures(each, createdAt / 1e6);
        }),
        network: isHost ? undefined : readLink(machine, linkOf(sandboxId)),
        packets: isHost ? undefined : readPackets(machine, linkOf(sandboxId)),
      },
    ];
  });
}

function containerFigures(
  { attributes, cpu, memory, writableLayer }: Received<'ContainerStats'>,
  startedAtMs: number,
): ContainerFigures {
  return {
    id: attributes?.id ?? '',
    name: attributes?.labels[podLabels.containerName] ?? '',
    startedAtMs,
    atMs: (cpu?.timestamp ?? memory?.timestamp ?? 0) / 1e6,
    cpuNanoseconds: cpu?.usageCoreNanoSeconds?.value ?? 0,
    workingSetBytes: memory?.workingSetBytes?.value ?? 0,
    usageBytes: memory?.usageBytes?.value ?? memory?.workingSetBytes?.value ?? 0,
    layerBytes: writableLayer?.usedBytes?.value ?? 0,
    layerInodes: writableLayer?.inodesUsed?.value ?? 0,
  };
}

/** Undefined where the link is gone, or goes while it is read. */
function readLinkFigures(
  machine: StatsParts['machine'],
  link: string,
  names: readonly string[],
): readonly number[] | undefined {
  const texts = names.map((name) => machine.readFile(`/sys/class/net/${link}/statistics/${name}`));
  return texts.includes('') ? undefined : texts.map(Number);
}

function readPackets(machine: StatsParts['machine'], link: string): PacketFigures | undefined {
  const names = ['tx_packets', 'tx_dropped', 'rx_packets', 'rx_dropped'];
  const figures = readLinkFigures(machine, link, names);
  if (figures === undefined) return undefined;
  const [rx = 0, rxDropped = 0, tx = 0, txDropped = 0] = figures;
  return { rx, rxDropped, tx, txDropped };
}

/** What the host sends into the link is what the pod receives. */
function readLink(machine: StatsParts['machine'], link: string): InterfaceFigures | undefined {
  const names = ['tx_bytes', 'tx_errors', 'rx_bytes', 'rx_errors'];
  const figures = readLinkFigures(machine, link, names);
  if (figures === undefined) return undefined;
  const [rxBytes = 0, rxErrors = 0, txBytes = 0, txErrors = 0] = figures;
  return { name: 'eth0', rxBytes, rxErrors, txBytes, txErrors };
}

/** Processor time per second, from this look and the one before. */
export class Rates {
  readonly #last = new Map<string, { readonly atMs: number; readonly nanoseconds: number }>();

  /** Billionths of a processor; undefined at the first look. */
  of(id: string, nanoseconds: number, atMs: number): number | undefined {
    const last = this.#last.get(id);
    this.#last.set(id, { atMs, nanoseconds });
    if (last === undefined || atMs <= last.atMs || nanoseconds < last.nanoseconds) return undefined;
    return Math.round(((nanoseconds - last.nanoseconds) * 1000) / (atMs - last.atMs));
  }

  /** Forgets all that are not among these. */
  keep(ids: ReadonlySet<string>): void {
    for (const id of this.#last.keys()) if (!ids.has(id)) this.#last.delete(id);
  }
}
