/**
 * Which of the built-in group versions a server answers to: `--runtime-config`, read once.
 *
 * `api/all`, `api/ga`, `api/beta` and `api/alpha` speak of many versions and are looked at in this
 * order, then `api/legacy` (versions that today's Kubernetes has no more), then one version
 * (`batch/v1=false`), and last one resource of a version (`extensions/v1beta1/ingresses=false`):
 * who speaks last and of the least, wins. Words of refusal are upstream's. The catalog asks
 * `isEnabled`; what is not enabled is not found, not in discovery, and stays in the store.
 */
import type { GroupVersion } from './object.ts';

export interface RuntimeConfig {
  /** By `api/all` and the like. */
  readonly levels: ReadonlyMap<string, boolean>;
  /** By `batch/v1`; the core version is `/v1`. */
  readonly versions: ReadonlyMap<string, boolean>;
  /** By `apps/v1/deployments`. */
  readonly resources: ReadonlyMap<string, boolean>;
}

export type ReadRuntimeConfig =
  | { readonly ok: true; readonly config: RuntimeConfig }
  | { readonly ok: false; readonly problem: string };

/** In the order in which they are looked at. */
const levels: readonly (readonly [string, RegExp])[] = [
  ['api/all', /^/],
  ['api/ga', /^v\d+$/],
  ['api/beta', /^v\d+beta\d+$/],
  ['api/alpha', /^v\d+alpha\d+$/],
];
const legacyLevel = 'api/legacy';

/** Versions that upstream's server has heard of, and those of old manifests. */
const registered: Readonly<Record<string, string>> = {
  '': 'v1',
  'admission.k8s.io': 'v1 v1beta1',
  'admissionregistration.k8s.io': 'v1 v1beta1 v1alpha1',
  'apiextensions.k8s.io': 'v1 v1beta1',
  'apiregistration.k8s.io': 'v1 v1beta1',
  apps: 'v1 v1beta2 v1beta1',
  'authentication.k8s.io': 'v1 v1beta1 v1alpha1',
  'authorization.k8s.io': 'v1 v1beta1',
  autoscaling: 'v2 v1',
  batch: 'v1 v1beta1 v2alpha1',
  'certificates.k8s.io': 'v1 v1beta1 v1alpha1',
  'coordination.k8s.io': 'v1 v1beta1 v1alpha2',
  'discovery.k8s.io': 'v1 v1beta1',
  'events.k8s.io': 'v1 v1beta1',
  extensions: 'v1beta1',
  'flowcontrol.apiserver.k8s.io': 'v1 v1beta3 v1beta2 v1beta1',
  'imagepolicy.k8s.io': 'v1alpha1',
  'internal.apiserver.k8s.io': 'v1alpha1',
  'networking.k8s.io': 'v1 v1beta1',
  'node.k8s.io': 'v1 v1beta1 v1alpha1',
  policy: 'v1 v1beta1',
  'rbac.authorization.k8s.io': 'v1 v1beta1 v1alpha1',
  'resource.k8s.io': 'v1 v1beta2 v1beta1 v1alpha3',
  'scheduling.k8s.io': 'v1 v1beta1 v1alpha2',
  'storage.k8s.io': 'v1 v1beta1 v1alpha1',
  'storagemigration.k8s.io': 'v1beta1',
};

/** All that is served by itself. */
export const everythingEnabled: RuntimeConfig = {
  levels: new Map(),
  versions: new Map(),
  resources: new Map(),
};

/** Reads `batch/v1=false,extensions/v1beta1/ingresses=false`; a key alone means true. */
export function readRuntimeConfig(text: string): ReadRuntimeConfig {
  const given = new Map<string, string>();
  for (const part of text.split(',')) {
    const at = part.indexOf('=');
    const key = (at < 0 ? part : part.slice(0, at)).trim();
    if (key !== '') given.set(coreKey(key), at < 0 ? 'true' : part.slice(at + 1).trim());
  }
  if (given.size === 1 && given.get('api/all') === 'false') {
    return { ok: false, problem: 'invalid runtime-config with only api/all=false' };
  }
  const config = { levels: new Map(), versions: new Map(), resources: new Map() };
  const problem = problemOfKeys([...given.keys()]) ?? fill(config, given);
  return problem === undefined ? { ok: true, config } : { ok: false, problem };
}

export function isEnabled(
  config: RuntimeConfig,
  { group, version }: GroupVersion,
  { plural, isLegacy }: { readonly plural: string; readonly isLegacy: boolean },
): boolean {
  const key = `${group}/${version}`;
  const own = config.resources.get(`${key}/${plural}`) ?? config.versions.get(key);
  if (own !== undefined) return own;
  let enabled = true;
  for (const [level, pattern] of levels) {
    if (pattern.test(version)) enabled = config.levels.get(level) ?? enabled;
  }
  return isLegacy ? (config.levels.get(legacyLevel) ?? enabled) : enabled;
}

/** The versions that were asked for by name. */
export function versionsAskedFor({ versions, resources }: RuntimeConfig): readonly string[] {
  const asked = [...versions, ...resources].filter(([, enabled]) => enabled);
  return [...new Set(asked.map(([key]) => key.split('/').slice(0, 2).join('/')))];
}

/** The core group has no name; `v1`, `api/v1` and what is below them mean all of it. */
function coreKey(key: string): string {
  return /^(api\/)?v1(\/|$)/.test(key) ? '/v1' : key;
}

function isLevel(key: string): boolean {
  return key === legacyLevel || levels.some(([level]) => level === key);
}

/** Every key is looked at before any value. */
function problemOfKeys(keys: readonly string[]): string | undefined {
  const named = keys.filter((key) => !isLevel(key));
  const broken = named.find((key) => ![2, 3].includes(key.split('/').length));
  if (broken !== undefined) return `runtime-config invalid key ${broken}`;
  const unknown = named
    .map((key) => key.split('/'))
    .filter(([group = '']) => registered[group] === undefined)
    .map(([group, version]) => `${group}/${version}`);
  if (unknown.length === 0) return undefined;
  return `unknown api groups ${[...new Set(unknown)].sort().join(',')}`;
}

function fill(
  config: Record<keyof RuntimeConfig, Map<string, boolean>>,
  given: ReadonlyMap<string, string>,
): string | undefined {
  for (const [key, value] of given) {
    if (isLevel(key)) {
      if (value !== 'true' && value !== 'false') return `invalid value ${key}=${value}`;
      config.levels.set(key, value === 'true');
      continue;
    }
    const [group = '', version = '', resource] = key.split('/');
    if (registered[group]?.split(' ').includes(version) !== true) {
      const name = group === '' ? version : `${group}/${version}`;
      return `group version ${name} that has not been registered`;
    }
    const enabled = parseBool(value);
    if (enabled === undefined) {
      const why = `strconv.ParseBool: parsing ${JSON.stringify(value)}: invalid syntax`;
      return `invalid value of ${key}: ${value}, err: ${why}`;
    }
    if (resource !== undefined && resource !== resource.toLowerCase()) {
      const rule = 'group/version/resource and resource is always lowercase plural';
      return `invalid key ${key}: ${rule}, not ${JSON.stringify(resource)}`;
    }
    (resource === undefined ? config.versions : config.resources).set(key, enabled);
  }
  return undefined;
}

/** As Go reads it; nothing behind the sign means true here. */
function parseBool(text: string): boolean | undefined {
  if (/^(|1|t|T|true|TRUE|True)$/.test(text)) return true;
  return /^(0|f|F|false|FALSE|False)$/.test(text) ? false : undefined;
}
