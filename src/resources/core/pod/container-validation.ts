/**
 * Validation of containers, init containers and ephemeral containers: names, images, ports,
 * environment, mounts; probes and resources have their own files.
 */
import {
  duplicate,
  type FieldError,
  fieldNotFound,
  forbidden,
  invalid,
  notSupported,
  required,
} from '#api/field-error.ts';
import { labelProblems, portNameProblems } from '#api/names.ts';
import type {
  Container,
  ContainerPort,
  EphemeralContainer,
  PodSpec,
  Volume,
  VolumeDevice,
  VolumeMount,
} from '#resources/types/core-v1.ts';
import {
  protocols,
  validateChoice,
  validateId,
  validateLocalPath,
  validatePort,
} from '#resources/value-validation.ts';
import { validateEnv, validateEnvFrom } from './env-validation.ts';
import { validateLifecycle, validateProbes } from './probe-validation.ts';
import { validateResources } from './resources-validation.ts';
import { validateProfiles } from './security-profiles.ts';

type Volumes = ReadonlyMap<string, Volume>;

const pullPolicies = ['Always', 'IfNotPresent', 'Never'];
const messagePolicies = ['File', 'FallbackToLogsOnError'];

export function validateContainers(spec: PodSpec, volumes: Volumes, field: string): FieldError[] {
  const { containers = [] } = spec;
  if (containers.length === 0) return [required(field)];
  const errors: FieldError[] = [];
  const names = new Set<string>();
  const hostPorts = new Set<string>();
  for (const [index, container] of containers.entries()) {
    const at = `${field}[${index}]`;
    errors.push(...validateContainer(container, volumes, at, spec));
    errors.push(...validateLifecycle(container.lifecycle, graceSecondsOf(spec), `${at}.lifecycle`));
    errors.push(...validateProbes(container, at));
    if (container.name && names.has(container.name)) {
      errors.push(duplicate(`${at}.name`, container.name));
    }
    names.add(container.name);
    errors.push(...validateHostPorts(container, hostPorts, at));
  }
  return errors;
}

export function validateInitContainers(
  spec: PodSpec,
  volumes: Volumes,
  field: string,
): FieldError[] {
  const { initContainers = [] } = spec;
  const errors: FieldError[] = [];
  if (initContainers.length === 0) return errors;
  const names = new Set(spec.containers?.map(({ name }) => name));
  for (const [index, container] of initContainers.entries()) {
    const at = `${field}[${index}]`;
    errors.push(...validateContainer(container, volumes, at, spec));
    if (container.name && names.has(container.name)) {
      errors.push(duplicate(`${at}.name`, container.name));
    }
    names.add(container.name);
    if (container.restartPolicy === 'Always') {
      errors.push(
        ...validateLifecycle(container.lifecycle, graceSecondsOf(spec), `${at}.lifecycle`),
      );
      errors.push(...validateProbes(container, at));
      continue;
    }
    const never = ['lifecycle', 'livenessProbe', 'readinessProbe', 'startupProbe'] as const;
    for (const name of never) {
      if (container[name] === undefined) continue;
      const detail = 'may not be set for init containers without restartPolicy=Always';
      errors.push(forbidden(`${at}.${name}`, detail));
    }
  }
  return errors;
}

export function validateEphemeralContainers(
  spec: PodSpec,
  volumes: Volumes,
  field: string,
): FieldError[] {
  const { ephemeralContainers = [] } = spec;
  const errors: FieldError[] = [];
  if (ephemeralContainers.length === 0) return errors;
  const others = [...(spec.containers ?? []), ...(spec.initContainers ?? [])];
  const names = new Set(others.map(({ name }) => name));
  for (const [index, container] of ephemeralContainers.entries()) {
    const at = `${field}[${index}]`;
    errors.push(...validateContainer(container, volumes, at, spec));
    if (names.has(container.name)) errors.push(duplicate(`${at}.name`, container.name));
    names.add(container.name);
    const target = container.targetContainerName;
    if (target && !others.some(({ name }) => name === target)) {
      errors.push(fieldNotFound(`${at}.targetContainerName`, target));
    }
    const never = [
      'ports',
      'livenessProbe',
      'readinessProbe',
      'startupProbe',
      'lifecycle',
    ] as const;
    for (const name of never) {
      if (container[name] === undefined) continue;
      errors.push(forbidden(`${at}.${name}`, 'field is not allowed for ephemeral containers'));
    }
  }
  return errors;
}

function validateContainer(
  container: Container | EphemeralContainer,
  volumes: Volumes,
  field: string,
  spec: PodSpec,
): FieldError[] {
  const errors: FieldError[] = [];
  const { name, image } = container;
  if (!name) errors.push(required(`${field}.name`));
  else {
    for (const problem of labelProblems(name)) errors.push(invalid(`${field}.name`, name, problem));
  }
  if (!image) errors.push(required(`${field}.image`));
  else if (image !== image.trim()) {
    const detail = 'must not have leading or trailing whitespace';
    errors.push(invalid(`${field}.image`, image, detail));
  }
  const { terminationMessagePolicy, imagePullPolicy, restartPolicy } = container;
  errors.push(
    ...validateChoice(
      terminationMessagePolicy,
      messagePolicies,
      `${field}.terminationMessagePolicy`,
    ),
    ...validatePorts(container.ports ?? [], spec, `${field}.ports`),
    ...validateEnv(container.env ?? [], `${field}.env`),
    ...validateEnvFrom(container.envFrom ?? [], `${field}.envFrom`),
    ...validateMounts(container, volumes, field),
    ...validateChoice(imagePullPolicy, pullPolicies, `${field}.imagePullPolicy`),
    ...validateResources(container.resources, `${field}.resources`),
    ...validateSecurityContext(container, `${field}.securityContext`),
  );
  if (restartPolicy !== undefined && !restartPolicies.includes(restartPolicy)) {
    errors.push(notSupported(`${field}.restartPolicy`, restartPolicy, restartPolicies));
  }
  errors.push(...validateResizePolicy(container, spec, `${field}.resizePolicy`));
  return errors;
}

const restartPolicies = ['Always', 'Never', 'OnFailure'];
const resizable = ['cpu', 'memory'];
const resizePolicies = ['NotRequired', 'RestartContainer'];

function validateResizePolicy(
  { resizePolicy = [] }: Container | EphemeralContainer,
  { restartPolicy: restartsPod }: PodSpec,
  field: string,
): FieldError[] {
  const errors: FieldError[] = [];
  if (resizePolicy.length === 0) return errors;
  const names = new Set<string>();
  for (const [index, { resourceName, restartPolicy }] of resizePolicy.entries()) {
    if (names.has(resourceName)) errors.push(duplicate(`${field}[${index}]`, resourceName));
    names.add(resourceName);
    errors.push(
      ...validateChoice(resourceName, resizable, field),
      ...validateChoice(restartPolicy, resizePolicies, field),
    );
    if (restartsPod === 'Never' && restartPolicy !== 'NotRequired') {
      const detail = "must be 'NotRequired' when pod `restartPolicy` is 'Never'";
      errors.push(invalid(field, restartPolicy, detail));
    }
  }
  return errors;
}

function graceSecondsOf({ terminationGracePeriodSeconds }: PodSpec): number {
  return terminationGracePeriodSeconds ?? 30;
}

function validatePorts(
  ports: readonly ContainerPort[],
  { hostNetwork }: PodSpec,
  field: string,
): FieldError[] {
  const errors: FieldError[] = [];
  const names = new Set<string>();
  for (const [index, port] of ports.entries()) {
    const at = `${field}[${index}]`;
    if (port.name) {
      for (const problem of portNameProblems(port.name)) {
        errors.push(invalid(`${at}.name`, port.name, problem));
      }
      if (names.has(port.name)) errors.push(duplicate(`${at}.name`, port.name));
      names.add(port.name);
    }
    if (!port.containerPort) errors.push(required(`${at}.containerPort`));
    else errors.push(...validatePort(port.containerPort, `${at}.containerPort`));
    if (port.hostPort) errors.push(...validatePort(port.hostPort, `${at}.hostPort`));
    errors.push(...validateChoice(port.protocol, protocols, `${at}.protocol`));
    if (hostNetwork === true && port.hostPort && port.hostPort !== port.containerPort) {
      const detail = 'must match `hostPort` when `hostNetwork` is true';
      errors.push(invalid(`${at}.containerPort`, port.containerPort, detail));
    }
  }
  return errors;
}

/** Two containers of a pod cannot have the same port of the node. */
function validateHostPorts(container: Container, taken: Set<string>, field: string): FieldError[] {
  const errors: FieldError[] = [];
  for (const [index, port] of (container.ports ?? []).entries()) {
    if (!port.hostPort) continue;
    const key = `${port.protocol}/${port.hostIP ?? ''}/${port.hostPort}`;
    if (taken.has(key)) errors.push(duplicate(`${field}.ports[${index}].hostPort`, key));
    taken.add(key);
  }
  return errors;
}

function validateMounts(
  { volumeMounts = [], volumeDevices = [], securityContext }: Container | EphemeralContainer,
  volumes: Volumes,
  field: string,
): FieldError[] {
  const errors: FieldError[] = [];
  const isPrivileged = securityContext?.privileged === true;
  const paths = new Set<string>();
  for (const [index, mount] of volumeMounts.entries()) {
    const at = `${field}.volumeMounts[${index}]`;
    if (!mount.name) errors.push(required(`${at}.name`));
    if (!volumes.has(mount.name)) errors.push(fieldNotFound(`${at}.name`, mount.name));
    if (!mount.mountPath) errors.push(required(`${at}.mountPath`));
    else if (paths.has(mount.mountPath)) {
      errors.push(invalid(`${at}.mountPath`, mount.mountPath, 'must be unique'));
    }
    paths.add(mount.mountPath);
    errors.push(...validateSubPaths(mount, at), ...validateModes(mount, `${field}.volumeMounts`));
    if (mount.mountPropagation === 'Bidirectional' && !isPrivileged) {
      const detail = 'Bidirectional mount propagation is available only to privileged containers';
      errors.push(forbidden(`${field}.volumeMounts.mountPropagation`, detail));
    }
  }
  if (volumeDevices.length === 0) return errors;
  return [...errors, ...validateDevices(volumeDevices, volumes, `${field}.volumeDevices`)];
}

function validateDevices(
  devices: readonly VolumeDevice[],
  volumes: Volumes,
  field: string,
): FieldError[] {
  const errors: FieldError[] = [];
  const names = new Set<string>();
  const paths = new Set<string>();
  for (const [index, { name, devicePath }] of devices.entries()) {
    const at = `${field}[${index}]`;
    const volume = volumes.get(name);
    if (!name) errors.push(required(`${at}.name`));
    if (name && names.has(name)) errors.push(invalid(`${at}.name`, name, 'must be unique'));
    names.add(name);
    if (volume === undefined) errors.push(fieldNotFound(`${at}.name`, name));
    else if (volume.persistentVolumeClaim === undefined && volume.ephemeral === undefined) {
      const detail =
        'can only use volume source type of PersistentVolumeClaim or Ephemeral for block mode';
      errors.push(invalid(`${at}.name`, name, detail));
    }
    if (!devicePath) errors.push(required(`${at}.devicePath`));
    if (paths.has(devicePath)) {
      errors.push(invalid(`${at}.devicePath`, devicePath, 'must be unique'));
    }
    paths.add(devicePath);
  }
  return errors;
}

function validateSubPaths({ subPath, subPathExpr }: VolumeMount, field: string) {
  const errors: FieldError[] = [];
  if (subPath) errors.push(...validateLocalPath(subPath, `${field}.subPath`));
  if (subPathExpr) {
    if (subPath) {
      errors.push(
        invalid(
          `${field}.subPathExpr`,
          subPathExpr,
          'subPathExpr and subPath are mutually exclusive',
        ),
      );
    }
    errors.push(...validateLocalPath(subPathExpr, `${field}.subPathExpr`));
  }
  return errors;
}

const mountChoices: readonly ['mountPropagation' | 'recursiveReadOnly', readonly string[]][] = [
  ['mountPropagation', ['Bidirectional', 'HostToContainer', 'None']],
  ['recursiveReadOnly', ['Disabled', 'Enabled', 'IfPossible']],
];

/** Upstream does not say in which of the mounts. */
function validateModes(mount: VolumeMount, field: string): FieldError[] {
  const errors: FieldError[] = [];
  for (const [name, choices] of mountChoices) {
    const value = mount[name];
    if (value === undefined || choices.includes(value)) continue;
    errors.push(notSupported(`${field}.${name}`, value, choices));
  }
  return errors;
}

function validateSecurityContext(
  { securityContext }: Container | EphemeralContainer,
  field: string,
): FieldError[] {
  if (securityContext === undefined) return [];
  const { privileged, allowPrivilegeEscalation, capabilities, runAsUser, runAsGroup } =
    securityContext;
  const errors = [
    ...validateId(runAsUser, `${field}.runAsUser`),
    ...validateId(runAsGroup, `${field}.runAsGroup`),
    ...validateProfiles(securityContext, field),
  ];
  if (allowPrivilegeEscalation === false && privileged === true) {
    const detail = 'cannot set `allowPrivilegeEscalation` to false and `privileged` to true';
    errors.push(invalid(field, securityContext, detail));
  }
  if (allowPrivilegeEscalation === false && capabilities?.add?.includes('CAP_SYS_ADMIN')) {
    const detail =
      'cannot set `allowPrivilegeEscalation` to false and `capabilities.Add` CAP_SYS_ADMIN';
    errors.push(invalid(field, securityContext, detail));
  }
  return errors;
}
