/**
 * The fields of a `KubeletConfiguration` about processors, memory, their alignment, and the
 * shutdown of the machine, read to settings of the kubelet; what cannot be used is refused with
 * upstream's words. Pure. `kubelet-settings.ts` has the other fields, and calls this.
 */
import { quantityValue } from '#api/quantity.ts';
import { parseDuration } from '#kit/duration.ts';
import { defaultSettings, type KubeletSettings, parseNumbers } from '#kubelet';
import { ConfigError } from '../settings/config.ts';

type Texts = Readonly<Record<string, string>>;

export interface PlacementFields {
  readonly systemReserved?: Texts;
  readonly kubeReserved?: Texts;
  readonly reservedSystemCPUs?: string;
  readonly cpuManagerPolicy?: string;
  readonly cpuManagerPolicyOptions?: Texts;
  readonly cpuManagerReconcilePeriod?: string;
  readonly nodeStatusUpdateFrequency?: string;
  readonly memoryManagerPolicy?: string;
  readonly reservedMemory?: readonly { readonly numaNode?: number; readonly limits?: Texts }[];
  readonly topologyManagerPolicy?: string;
  readonly topologyManagerScope?: string;
  readonly topologyManagerPolicyOptions?: Texts;
  readonly shutdownGracePeriod?: string;
  readonly shutdownGracePeriodCriticalPods?: string;
  readonly shutdownGracePeriodByPodPriority?: readonly {
    readonly priority?: number;
    readonly shutdownGracePeriodSeconds?: number;
  }[];
}

export const placementFields =
  'reservedSystemCPUs cpuManagerPolicy cpuManagerPolicyOptions cpuManagerReconcilePeriod ' +
  'memoryManagerPolicy reservedMemory topologyManagerPolicy topologyManagerScope ' +
  'topologyManagerPolicyOptions shutdownGracePeriod shutdownGracePeriodCriticalPods ' +
  'shutdownGracePeriodByPodPriority';

export function placementSettings(fields: PlacementFields): Partial<KubeletSettings> {
  const { nodeStatusUpdateFrequencyMs } = defaultSettings;
  const { nodeStatusUpdateFrequency: status } = fields;
  const statusMs =
    durationMs('nodeStatusUpdateFrequency', status, 0) || nodeStatusUpdateFrequencyMs;
  const periodMs = durationMs('cpuManagerReconcilePeriod', fields.cpuManagerReconcilePeriod, 0);
  return {
    ...reservations(fields),
    cpuManagerPolicy: oneOf(fields.cpuManagerPolicy, ['none', 'static'], unknownPolicy),
    cpuManagerPolicyOptions: fields.cpuManagerPolicyOptions ?? {},
    // As often as the status is looked at.
    cpuManagerReconcilePeriodMs: periodMs === 0 ? statusMs : periodMs,
    memoryManagerPolicy: oneOf(fields.memoryManagerPolicy, ['None', 'Static'], unknownPolicy),
    reservedMemory: reservedMemory(fields),
    topologyManagerPolicy: oneOf(
      fields.topologyManagerPolicy,
      ['none', 'best-effort', 'restricted', 'single-numa-node'],
      (text, known) => {
        const list = known.map((name) => JSON.stringify(name)).join(' ');
        const field = 'topologyManagerPolicy (--topology-manager-policy)';
        return `invalid configuration: ${field} "${text}" must be one of: [${list}]`;
      },
    ),
    topologyManagerScope: oneOf(fields.topologyManagerScope, ['container', 'pod'], (text) => {
      const field = 'topologyManagerScope (--topology-manager-scope)';
      return `invalid configuration: ${field} "${text}" must be one of: "container", or "pod"`;
    }),
    topologyManagerPolicyOptions: fields.topologyManagerPolicyOptions ?? {},
    ...shutdownSettings(fields),
  };
}

function unknownPolicy(text: string): string {
  return `unknown policy: "${text}"`;
}

/** The first one where nothing is said. */
function oneOf<T extends string>(
  text: string | undefined,
  known: readonly [T, ...T[]],
  problem: (text: string, known: readonly T[]) => string,
): T {
  if (text === undefined || text === '') return known[0];
  const found = known.find((name) => name === text);
  if (found === undefined) throw new ConfigError(problem(text, known));
  return found;
}

/** Processors that are named count instead of a number of them. */
function reservations(
  fields: PlacementFields,
): Pick<KubeletSettings, 'systemReserved' | 'kubeReserved' | 'reservedSystemCPUs'> {
  const { systemReserved = {}, kubeReserved = {}, reservedSystemCPUs = '' } = fields;
  if (reservedSystemCPUs === '') return { systemReserved, kubeReserved, reservedSystemCPUs };
  const named = parseNumbers(reservedSystemCPUs);
  if (named === undefined) {
    throw new ConfigError(
      'invalid configuration: unable to parse reservedSystemCPUs (--reserved-cpus) ' +
        `${reservedSystemCPUs}, error: strconv.Atoi: parsing ` +
        `"${reservedSystemCPUs}": invalid syntax`,
    );
  }
  const { cpu: _, ...others } = kubeReserved;
  const system = { ...systemReserved, cpu: String(named.size) };
  return { systemReserved: system, kubeReserved: others, reservedSystemCPUs };
}

function reservedMemory(fields: PlacementFields): KubeletSettings['reservedMemory'] {
  const seen = new Set<string>();
  return (fields.reservedMemory ?? []).map(({ numaNode = 0, limits = {} }) => {
    for (const [name, amount] of Object.entries(limits)) {
      const at = `NUMA node ${numaNode}`;
      if (name !== 'memory' && !name.startsWith('hugepages-')) {
        throw invalid(
          `the limit type "${name}" for ${at} is not supported, ` +
            'only [memory hugepages-<HugePageSize>] is accepted',
        );
      }
      if (quantityValue(amount) === 0) {
        throw invalid(`reserved memory may not be zero for ${at} and resource "${name}"`);
      }
      if (seen.has(`${numaNode} ${name}`)) {
        throw invalid(`the reserved memory has a duplicate value for ${at} and resource "${name}"`);
      }
      seen.add(`${numaNode} ${name}`);
    }
    return { numaNode, limits };
  });
}

function shutdownSettings(
  fields: PlacementFields,
): Pick<
  KubeletSettings,
  'shutdownGracePeriodMs' | 'shutdownGracePeriodCriticalPodsMs' | 'shutdownGracePeriodByPodPriority'
> {
  const { shutdownGracePeriod: all, shutdownGracePeriodCriticalPods: critical } = fields;
  const allMs = durationMs('shutdownGracePeriod', all, 0);
  const criticalMs = durationMs('shutdownGracePeriodCriticalPods', critical, 0);
  if (criticalMs > allMs) {
    throw invalid(
      `shutdownGracePeriodCriticalPods ${critical} must be <= shutdownGracePeriod ${all ?? '0s'}`,
    );
  }
  if (allMs > 0 && allMs < 1000) {
    throw invalid(`shutdownGracePeriod ${all} must be either zero or otherwise >= 1 sec`);
  }
  if (criticalMs > 0 && criticalMs < 1000) {
    const name = 'shutdownGracePeriodCriticalPods';
    throw invalid(`${name} ${critical} must be either zero or otherwise >= 1 sec`);
  }
  const byPriority = fields.shutdownGracePeriodByPodPriority ?? [];
  if (byPriority.length > 0 && allMs > 0) {
    throw invalid(
      'Cannot specify both shutdownGracePeriodByPodPriority and shutdownGracePeriod ' +
        'at the same time',
    );
  }
  return {
    shutdownGracePeriodMs: allMs,
    shutdownGracePeriodCriticalPodsMs: criticalMs,
    shutdownGracePeriodByPodPriority: byPriority.map(
      ({ priority = 0, shutdownGracePeriodSeconds = 0 }) => ({
        ...{ priority, shutdownGracePeriodSeconds },
      }),
    ),
  };
}

export function durationMs(field: string, text: string | undefined, otherwise: number): number {
  if (text === undefined) return otherwise;
  const ms = parseDuration(text);
  if (ms !== undefined && ms >= 0) return ms;
  throw new ConfigError(`${field}: time: invalid duration ${JSON.stringify(text)}`);
}

export function invalid(text: string): ConfigError {
  return new ConfigError(`invalid configuration: ${text}`);
}
