/**
 * Which rules a profile follows at which point, from what its configuration enables and disables.
 *
 * `multiPoint` enables a rule at every point that it has a part in; a point's own list comes before
 * it, replaces weights, and can disable single rules or all of them (`*`). Defaults fill what is
 * not disabled. A rule enabled again keeps its place among the defaults.
 */
import { defaultWeights, type Plugin } from '#scheduling';
import { ConfigurationError, integer, part, parts, text, type Values } from './strict-reader.ts';

export const points = [
  'preEnqueue',
  'queueSort',
  'preFilter',
  'filter',
  'postFilter',
  'preScore',
  'score',
  'reserve',
  'permit',
  'preBind',
  'bind',
  'postBind',
] as const;

export type Point = (typeof points)[number];

interface Enabled {
  readonly name: string;
  readonly weight: number;
}

interface PluginSet {
  readonly enabled: readonly Enabled[];
  readonly disabled: ReadonlySet<string>;
}

/** Rules that are not files in `plugins/`, and where they act. */
const others: Readonly<Record<string, readonly Point[]>> = {
  PrioritySort: ['queueSort'],
  DefaultPreemption: ['postFilter', 'preEnqueue'],
  DefaultBinder: ['bind'],
};

const defaults = [
  ...['SchedulingGates', 'PrioritySort', 'NodeUnschedulable', 'NodeName', 'TaintToleration'],
  ...['NodeAffinity', 'NodePorts', 'NodeResourcesFit', 'VolumeRestrictions', 'NodeVolumeLimits'],
  ...['VolumeBinding', 'VolumeZone', 'PodTopologySpread', 'InterPodAffinity', 'DynamicResources'],
  ...['DefaultPreemption', 'NodeResourcesBalancedAllocation', 'ImageLocality', 'DefaultBinder'],
  'NodeDeclaredFeatures',
].map((name): Enabled => ({ name, weight: defaultWeights[name] ?? 0 }));

export interface ChosenPlugins {
  /** In order; weights count at `score` only. */
  readonly at: (point: Point) => readonly Enabled[];
}

export function choosePlugins(
  values: Values | undefined,
  known: ReadonlyMap<string, Plugin>,
  schedulerName: string,
): ChosenPlugins {
  const setOf = (point: string): PluginSet => readSet(part(values, point));
  const everywhere = merged(defaults, setOf('multiPoint'));
  const byPoint = new Map<Point, readonly Enabled[]>();
  for (const point of points) {
    byPoint.set(point, expand(point, setOf(point), { everywhere, known }));
  }
  const at = (point: Point): readonly Enabled[] => byPoint.get(point) ?? [];
  if (at('bind').length === 0) {
    throw new ConfigurationError(
      `at least one bind plugin is needed for profile with scheduler name "${schedulerName}"`,
    );
  }
  if (at('queueSort').length !== 1) {
    throw new ConfigurationError(
      'only one queue sort plugin required for profile with scheduler name ' +
        `"${schedulerName}", but got ${at('queueSort').length}`,
    );
  }
  return { at };
}

function readSet(values: Values | undefined): PluginSet {
  return {
    enabled: parts(values, 'enabled').map((one) => ({
      name: text(one, 'name') ?? '',
      weight: integer(one, 'weight') ?? 0,
    })),
    disabled: new Set(parts(values, 'disabled').map((one) => text(one, 'name') ?? '')),
  };
}

/** The list with what is disabled left out and what is enabled anew in its old place. */
function merged(base: readonly Enabled[], { enabled, disabled }: PluginSet): readonly Enabled[] {
  const kept = disabled.has('*')
    ? []
    : base
        .filter(({ name }) => !disabled.has(name))
        .map((one) => enabled.find(({ name }) => name === one.name) ?? one);
  const names = new Set(kept.map(({ name }) => name));
  return [...kept, ...enabled.filter(({ name }) => !names.has(name))];
}

function expand(
  point: Point,
  own: PluginSet,
  from: { readonly everywhere: readonly Enabled[]; readonly known: ReadonlyMap<string, Plugin> },
): readonly Enabled[] {
  const { everywhere, known } = from;
  for (const { name } of [...own.enabled, ...everywhere]) {
    if (!known.has(name) && others[name] === undefined) {
      throw new ConfigurationError(`plugin "${name}" does not exist`);
    }
  }
  for (const { name } of own.enabled) {
    if (!acts(name, point, known)) {
      throw new ConfigurationError(`plugin "${name}" does not extend ${point} plugin`);
    }
  }
  const named = new Map(own.enabled.map((one) => [one.name, one]));
  const overrides: Enabled[] = [];
  const rest: Enabled[] = [];
  for (const one of everywhere) {
    if (!acts(one.name, point, known)) continue;
    const override = named.get(one.name);
    if (override !== undefined) overrides.push(override);
    else if (!own.disabled.has(one.name) && !own.disabled.has('*')) rest.push(one);
  }
  const extra = own.enabled.filter((one) => !overrides.includes(one));
  return [...overrides, ...rest, ...extra];
}

function acts(name: string, point: Point, known: ReadonlyMap<string, Plugin>): boolean {
  const listed = others[name];
  if (listed !== undefined) return listed.includes(point);
  const plugin = known.get(name);
  if (plugin === undefined) return false;
  switch (point) {
    case 'preEnqueue':
      return plugin.holdsBack !== undefined;
    case 'preFilter':
    case 'filter':
      return plugin.filter !== undefined;
    case 'preScore':
    case 'score':
      return plugin.score !== undefined;
    case 'postFilter':
      return name === 'DynamicResources';
    case 'reserve':
    case 'preBind':
      return name === 'DynamicResources' || name === 'VolumeBinding';
    default:
      return false;
  }
}
