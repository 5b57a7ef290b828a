/**
 * The environment of a container: its `env` and `envFrom`, expanded, plus the variables that name
 * Services. Pure but for lookups, which the caller provides.
 *
 * Order, as upstream's: Service variables first, then `envFrom`, then `env`; later ones win, and
 * `$(NAME)` in a value sees what was defined before it. `$$` is a literal dollar.
 * A missing ConfigMap, Secret or key that is not optional is a `ConfigError`: the container waits
 * with CreateContainerConfigError and is tried again.
 */
import { quantityMilliValue } from '#api/quantity.ts';
import type {
  ConfigMap,
  Container,
  EnvFromSource,
  EnvVar,
  EnvVarSource,
  FileKeySelector,
  Pod,
  Secret,
  Service,
} from '#resources/types/core-v1.ts';
import { podFieldValue, resourceFieldValue } from './downward-api.ts';

export interface EnvSources {
  readonly configMap: (name: string) => Promise<ConfigMap | undefined>;
  readonly secret: (name: string) => Promise<Secret | undefined>;
  /** Of the pod's namespace, and `default/kubernetes`. */
  readonly services: readonly Service[];
  readonly podIPs: readonly string[];
  readonly hostIPs: readonly string[];
  readonly allocatable: Readonly<Record<string, string>>;
  /** Of a file in a volume; undefined where it may be missing and is. */
  readonly file: (reference: FileKeySelector) => Promise<string | undefined>;
}

/** What the user wrote cannot be turned into a container now. */
export class ConfigError extends Error {
  constructor(message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = 'ConfigError';
  }
}

export async function makeEnvironment(
  pod: Pod,
  container: Container,
  sources: EnvSources,
): Promise<ReadonlyMap<string, string>> {
  const result = new Map(serviceVariables(pod, sources.services));
  for (const source of container.envFrom ?? []) {
    for (const [name, value] of await readEnvFrom(source, sources)) result.set(name, value);
  }
  const defined = new Map(result);
  for (const variable of container.env ?? []) {
    const value = await readVariable(pod, container, variable, defined, sources);
    if (value === undefined) continue;
    defined.set(variable.name, value);
    result.set(variable.name, value);
  }
  return result;
}

async function readEnvFrom(
  source: EnvFromSource,
  sources: EnvSources,
): Promise<Iterable<readonly [string, string]>> {
  const prefix = source.prefix ?? '';
  const data =
    source.configMapRef !== undefined
      ? await configMapData(source.configMapRef, sources)
      : source.secretRef !== undefined
        ? await secretData(source.secretRef, sources)
        : {};
  return Object.entries(data).map(([key, value]) => [prefix + key, value] as const);
}

interface Reference {
  readonly name?: string | undefined;
  readonly optional?: boolean | undefined;
}

async function configMapData(
  { name = '', optional }: Reference,
  sources: EnvSources,
): Promise<Readonly<Record<string, string>>> {
  const configMap = await sources.configMap(name);
  if (configMap !== undefined) return configMap.data ?? {};
  if (optional === true) return {};
  throw new ConfigError(`configmap "${name}" not found`);
}

async function secretData(
  { name = '', optional }: Reference,
  sources: EnvSources,
): Promise<Readonly<Record<string, string>>> {
  const secret = await sources.secret(name);
  if (secret !== undefined) {
    const entries = Object.entries(secret.data ?? {});
    return Object.fromEntries(entries.map(([key, value]) => [key, fromBase64(value)]));
  }
  if (optional === true) return {};
  throw new ConfigError(`secret "${name}" not found`);
}

function fromBase64(text: string): string {
  return Buffer.from(text, 'base64').toString();
}

/** Undefined: an optional source is missing, so the variable is not set. */
async function readVariable(
  pod: Pod,
  container: Container,
  { value, valueFrom }: EnvVar,
  defined: ReadonlyMap<string, string>,
  sources: EnvSources,
): Promise<string | undefined> {
  if (valueFrom === undefined) return expandVariables(value ?? '', defined);
  if (valueFrom.configMapKeyRef !== undefined || valueFrom.secretKeyRef !== undefined) {
    return readKey(pod, valueFrom, sources);
  }
  if (valueFrom.fieldRef !== undefined) {
    return podFieldValue(pod, valueFrom.fieldRef.fieldPath, sources);
  }
  if (valueFrom.resourceFieldRef !== undefined) {
    const most = { ...sources.allocatable, ...ownLimits(pod, sources.allocatable) };
    return resourceFieldValue(pod, container, valueFrom.resourceFieldRef, most);
  }
  if (valueFrom.fileKeyRef !== undefined) return sources.file(valueFrom.fileKeyRef);
  throw new ConfigError('a variable takes its value from a source that is not supported');
}

/** Of the pod as a whole: no container of it has more. */
function ownLimits(
  { spec }: Pod,
  allocatable: EnvSources['allocatable'],
): Readonly<Record<string, string>> {
  const limits = Object.entries(spec?.resources?.limits ?? {});
  return Object.fromEntries(
    limits.filter(
      ([name, amount]) =>
        (name === 'cpu' || name === 'memory') &&
        allocatable[name] !== undefined &&
        quantityMilliValue(amount) > 0,
    ),
  );
}

async function readKey(
  pod: Pod,
  { configMapKeyRef, secretKeyRef }: EnvVarSource,
  sources: EnvSources,
): Promise<string | undefined> {
  const reference = configMapKeyRef ?? secretKeyRef;
  if (reference === undefined) return undefined;
  const data =
    configMapKeyRef === undefined
      ? await secretData(reference, sources)
      : await configMapData(reference, sources);
  const value = data[reference.key];
  if (value !== undefined || reference.optional === true) return value;
  const kind = configMapKeyRef === undefined ? 'Secret' : 'ConfigMap';
  const { namespace } = pod.metadata;
  throw new ConfigError(
    `couldn't find key ${reference.key} in ${kind} ${namespace}/${reference.name ?? ''}`,
  );
}

const variables = /\$(\$|\(([^)]*)\))/g;

/** The names that `expandVariables` looks up, in order. */
export function variablesIn(text: string): readonly string[] {
  return [...text.matchAll(variables)].flatMap(([, , name]) => (name === undefined ? [] : [name]));
}

/** `$(NAME)` becomes the value of a defined variable, `$$` a dollar; the rest stays as it is. */
export function expandVariables(text: string, defined: ReadonlyMap<string, string>): string {
  return text.replace(variables, (whole, inner: string, name: string | undefined) => {
    if (inner === '$') return '$';
    return (name === undefined ? undefined : defined.get(name)) ?? whole;
  });
}

/** `WEB_SERVICE_HOST`, `WEB_PORT_80_TCP_ADDR`, … for Services that have a cluster address. */
function serviceVariables(
  pod: Pod,
  services: readonly Service[],
): Iterable<readonly [string, string]> {
  const result = new Map<string, string>();
  for (const service of services) {
    const { name = '', namespace } = service.metadata;
    const isApi = namespace === 'default' && name === 'kubernetes';
    const own = namespace === pod.metadata.namespace && pod.spec?.enableServiceLinks !== false;
    const clusterIP = service.spec?.clusterIP ?? '';
    if ((!own && !isApi) || clusterIP === '' || clusterIP === 'None') continue;
    addService(result, name, clusterIP, service);
  }
  return result;
}

function addService(
  result: Map<string, string>,
  name: string,
  clusterIP: string,
  service: Service,
): void {
  const prefix = variableName(name);
  const ports = service.spec?.ports ?? [];
  const first = ports[0];
  if (first === undefined) return;
  result.set(`${prefix}_SERVICE_HOST`, clusterIP);
  result.set(`${prefix}_SERVICE_PORT`, String(first.port));
  for (const port of ports) {
    if (port.name === undefined || port.name === '') continue;
    result.set(`${prefix}_SERVICE_PORT_${variableName(port.name)}`, String(port.port));
  }
  for (const [index, port] of ports.entries()) {
    const protocol = port.protocol ?? 'TCP';
    const host = clusterIP.includes(':') ? `[${clusterIP}]` : clusterIP;
    const url = `${protocol.toLowerCase()}://${host}:${port.port}`;
    const portPrefix = `${prefix}_PORT_${port.port}_${protocol.toUpperCase()}`;
    if (index === 0) result.set(`${prefix}_PORT`, url);
    result.set(portPrefix, url);
    result.set(`${portPrefix}_PROTO`, protocol.toLowerCase());
    result.set(`${portPrefix}_PORT`, String(port.port));
    result.set(`${portPrefix}_ADDR`, clusterIP);
  }
}

function variableName(name: string): string {
  return name.replaceAll('-', '_').toUpperCase();
}
