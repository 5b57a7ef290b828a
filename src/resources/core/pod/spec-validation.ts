/**
 * Validation of pods and pod templates. This file checks what concerns the pod as a whole and walks
 * its containers; volumes, containers, probes, resources and scheduling rules have files beside it.
 *
 * Paths and texts are upstream's. Pods, ReplicaSets and Deployments all come here.
 */
import {
  duplicate,
  type FieldError,
  forbidden,
  invalid,
  notSupported,
  required,
  tooLong,
} from '#api/field-error.ts';
import { labelProblems, qualifiedNameProblems, subdomainProblems } from '#api/names.ts';
import { validateAnnotations, validateLabels } from '#api/object-meta.ts';
import { validateIP } from '#resources/ip-syntax.ts';
import type { Pod, PodDNSConfig, PodSpec, PodTemplateSpec } from '#resources/types/core-v1.ts';
import { validateChoice, validateId } from '#resources/value-validation.ts';
import { validateAppArmorAnnotations } from './app-armor-annotations.ts';
import {
  validateContainers,
  validateEphemeralContainers,
  validateInitContainers,
} from './container-validation.ts';
import { validateFileKeyVolumes } from './env-validation.ts';
import { validateResources } from './resources-validation.ts';
import {
  validateAffinity,
  validateTolerations,
  validateTopologySpread,
} from './scheduling-validation.ts';
import { validateProfiles } from './security-profiles.ts';
import { examineVolumes } from './volume-validation.ts';

const restartPolicies = ['Always', 'OnFailure', 'Never'];
/** Fields of a pod's security context, and what they may say. */
const securityPolicies = [
  ['fsGroupChangePolicy', ['Always', 'OnRootMismatch']],
  ['supplementalGroupsPolicy', ['Merge', 'Strict']],
  // `MountOption` needs upstream's gate SELinuxMount, which is off.
  ['seLinuxChangePolicy', ['Recursive']],
] as const;
const preemptionPolicies = ['PreemptLowerPriority', 'Never'];
const dnsPolicies = ['ClusterFirstWithHostNet', 'ClusterFirst', 'Default', 'None'];
const sysctlPattern = '^([a-z0-9]([-_a-z0-9]*[a-z0-9])?[\\./])*[a-z0-9]([-_a-z0-9]*[a-z0-9])?$';
const sysctlName = new RegExp(sysctlPattern);
const int32Max = 2 ** 31 - 1;

export function validatePod(pod: Pod): FieldError[] {
  if (pod.spec === undefined) return [required('spec.containers')];
  return [
    ...validatePodSpec(pod.spec, 'spec'),
    ...validateAppArmorAnnotations(pod.metadata.annotations, pod.spec, 'metadata'),
  ];
}

export function validatePodTemplate(template: PodTemplateSpec, field: string): FieldError[] {
  const errors = [
    ...validateLabels(template.metadata?.labels, `${field}.labels`),
    ...validateAnnotations(template.metadata?.annotations, `${field}.annotations`),
  ];
  if (template.spec === undefined) return [...errors, required(`${field}.spec.containers`)];
  const { annotations } = template.metadata ?? {};
  errors.push(
    ...validateAppArmorAnnotations(annotations, template.spec, field),
    ...validatePodSpec(template.spec, `${field}.spec`),
  );
  if ((template.spec.ephemeralContainers ?? []).length > 0) {
    errors.push({
      type: 'FieldValueForbidden',
      field: `${field}.spec.ephemeralContainers`,
      detail: 'ephemeral containers not allowed in pod template',
    });
  }
  return errors;
}

function validatePodSpec(spec: PodSpec, field: string): FieldError[] {
  const { errors, sound } = examineVolumes(spec.volumes ?? [], `${field}.volumes`);
  return [
    ...errors,
    ...validateContainers(spec, sound, `${field}.containers`),
    ...validateInitContainers(spec, sound, `${field}.initContainers`),
    ...validateEphemeralContainers(spec, sound, `${field}.ephemeralContainers`),
    ...validateResources(spec.resources, `${field}.resources`),
    ...validateChoice(spec.restartPolicy, restartPolicies, `${field}.restartPolicy`),
    ...validateChoice(spec.dnsPolicy, dnsPolicies, `${field}.dnsPolicy`),
    ...validateLabels(spec.nodeSelector, `${field}.nodeSelector`),
    ...validateSecurityContext(spec, `${field}.securityContext`),
    ...validateAffinity(spec.affinity, `${field}.affinity`),
    ...validateDNSConfig(spec.dnsConfig, spec.dnsPolicy, `${field}.dnsConfig`),
    ...validateGates(spec, field),
    ...validateTopologySpread(
      spec.topologySpreadConstraints ?? [],
      `${field}.topologySpreadConstraints`,
    ),
    ...validateNames(spec, field),
    ...validateHostnameOverride(spec, field),
    ...validateTolerations(spec.tolerations ?? [], `${field}.tolerations`),
    ...validateHostAliases(spec, `${field}.hostAliases`),
    ...validateRest(spec, field),
    ...validateFileKeyVolumes(spec, field),
  ];
}

function validateSecurityContext(
  { securityContext, hostPID, shareProcessNamespace }: PodSpec,
  field: string,
) {
  const {
    fsGroup,
    runAsUser,
    runAsGroup,
    supplementalGroups = [],
    sysctls = [],
  } = securityContext ?? {};
  const errors = [
    ...validateId(fsGroup, `${field}.fsGroup`),
    ...validateId(runAsUser, `${field}.runAsUser`),
    ...validateId(runAsGroup, `${field}.runAsGroup`),
  ];
  for (const [index, group] of supplementalGroups.entries()) {
    errors.push(...validateId(group, `${field}.supplementalGroups[${index}]`));
  }
  errors.push(...validateProfiles(securityContext ?? {}, field));
  for (const [name, known] of securityPolicies) {
    const policy = securityContext?.[name];
    if (policy === undefined || known.some((each) => each === policy)) continue;
    errors.push(notSupported(`${field}.${name}`, policy, known));
  }
  if (hostPID === true && shareProcessNamespace === true) {
    const detail = 'ShareProcessNamespace and HostPID cannot both be enabled';
    errors.push(invalid(`${field}.shareProcessNamespace`, true, detail));
  }
  if (sysctls.length === 0) return errors;
  const names = new Set<string>();
  for (const [index, { name }] of sysctls.entries()) {
    if (!name) errors.push(required(`${field}.sysctls[${index}].name`));
    else if (name.length > 253 || !sysctlName.test(name)) {
      const detail = `must have at most 253 characters and match regex ${sysctlPattern}`;
      errors.push(invalid(`${field}.sysctls[${index}].name`, name, detail));
    }
    if (name && names.has(name)) errors.push(duplicate(`${field}.sysctls[${index}].name`, name));
    names.add(name);
  }
  return errors;
}

function validateDNSConfig(
  config: PodDNSConfig | undefined,
  dnsPolicy: string | undefined,
  field: string,
): FieldError[] {
  const errors: FieldError[] = [];
  if (config === undefined && dnsPolicy !== 'None') return errors;
  const { nameservers = [], searches = [], options = [] } = config ?? {};
  if (dnsPolicy === 'None' && nameservers.length === 0) {
    const detail = 'must provide at least one DNS nameserver when `dnsPolicy` is None';
    errors.push(required(`${field}.nameservers`, detail));
  }
  if (nameservers.length > 3) {
    errors.push(
      invalid(`${field}.nameservers`, nameservers, 'must not have more than 3 nameservers'),
    );
  }
  for (const [index, address] of nameservers.entries()) {
    errors.push(...validateIP(address, `${field}.nameservers[${index}]`));
  }
  if (searches.length > 32) {
    errors.push(invalid(`${field}.searches`, searches, 'must not have more than 32 search paths'));
  }
  for (const [index, search] of searches.entries()) {
    if (search === '.') continue;
    for (const problem of subdomainProblems(search.replace(/\.$/, '').replaceAll('_', '-'))) {
      errors.push(invalid(`${field}.searches[${index}]`, search, problem));
    }
  }
  for (const [index, { name }] of options.entries()) {
    if (!name) errors.push(required(`${field}.options[${index}]`, 'must not be empty'));
  }
  return errors;
}

function validateGates({ readinessGates = [], schedulingGates = [] }: PodSpec, field: string) {
  const errors: FieldError[] = [];
  for (const [index, { conditionType }] of readinessGates.entries()) {
    for (const problem of qualifiedNameProblems(conditionType)) {
      const at = `${field}.readinessGates[${index}].conditionType`;
      errors.push(invalid(at, conditionType, problem));
    }
  }
  if (schedulingGates.length === 0) return errors;
  const seen = new Set<string>();
  for (const [index, { name }] of schedulingGates.entries()) {
    const at = `${field}.schedulingGates[${index}]`;
    for (const problem of qualifiedNameProblems(name)) errors.push(invalid(at, name, problem));
    if (seen.has(name)) errors.push(duplicate(at, name));
    seen.add(name);
  }
  return errors;
}

const nameRules = [
  ['serviceAccountName', subdomainProblems],
  ['nodeName', subdomainProblems],
  ['hostname', labelProblems],
  ['subdomain', labelProblems],
  ['priorityClassName', subdomainProblems],
  ['runtimeClassName', subdomainProblems],
] as const;

/** What a kernel takes for a name. */
const hostnameLengthMax = 64;

function validateHostnameOverride(spec: PodSpec, field: string): FieldError[] {
  const { hostnameOverride: name, setHostnameAsFQDN, hostNetwork } = spec;
  if (name === undefined) return [];
  const at = `${field}.hostnameOverride`;
  return [
    ...(setHostnameAsFQDN === true
      ? [forbidden(at, 'may not be specified when setHostnameAsFQDN is true')]
      : []),
    ...(hostNetwork === true
      ? [forbidden(at, 'may not be specified when hostNetwork is true')]
      : []),
    ...(name.length > hostnameLengthMax ? [tooLong(at, hostnameLengthMax)] : []),
    ...subdomainProblems(name).map((problem) => invalid(at, name, problem)),
  ];
}

function validateNames(spec: PodSpec, field: string): FieldError[] {
  const errors: FieldError[] = [];
  for (const [name, problemsOf] of nameRules) {
    const value = spec[name];
    if (!value) continue;
    for (const problem of problemsOf(value))
      errors.push(invalid(`${field}.${name}`, value, problem));
  }
  return errors;
}

function validateHostAliases({ hostAliases = [] }: PodSpec, field: string): FieldError[] {
  const errors: FieldError[] = [];
  for (const [index, { ip, hostnames = [] }] of hostAliases.entries()) {
    errors.push(...validateIP(ip, `${field}[${index}].ip`));
    for (const [at, hostname] of hostnames.entries()) {
      for (const problem of subdomainProblems(hostname)) {
        errors.push(invalid(`${field}[${index}].hostnames[${at}]`, hostname, problem));
      }
    }
  }
  return errors;
}

function validateRest(spec: PodSpec, field: string): FieldError[] {
  const errors: FieldError[] = [];
  const { activeDeadlineSeconds: deadline, preemptionPolicy, os } = spec;
  if (deadline !== undefined && (deadline < 1 || deadline > int32Max)) {
    const detail = `must be between 1 and ${int32Max}, inclusive`;
    errors.push(invalid(`${field}.activeDeadlineSeconds`, deadline, detail));
  }
  if (preemptionPolicy && !preemptionPolicies.includes(preemptionPolicy)) {
    const at = `${field}.preemptionPolicy`;
    errors.push(notSupported(at, preemptionPolicy, preemptionPolicies));
  }
  if (os !== undefined && !['linux', 'windows'].includes(os.name)) {
    errors.push(
      os.name
        ? notSupported(`${field}.os`, os.name, ['linux', 'windows'])
        : required(`${field}.os.name`),
    );
  }
  return errors;
}
