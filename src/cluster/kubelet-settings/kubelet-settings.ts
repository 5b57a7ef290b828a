/**
 * What `coracle kubelet` was told: flags with upstream's names over a `KubeletConfiguration` over
 * upstream's defaults, as one value. Unknown names in a file are told of and passed over, as
 * upstream does; what cannot be used is refused with upstream's words, naming the flag or field.
 * `main.ts` reads, `kubelet-command.ts` performs.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { hostname } from 'node:os';
import { dirname, isAbsolute, join, resolve } from 'node:path';
import { decodeObject } from '#api/decode.ts';
import { isReason } from '#api/errors.ts';
import { messageOf } from '#kit/error-message.ts';
import type { Level, LogFormat } from '#kit/log.ts';
import { parseYaml } from '#kit/yaml.ts';
import { defaultSettings, type KubeletSettings, sysctlNamespace } from '#kubelet';
import type { Taint } from '#resources/types/core-v1.ts';
import { ConfigError } from '../settings/config.ts';
import { type ImageSources, imageSources } from '../settings/image-sources.ts';
import { type NodeIPs, parseNodeIPs } from '../settings/node-ips.ts';
import { logFormatOf, verbosityOf } from '../settings/verbosity.ts';
import { kubeletConfiguration } from './kubelet-fields.ts';
import { parsePairs } from './kubelet-flag-values.ts';
import { type MachineFields, machineFields, machineSettings } from './machine-settings.ts';
import {
  type NodeServerFields,
  type NodeServerSettings,
  nodeServerFields,
  nodeServerSettings,
} from './node-server-settings.ts';
import {
  durationMs,
  invalid,
  type PlacementFields,
  placementFields,
  placementSettings,
} from './placement-settings.ts';
import { type PullFields, pullFields, pullSettings } from './pull-settings.ts';

type Texts = Readonly<Record<string, string>>;

/** As the command line gives them, all texts; upstream's names in camel case. */
export interface KubeletFlags {
  readonly config?: string;
  readonly kubeconfig?: string;
  readonly bootstrapKubeconfig?: string;
  readonly hostnameOverride?: string;
  readonly nodeIp?: string;
  readonly nodeLabels?: string;
  readonly rootDir?: string;
  readonly certDir?: string;
  readonly containerRuntimeEndpoint?: string;
  readonly v?: string;
  readonly imageCredentialProviderConfig?: string;
  readonly imageCredentialProviderBinDir?: string;
  readonly configDir?: string;
  readonly cloudProvider?: string;
  readonly minimumContainerTtlDuration?: string;
  readonly maximumDeadContainersPerContainer?: string;
  readonly maximumDeadContainers?: string;
  readonly experimentalAllocatableIgnoreEviction?: string;
  /** Flags that are not acted on. */
  readonly unused?: readonly string[];
  /** Flag → what is to be used instead. */
  readonly deprecated?: readonly (readonly [string, string])[];
  /** Those that are fields of the file too, by the names of the file. */
  readonly fields: Readonly<Record<string, unknown>>;
}

/** The part of the file that is acted on. */
interface Fields extends PlacementFields, PullFields, MachineFields, NodeServerFields {
  readonly staticPodPath?: string;
  readonly staticPodURL?: string;
  readonly staticPodURLHeader?: Readonly<Record<string, readonly string[]>>;
  readonly podLogsDir?: string;
  readonly address?: string;
  readonly port?: number;
  readonly providerID?: string;
  readonly failSwapOn?: boolean;
  readonly cgroupDriver?: string;
  readonly oomScoreAdj?: number;
  readonly enableServer?: boolean;
  readonly tlsCertFile?: string;
  readonly tlsPrivateKeyFile?: string;
  readonly imageServiceEndpoint?: string;
  readonly protectKernelDefaults?: boolean;
  readonly failCgroupV1?: boolean;
  readonly runOnce?: boolean;
  readonly logging?: { readonly format?: string; readonly verbosity?: number };
  readonly healthzPort?: number;
  readonly healthzBindAddress?: string;
  readonly clusterDomain?: string;
  readonly clusterDNS?: readonly string[];
  readonly cgroupRoot?: string;
  readonly maxPods?: number;
  readonly podCIDR?: string;
  readonly podPidsLimit?: number;
  readonly rotateCertificates?: boolean;
  readonly serverTLSBootstrap?: boolean;
  readonly registerNode?: boolean;
  readonly registerWithTaints?: readonly Taint[];
  readonly containerRuntimeEndpoint?: string;
  readonly imageMinimumGCAge?: string;
  readonly imageMaximumGCAge?: string;
  readonly imageGCHighThresholdPercent?: number;
  readonly imageGCLowThresholdPercent?: number;
  readonly evictionHard?: Texts;
  readonly evictionSoft?: Texts;
  readonly evictionSoftGracePeriod?: Texts;
  readonly evictionMinimumReclaim?: Texts;
  readonly evictionPressureTransitionPeriod?: string;
  readonly evictionMaxPodGracePeriod?: number;
  readonly mergeDefaultEvictionSettings?: boolean;
  readonly allowedUnsafeSysctls?: readonly string[];
}

export interface KubeletConfig {
  readonly kubeconfig: string | undefined;
  readonly bootstrapKubeconfig: string | undefined;
  readonly nodeName: string;
  readonly nodeIPs: NodeIPs;
  readonly labels: Texts;
  readonly rootDir: string;
  readonly certDir: string;
  readonly podLogsDir: string;
  /** Path of the runtime's socket. */
  readonly runtimeSocket: string;
  /** Of the service for images, where that is another. */
  readonly imageSocket: string | undefined;
  readonly logLevel: Level;
  readonly logsRequests: boolean;
  readonly logFormat: LogFormat;
  readonly settings: KubeletSettings;
  readonly server: NodeServerSettings;
  /** Plugins that know logins, and where the node's own are. */
  readonly images: ImageSources;
  readonly fields: Fields;
  readonly isCloudExternal: boolean;
  readonly deprecated: readonly (readonly [string, string])[];
  /** Given, and not acted on. */
  readonly unused: readonly string[];
  /** What a strict reader would have refused the file for. */
  readonly strictProblem: string | undefined;
}

const acted = new Set(
  (
    'staticPodPath staticPodURL staticPodURLHeader podLogsDir address port enableServer ' +
    'providerID failSwapOn cgroupsPerQOS cgroupDriver oomScoreAdj ' +
    'tlsCertFile tlsPrivateKeyFile protectKernelDefaults imageServiceEndpoint runOnce ' +
    'failCgroupV1 logging ' +
    'healthzPort healthzBindAddress clusterDomain clusterDNS cgroupRoot maxPods podCIDR ' +
    'podPidsLimit registerNode registerWithTaints containerRuntimeEndpoint imageMinimumGCAge ' +
    'imageMaximumGCAge imageGCHighThresholdPercent imageGCLowThresholdPercent evictionHard ' +
    'evictionSoft evictionSoftGracePeriod evictionMinimumReclaim evictionMaxPodGracePeriod ' +
    'evictionPressureTransitionPeriod mergeDefaultEvictionSettings systemReserved kubeReserved ' +
    `allowedUnsafeSysctls rotateCertificates serverTLSBootstrap kind apiVersion ` +
    `${placementFields} ${pullFields} ${machineFields} ${nodeServerFields}`
  ).split(' '),
);

export function readKubeletConfig(flags: KubeletFlags): KubeletConfig {
  const file = flags.config === undefined ? { fields: {} } : readFile(resolve(flags.config));
  const more = flags.configDir === undefined ? [] : readFolder(resolve(flags.configDir));
  // The files were decoded by their schema, and flags are read to the types of the fields.
  const written = [file, ...more].map(({ fields }): Layer => fields).reduce(laidOver, {}) as Fields;
  const { nodeStatusUpdateFrequency: every } = written;
  // Who says in a file how often to look wants to be told as often; a flag does not say that.
  const told = every === undefined ? {} : { nodeStatusReportFrequency: every };
  const fields = [told, { ...written }, flags.fields].reduce<Layer>(laidOver, {}) as Fields;
  const rootDir = resolve(flags.rootDir ?? '/var/lib/kubelet');
  const endpoint =
    flags.containerRuntimeEndpoint ??
    fields.containerRuntimeEndpoint ??
    'unix:///run/containerd/containerd.sock';
  const { imageServiceEndpoint: imageEndpoint = '' } = fields;
  const given = (path: string | undefined): string | undefined =>
    path === undefined || path === '' ? undefined : resolve(path);
  return {
    kubeconfig: given(flags.kubeconfig),
    bootstrapKubeconfig: given(flags.bootstrapKubeconfig),
    nodeName: (flags.hostnameOverride ?? hostname()).trim().toLowerCase(),
    nodeIPs: parseNodeIPs(flags.nodeIp),
    labels: parsePairs('--node-labels', flags.nodeLabels ?? '', '='),
    rootDir,
    certDir: resolve(flags.certDir ?? join(rootDir, 'pki')),
    podLogsDir: podLogsDirOf(fields),
    runtimeSocket: socketOf(endpoint),
    imageSocket: imageEndpoint === '' ? undefined : socketOf(imageEndpoint),
    ...verbosityOf(flags.v ?? fields.logging?.verbosity),
    logFormat: logFormatOf(fields.logging?.format),
    settings: { ...settingsOf(fields), ...settingsOfFlags(flags) },
    server: nodeServerSettings(fields),
    images: { ...imageSources(flags), registryPath: undefined },
    fields,
    isCloudExternal: cloudOf(flags) === 'external',
    deprecated: flags.deprecated ?? [],
    unused: [
      ...Object.keys(fields).filter((name) => !acted.has(name)),
      ...(flags.unused ?? []).map((flag) => `--${flag}`),
    ],
    strictProblem: [file, ...more].flatMap((each) => each.strictProblem ?? [])[0],
  };
}

/** What is removed in it is known by its whole path. */
function podLogsDirOf({ podLogsDir = '' }: Fields): string {
  if (podLogsDir === '') return '/var/log/pods';
  const path = `pod logs path "${podLogsDir}"`;
  if (!isAbsolute(podLogsDir)) throw invalid(`${path} must be absolute path`);
  if (resolve(podLogsDir) !== podLogsDir) throw invalid(`${path} must be normalized`);
  return podLogsDir;
}

function socketOf(endpoint: string): string {
  return endpoint.replace(/^unix:\/\//, '');
}

type Layer = Readonly<Record<string, unknown>>;

/** Objects are merged, all else takes the place of what was there. */
function laidOver(below: Layer, above: Layer): Layer {
  const merged = Object.entries(above).map(([name, value]): [string, unknown] => {
    const before = below[name];
    return [name, isLayer(before) && isLayer(value) ? laidOver(before, value) : value];
  });
  return { ...below, ...Object.fromEntries(merged) };
}

function isLayer(value: unknown): value is Layer {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** Of `*.conf`, in the order of their names. */
function readFolder(folder: string): readonly DecodedFile[] {
  return readdirSync(folder, { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.conf'))
    .toSorted()
    .map((name) => readFile(join(folder, name)));
}

function cloudOf({ cloudProvider = '' }: KubeletFlags): string {
  if (cloudProvider === '' || cloudProvider === 'external') return cloudProvider;
  throw new ConfigError(
    `unsupported value for --cloud-provider: "${cloudProvider}", ` +
      'only "external" and the empty text are known since v1.31',
  );
}

/** Settings that have no field in a file. */
function settingsOfFlags(flags: KubeletFlags): Partial<KubeletSettings> {
  const { minimumContainerTtlDuration: age } = flags;
  const count = (flag: string, text: string | undefined, otherwise: number): number => {
    if (text === undefined) return otherwise;
    if (/^-?\d+$/.test(text)) return Number(text);
    throw new ConfigError(
      `invalid argument "${text}" for "--${flag}" flag: ` +
        `strconv.ParseInt: parsing "${text}": invalid syntax`,
    );
  };
  const { deadContainersMaxEach: each, deadContainersMax: all } = defaultSettings;
  const { maximumDeadContainersPerContainer: ofEach, maximumDeadContainers: ofAll } = flags;
  return {
    allocatableIgnoresEviction: flags.experimentalAllocatableIgnoreEviction === 'true',
    deadContainerMinimumAgeMs: durationMs('--minimum-container-ttl-duration', age, 0),
    deadContainersMaxEach: count('maximum-dead-containers-per-container', ofEach, each),
    deadContainersMax: count('maximum-dead-containers', ofAll, all),
  };
}

function readFile(path: string): DecodedFile {
  const fail = (why: string): never => {
    throw new ConfigError(
      `failed to load kubelet config file, path: ${path}, error: ` +
        `failed to load Kubelet config file ${path}, error ${why}`,
    );
  };
  let text = '';
  try {
    text = readFileSync(path, 'utf8');
  } catch (error) {
    const why = messageOf(error);
    fail(`failed to read kubelet config file "${path}", error: ${why}`);
  }
  if (text === '') fail(`kubelet config file "${path}" was empty`);
  const decoded = decodeKubeletConfiguration(text);
  if ('problem' in decoded) return fail(`failed to decode: ${decoded.problem}`);
  return { ...decoded, fields: withAbsolutePaths(decoded.fields, dirname(path)) };
}

interface DecodedFile {
  readonly fields: Readonly<Record<string, unknown>>;
  readonly strictProblem?: string | undefined;
}

/** Pure. */
export function decodeKubeletConfiguration(
  text: string,
): DecodedFile | { readonly problem: string } {
  try {
    const value = parseYaml(text);
    // Parse boundary: anything may stand in a file.
    const { kind, apiVersion } = (value ?? {}) as { kind?: unknown; apiVersion?: unknown };
    if (kind !== 'KubeletConfiguration' || apiVersion !== 'kubelet.config.k8s.io/v1beta1') {
      const [group, version] = String(apiVersion ?? '').split('/');
      const what = `no kind "${String(kind ?? '')}" is registered for version`;
      return { problem: `${what} "${version === undefined ? group : `${group}/${version}`}"` };
    }
    const { object, problems } = decodeObject(value, kubeletConfiguration, new Map());
    if (problems.length === 0) return { fields: object };
    return { fields: object, strictProblem: `strict decoding error: ${problems.join(', ')}` };
  } catch (error) {
    if (isReason(error, 'BadRequest') || error instanceof Error) return { problem: error.message };
    throw error;
  }
}

/** Paths in a file are relative to it. */
function withAbsolutePaths(fields: Readonly<Record<string, unknown>>, folder: string) {
  const absolute = (path: unknown): unknown =>
    typeof path === 'string' && path !== '' && !isAbsolute(path) ? join(folder, path) : path;
  const { authentication } = fields as Fields;
  const x509 = authentication?.x509;
  const moved = Object.fromEntries(
    ['staticPodPath', 'tlsCertFile', 'tlsPrivateKeyFile', 'podLogsDir']
      .filter((name) => fields[name] !== undefined)
      .map((name) => [name, absolute(fields[name])]),
  );
  const clientCAFile = absolute(x509?.clientCAFile);
  const more =
    x509 === undefined ? {} : { authentication: { ...authentication, x509: { clientCAFile } } };
  return { ...fields, ...moved, ...more };
}

function settingsOf(fields: Fields): KubeletSettings {
  if (fields.runOnce === true) {
    throw invalid(
      'runOnce (--runOnce) true, Runonce mode has been deprecated and should not be set',
    );
  }
  const base = defaultSettings;
  const hard = fields.evictionHard;
  const merged = fields.mergeDefaultEvictionSettings === true ? base.evictionHard : {};
  const settings: KubeletSettings = {
    ...base,
    ...placementSettings(fields),
    ...pullSettings(fields),
    ...machineSettings(fields),
    evictionHard: hard === undefined ? base.evictionHard : { ...merged, ...hard },
    evictionSoft: fields.evictionSoft ?? {},
    evictionSoftGracePeriodMs: Object.fromEntries(
      Object.entries(fields.evictionSoftGracePeriod ?? {}).map(([signal, time]) => [
        signal,
        durationMs(`evictionSoftGracePeriod[${signal}]`, time, 0),
      ]),
    ),
    evictionMinimumReclaim: fields.evictionMinimumReclaim ?? {},
    evictionPressureTransitionPeriodMs: durationMs(
      'evictionPressureTransitionPeriod',
      fields.evictionPressureTransitionPeriod,
      base.evictionPressureTransitionPeriodMs,
    ),
    evictionMaxPodGracePeriodSeconds: fields.evictionMaxPodGracePeriod ?? 0,
    imageGCHighThresholdPercent:
      fields.imageGCHighThresholdPercent ?? base.imageGCHighThresholdPercent,
    imageGCLowThresholdPercent:
      fields.imageGCLowThresholdPercent ?? base.imageGCLowThresholdPercent,
    imageMinimumGCAgeMs: durationMs(
      'imageMinimumGCAge',
      fields.imageMinimumGCAge,
      base.imageMinimumGCAgeMs,
    ),
    imageMaximumGCAgeMs: durationMs(
      'imageMaximumGCAge',
      fields.imageMaximumGCAge,
      base.imageMaximumGCAgeMs,
    ),
    allowedUnsafeSysctls: fields.allowedUnsafeSysctls ?? [],
    cgroupDriver: fields.cgroupDriver === 'systemd' ? 'systemd' : 'cgroupfs',
  };
  refuseWrong(settings);
  return settings;
}

/** With upstream's words, which name flags. */
function refuseWrong(settings: KubeletSettings): void {
  const { imageGCHighThresholdPercent: high, imageGCLowThresholdPercent: low } = settings;
  const share = (name: string, flag: string, value: number): void => {
    if (value >= 0 && value <= 100) return;
    throw new ConfigError(
      `invalid configuration: ${name} (${flag}) ${value} must be between 0 and 100, inclusive`,
    );
  };
  share('imageGCHighThresholdPercent', '--image-gc-high-threshold', high);
  share('imageGCLowThresholdPercent', '--image-gc-low-threshold', low);
  if (low >= high) {
    throw new ConfigError(
      `invalid configuration: imageGCLowThresholdPercent (--image-gc-low-threshold) ${low} ` +
        `must be less than imageGCHighThresholdPercent (--image-gc-high-threshold) ${high}`,
    );
  }
  for (const pattern of settings.allowedUnsafeSysctls) {
    if (sysctlNamespace(pattern) !== undefined) continue;
    const name = pattern.replace(/\.?\*.*$/, '');
    throw new ConfigError(`the sysctls "${name}" are not known to be namespaced`);
  }
  for (const signal of Object.keys(settings.evictionSoft)) {
    if (settings.evictionSoftGracePeriodMs[signal] !== undefined) continue;
    throw new ConfigError(
      `grace period must be specified for the soft eviction threshold ${signal}`,
    );
  }
}
