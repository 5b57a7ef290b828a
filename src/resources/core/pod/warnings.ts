/**
 * What is allowed in a pod but probably not meant, or on its way out: old labels, annotations and
 * volumes, duplicates, fractions of bytes. The server shows these to the client as warnings;
 * nothing is refused. Templates of pods are looked at in the same way.
 */
import { labelProblems } from '#api/names.ts';
import type { ObjectMeta } from '#api/object.ts';
import { quantityMilliValue } from '#api/quantity.ts';
import { ipWarnings } from '#resources/ip-syntax.ts';
import { oldLabelMessage, termWarnings } from '#resources/node-label-warnings.ts';
import type {
  Affinity,
  Container,
  Pod,
  PodSpec,
  PodTemplateSpec,
  Volume,
} from '#resources/types/core-v1.ts';
import { appArmorWarnings } from './app-armor-annotations.ts';
import { pathWarnings } from './path-warnings.ts';
import { portWarnings } from './port-warnings.ts';

export function podWarnings(pod: Pod, old: Pod | undefined): readonly string[] {
  const { metadata, spec } = pod;
  const warnings: string[] = [];
  const problems = old === undefined && metadata.name ? labelProblems(metadata.name) : [];
  if (problems.length > 0) {
    warnings.push(
      "metadata.name: this is used in the Pod's hostname, which can result in surprising " +
        `behavior; a DNS label is recommended: [${problems.join(' ')}]`,
    );
  }
  if (spec !== undefined) warnings.push(...specWarnings(spec, metadata, ''));
  return warnings;
}

/** `field`: where the template is, as `spec.template`. */
export function templateWarnings(template: PodTemplateSpec | undefined, field: string): string[] {
  const { metadata, spec } = template ?? {};
  return spec === undefined ? [] : specWarnings(spec, metadata ?? {}, `${field}.`);
}

/** A name that makes no host name works, with surprises. */
export function workloadNameWarnings(name: string | undefined): string[] {
  const problems = labelProblems(name ?? '');
  if (problems.length === 0) return [];
  return [
    `metadata.name: this is used in Pod names and hostnames, which can result in surprising behavior; a DNS label is recommended: [${problems.join(' ')}]`,
  ];
}

/** Of a kind that makes pods after a template, where it is new or its spec has changed. */
export function workloadWarnings(
  { metadata, spec }: Workload,
  old: Workload | undefined,
): readonly string[] {
  const isSame = old !== undefined && metadata.generation === old.metadata.generation;
  return [
    ...(old === undefined ? workloadNameWarnings(metadata.name) : []),
    ...(isSame ? [] : templateWarnings(spec?.template, 'spec.template')),
  ];
}

interface Workload {
  readonly metadata: ObjectMeta;
  readonly spec?: { readonly template?: PodTemplateSpec | undefined } | undefined;
}

type Meta = Pick<Pod['metadata'], 'annotations'>;

const oldAnnotations = Object.entries({
  'scheduler.alpha.kubernetes.io/critical-pod':
    'non-functional in v1.16+; use the "priorityClassName" field instead',
  'security.alpha.kubernetes.io/sysctls':
    'non-functional in v1.11+; use the "sysctls" field instead',
  'security.alpha.kubernetes.io/unsafe-sysctls':
    'non-functional in v1.11+; use the "sysctls" field instead',
});

const seccompKey = 'seccomp.security.alpha.kubernetes.io/pod';
const containerSeccompKey = 'container.seccomp.security.alpha.kubernetes.io/';
const seccompText = 'non-functional in v1.27+; use the "seccompProfile" field instead';

const lists = ['initContainers', 'containers'] as const;

function specWarnings(spec: PodSpec, { annotations = {} }: Meta, root: string): string[] {
  const at = `${root}spec`;
  const annotation = (key: string): string => `${root}metadata.annotations[${key}]`;
  const warnings = [...placeWarnings(spec, at)];
  for (const [key, text] of oldAnnotations) {
    if (annotations[key] !== undefined) warnings.push(`${annotation(key)}: ${text}`);
  }
  for (const [index, volume] of (spec.volumes ?? []).entries()) {
    warnings.push(...volumeWarnings(volume, `${at}.volumes[${index}]`));
  }
  warnings.push(...pathWarnings(spec.volumes ?? []), ...duplicateWarnings(spec, at));
  if (spec.overhead !== undefined) {
    warnings.push(...fractionWarnings(spec.overhead, `${at}.overhead`));
  }
  if (spec.securityContext?.seccompProfile === undefined && annotations[seccompKey] !== undefined) {
    warnings.push(`${annotation(seccompKey)}: ${seccompText}`);
  }
  const containers = lists.flatMap((list) =>
    (spec[list] ?? []).map((container, index) => ({ container, at: `${at}.${list}[${index}]` })),
  );
  for (const one of containers) {
    const key = containerSeccompKey + one.container.name;
    const isSaid = one.container.securityContext?.seccompProfile !== undefined;
    if (!isSaid && annotations[key] !== undefined) {
      warnings.push(`${annotation(key)}: ${seccompText}`);
    }
    warnings.push(...containerWarnings(one.container, one.at));
  }
  warnings.push(...appArmorWarnings(spec, annotations, root), ...portWarnings(containers));
  if ((spec.terminationGracePeriodSeconds ?? 0) < 0) {
    warnings.push(
      `${at}.terminationGracePeriodSeconds: must be >= 0; negative values are invalid and will be treated as 1`,
    );
  }
  return [
    ...warnings,
    ...affinityWarnings(spec.affinity, `${at}.affinity`),
    ...addressWarnings(spec, at),
  ];
}

function addressWarnings({ dnsConfig, hostAliases = [] }: PodSpec, at: string): string[] {
  const servers = dnsConfig?.nameservers ?? [];
  return [
    ...servers.flatMap((ip, index) => ipWarnings(ip, `${at}.dnsConfig.nameservers[${index}]`)),
    ...hostAliases.flatMap(({ ip }, index) => ipWarnings(ip, `${at}.hostAliases[${index}].ip`)),
  ];
}

const noPod = 'a null labelSelector results in matching no pod';

/** By which labels the pod chooses its nodes. */
function placeWarnings(spec: PodSpec, at: string): string[] {
  const warnings: string[] = [];
  for (const key of Object.keys(spec.nodeSelector ?? {})) {
    const message = oldLabelMessage(key);
    if (message !== undefined) warnings.push(`${at}.nodeSelector[${key}]: ${message}`);
  }
  const of = `${at}.affinity.nodeAffinity`;
  const {
    requiredDuringSchedulingIgnoredDuringExecution: required,
    preferredDuringSchedulingIgnoredDuringExecution: preferred = [],
  } = spec.affinity?.nodeAffinity ?? {};
  for (const [index, term] of (required?.nodeSelectorTerms ?? []).entries()) {
    const field = `${of}.requiredDuringSchedulingIgnoredDuringExecution.nodeSelectorTerms[${index}]`;
    warnings.push(...termWarnings(term, field, { checksValues: false }));
  }
  for (const [index, { preference }] of preferred.entries()) {
    const field = `${of}.preferredDuringSchedulingIgnoredDuringExecution[${index}].preference`;
    warnings.push(...termWarnings(preference, field, { checksValues: true }));
  }
  for (const [index, spread] of (spec.topologySpreadConstraints ?? []).entries()) {
    const field = `${at}.topologySpreadConstraints[${index}]`;
    const message = oldLabelMessage(spread.topologyKey);
    if (message !== undefined) {
      warnings.push(`${field}.topologyKey: ${spread.topologyKey} is ${message}`);
    }
    if (spread.labelSelector === undefined) warnings.push(`${field}.labelSelector: ${noPod}`);
  }
  return warnings;
}

const oldVolumes = Object.entries({
  photonPersistentDisk: 'deprecated in v1.11, non-functional in v1.16+',
  gitRepo: 'deprecated in v1.11, and disabled by default in v1.33+',
  scaleIO: 'deprecated in v1.16, non-functional in v1.22+',
  flocker: 'deprecated in v1.22, non-functional in v1.25+',
  storageos: 'deprecated in v1.22, non-functional in v1.25+',
  quobyte: 'deprecated in v1.22, non-functional in v1.25+',
  glusterfs: 'deprecated in v1.25, non-functional in v1.26+',
  cephfs: 'deprecated in v1.28, non-functional in v1.31+',
  rbd: 'deprecated in v1.28, non-functional in v1.31+',
});

function volumeWarnings(volume: Volume, field: string): string[] {
  const warnings: string[] = [];
  for (const [type, text] of oldVolumes) {
    if (!(type in volume)) continue;
    // Upstream spells this one in another way than the field.
    const shown = type === 'storageos' ? 'storageOS' : type;
    warnings.push(`${field}.${shown}: ${text}`);
  }
  const claim = volume.ephemeral?.volumeClaimTemplate?.spec;
  if (claim === undefined) return warnings;
  const at = `${field}.ephemeral.volumeClaimTemplate.spec.resources`;
  return [...warnings, ...storageWarnings(claim.resources, at)];
}

type Amounts = Readonly<Record<string, string>> | undefined;

/** Requests and limits of claims in fractions of bytes. */
export function storageWarnings(
  resources: { readonly requests?: Amounts; readonly limits?: Amounts } | undefined,
  field: string,
): string[] {
  return [
    ...fractions(resources?.requests, 'storage', `${field}.requests`),
    ...fractions(resources?.limits, 'storage', `${field}.limits`),
  ];
}

function fractionWarnings(amounts: Amounts, field: string): string[] {
  return ofBytes.flatMap((name) => fractions(amounts, name, field));
}

const ofBytes = ['memory', 'ephemeral-storage'];

function fractions(amounts: Amounts, name: string, field: string): string[] {
  const amount = amounts?.[name];
  if (amount === undefined || quantityMilliValue(amount) % 1000 === 0) return [];
  return [`${field}[${name}]: fractional byte value "${amount}" is invalid, must be an integer`];
}

function duplicateWarnings({ hostAliases = [], imagePullSecrets = [] }: PodSpec, at: string) {
  const warnings: string[] = [];
  if (hostAliases.length + imagePullSecrets.length === 0) return warnings;
  const addresses = new Set<string>();
  for (const [index, { ip }] of hostAliases.entries()) {
    if (addresses.has(ip)) warnings.push(`${at}.hostAliases[${index}].ip: duplicate ip "${ip}"`);
    addresses.add(ip);
  }
  const names = new Set<string>();
  for (const [index, { name = '' }] of imagePullSecrets.entries()) {
    const field = `${at}.imagePullSecrets[${index}].name`;
    if (names.has(name)) warnings.push(`${field}: duplicate name "${name}"`);
    names.add(name);
  }
  for (const [index, { name = '' }] of imagePullSecrets.entries()) {
    if (name !== '') continue;
    warnings.push(`${at}.imagePullSecrets[${index}].name: invalid empty name ""`);
  }
  return warnings;
}

function containerWarnings({ resources, env = [] }: Container, field: string): readonly string[] {
  const { limits, requests } = resources ?? {};
  const warnings: string[] = [];
  for (const name of ofBytes) {
    warnings.push(...fractions(limits, name, `${field}.resources.limits`));
    warnings.push(...fractions(requests, name, `${field}.resources.requests`));
  }
  // One hides nothing.
  if (env.length < 2) return warnings;
  const names = new Set<string>();
  for (const [index, { name, value = '', valueFrom }] of env.entries()) {
    // A variable may be built from its own previous value: PATH=/opt/bin:$(PATH).
    const reference = `$(${name})`;
    const extends_ = value.includes(reference) && value !== reference && valueFrom === undefined;
    if (names.has(name) && !extends_) {
      warnings.push(
        `${field}.env[${index}]: hides previous definition of "${name}", ` +
          'which may be dropped when using apply',
      );
    }
    names.add(name);
  }
  return warnings;
}

function affinityWarnings(affinity: Affinity | undefined, at: string): string[] {
  const warnings: string[] = [];
  if (affinity === undefined) return warnings;
  for (const side of ['podAffinity', 'podAntiAffinity'] as const) {
    const {
      requiredDuringSchedulingIgnoredDuringExecution: required = [],
      preferredDuringSchedulingIgnoredDuringExecution: preferred = [],
    } = affinity[side] ?? {};
    for (const [index, { labelSelector }] of required.entries()) {
      const field = `${at}.${side}.requiredDuringSchedulingIgnoredDuringExecution[${index}]`;
      if (labelSelector === undefined) warnings.push(`${field}.labelSelector: ${noPod}`);
    }
    for (const [index, { podAffinityTerm }] of preferred.entries()) {
      const field = `${at}.${side}.preferredDuringSchedulingIgnoredDuringExecution[${index}]`;
      if (podAffinityTerm.labelSelector !== undefined) continue;
      warnings.push(`${field}.podAffinityTerm.labelSelector: ${noPod}`);
    }
  }
  return warnings;
}
