/**
 * What `coracle hollow` was told, as one value with every default explicit; whatever cannot be used
 * is refused with a line that names the flag. `main.ts` reads, `hollow-command.ts` performs.
 */
import type { HollowDelays, HollowFailures, HollowTaint } from '#hollow';
import { parseDuration } from '#kit/duration.ts';
import type { Level } from '#kit/log.ts';
import { ConfigError } from './config.ts';
import { verbosityOf } from './verbosity.ts';

/** As the command line gives them. */
export interface HollowFlags {
  readonly kubeconfig?: string;
  readonly context?: string;
  readonly nodes?: string;
  readonly prefix?: string;
  readonly first?: string;
  readonly capacity?: string;
  readonly labels?: string;
  readonly taints?: string;
  readonly zones?: string;
  readonly startDelay?: string;
  readonly readyDelay?: string;
  readonly stopDelay?: string;
  readonly jobDuration?: string;
  readonly failStarts?: string;
  readonly failPulls?: string;
  readonly missingImages?: string;
  readonly crashesPerHour?: string;
  readonly flapsPerHour?: string;
  readonly v?: string;
}

export interface HollowSettings {
  readonly kubeconfig: string;
  readonly context: string | undefined;
  readonly count: number;
  readonly prefix: string;
  readonly firstIndex: number;
  readonly capacity: Readonly<Record<string, string>>;
  readonly labels: Readonly<Record<string, string>>;
  readonly taints: readonly HollowTaint[];
  readonly zones: readonly string[];
  readonly delays: HollowDelays;
  readonly failures: HollowFailures;
  readonly jobSeconds: number | undefined;
  readonly logLevel: Level;
  readonly logsRequests: boolean;
}

const nodesMax = 10_000;
/** Addresses of nodes and pods follow from a node's number, which has 15 bits. */
const indexMax = 32_767;
const effects = ['NoSchedule', 'PreferNoSchedule', 'NoExecute'];

export function readHollowSettings(flags: HollowFlags, userKubeconfig: string): HollowSettings {
  const firstIndex = whole('--first', flags.first ?? '0', indexMax);
  const count = whole('--nodes', flags.nodes ?? '1', nodesMax);
  if (count === 0) throw new ConfigError('--nodes 0: at least one');
  if (firstIndex + count - 1 > indexMax) {
    throw new ConfigError(`--first ${firstIndex}: there are numbers up to ${indexMax}`);
  }
  const jobMs = flags.jobDuration && duration('--job-duration', flags.jobDuration);
  return {
    kubeconfig: flags.kubeconfig ?? userKubeconfig,
    context: flags.context,
    count,
    prefix: flags.prefix ?? 'hollow-',
    firstIndex,
    capacity: pairs('--capacity', flags.capacity),
    labels: pairs('--labels', flags.labels),
    taints: listOf(flags.taints).map(taint),
    zones: listOf(flags.zones),
    delays: {
      startMs: duration('--start-delay', flags.startDelay ?? '200ms'),
      readyMs: duration('--ready-delay', flags.readyDelay ?? '0s'),
      stopMs: duration('--stop-delay', flags.stopDelay ?? '200ms'),
    },
    failures: {
      starts: amount('--fail-starts', flags.failStarts, 1),
      pulls: amount('--fail-pulls', flags.failPulls, 1),
      missingImages: listOf(flags.missingImages),
      crashesPerHour: amount('--crashes-per-hour', flags.crashesPerHour, 3600),
      flapsPerHour: amount('--flaps-per-hour', flags.flapsPerHour, 600),
    },
    jobSeconds: jobMs ? jobMs / 1000 : undefined,
    ...verbosityOf(flags.v),
  };
}

function listOf(text: string | undefined): readonly string[] {
  return (text ?? '').split(',').filter((part) => part !== '');
}

function pairs(flag: string, text: string | undefined): Readonly<Record<string, string>> {
  return Object.fromEntries(
    listOf(text).map((part) => {
      const [key = '', value] = part.split('=');
      if (key === '' || value === undefined)
        throw new ConfigError(`${flag} ${part}: not key=value`);
      return [key, value];
    }),
  );
}

function taint(text: string): HollowTaint {
  const [, key = '', value, effect = ''] = /^([^=:]+)(?:=([^:]*))?:(\w+)$/.exec(text) ?? [];
  if (key === '' || !effects.includes(effect)) {
    throw new ConfigError(`--taints ${text}: not key=value:EFFECT with ${effects.join(', ')}`);
  }
  return value === undefined ? { key, effect } : { key, value, effect };
}

function whole(flag: string, text: string, most: number): number {
  const number = Number(text);
  if (!/^\d+$/.test(text) || number > most) {
    throw new ConfigError(`${flag} ${text}: not a whole number up to ${most}`);
  }
  return number;
}

function amount(flag: string, text: string | undefined, most: number): number {
  const number = Number(text ?? 0);
  if (!(number >= 0 && number <= most)) {
    throw new ConfigError(`${flag} ${text}: not a number from 0 to ${most}`);
  }
  return number;
}

function duration(flag: string, text: string): number {
  const ms = parseDuration(text);
  if (ms === undefined || ms < 0) throw new ConfigError(`${flag} ${text}: not a duration like 5s`);
  return ms;
}
