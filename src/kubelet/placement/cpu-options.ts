/**
 * What the settings say of processors, checked with upstream's words: the policy's options, and
 * which processors are the system's. Pure; `open-placement.ts` reads them.
 */
import { quantityMilliValue } from '#api/quantity.ts';
import type { KubeletSettings } from '../settings.ts';
import { type Numbers, parseNumbers } from './number-set.ts';

export interface CpuOptions {
  /** `full-pcpus-only`. */
  readonly isWholeCores: boolean;
  /** `distribute-cpus-across-numa`. */
  readonly isDistributed: boolean;
  /** `strict-cpu-reservation`: nobody's containers run on the system's. */
  readonly isStrict: boolean;
  /** `prefer-align-cpus-by-uncorecache`. */
  readonly byCache: boolean;
  readonly reservedCount: number;
  /** Named by the settings; none: the lowest. */
  readonly reservedCpus: Numbers;
}

const known = [
  'full-pcpus-only',
  'distribute-cpus-across-numa',
  'strict-cpu-reservation',
  'prefer-align-cpus-by-uncorecache',
] as const;

/** In trial at upstream, and off there as long as nobody asks for trials. */
const alpha: readonly string[] = ['align-by-socket', 'distribute-cpus-across-cores'];

/** Throws, with upstream's words. */
export function cpuOptions(settings: KubeletSettings): CpuOptions {
  const given = settings.cpuManagerPolicyOptions;
  for (const option of Object.keys(given)) {
    if (alpha.includes(option)) {
      const text = `CPU Manager Policy Alpha-level Options not enabled, but option "${option}" provided`;
      throw policyError(text);
    }
    if (known.every((name) => name !== option)) {
      throw policyError(`unknown CPU Manager Policy option: "${option}"`);
    }
  }
  const has = (option: (typeof known)[number]): boolean => booleanOf(option, given[option]);
  const options = {
    isWholeCores: has('full-pcpus-only'),
    isDistributed: has('distribute-cpus-across-numa'),
    isStrict: has('strict-cpu-reservation'),
    byCache: has('prefer-align-cpus-by-uncorecache'),
  };
  if (options.byCache && options.isDistributed) {
    throw policyError(
      'static policy options prefer-align-cpus-by-uncorecache and distribute-cpus-across-numa ' +
        'can not be used at the same time',
    );
  }
  return { ...options, ...reservation(settings) };
}

function reservation(
  settings: KubeletSettings,
): Pick<CpuOptions, 'reservedCount' | 'reservedCpus'> {
  const reservedCpus = parseNumbers(settings.reservedSystemCPUs) ?? new Set<number>();
  if (reservedCpus.size > 0) return { reservedCount: reservedCpus.size, reservedCpus };
  const { systemReserved, kubeReserved } = settings;
  const milli = [systemReserved, kubeReserved].reduce(
    (sum, reserved) => sum + quantityMilliValue(reserved['cpu'] ?? '0'),
    0,
  );
  if (milli > 0) return { reservedCount: Math.ceil(milli / 1000), reservedCpus };
  throw new Error(
    '[cpumanager] the static policy requires systemreserved.cpu + kubereserved.cpu ' +
      'to be greater than zero',
  );
}

/** As Go reads booleans. */
function booleanOf(option: string, text: string | undefined): boolean {
  if (text === undefined || /^(0|f|F|false|False|FALSE)$/.test(text)) return false;
  if (/^(1|t|T|true|True|TRUE)$/.test(text)) return true;
  const why = `strconv.ParseBool: parsing ${JSON.stringify(text)}: invalid syntax`;
  throw policyError(`bad value for option "${option}": ${why}`);
}

function policyError(text: string): Error {
  return new Error(`new static policy error: ${text}`);
}
