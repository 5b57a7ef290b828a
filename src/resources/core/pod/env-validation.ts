/**
 * Validation of environment variables and where their values come from: one source each, complete,
 * and of the pod's fields only those that a container may see.
 */
import {
  type FieldError,
  fieldNotFound,
  invalid,
  notSupported,
  required,
} from '#api/field-error.ts';
import {
  configMapKeyProblems,
  envVarNameProblems,
  labelProblems,
  nameProblems,
  subdomainProblems,
} from '#api/names.ts';
import { quantity } from '#api/quantity.ts';
import type {
  EnvFromSource,
  EnvVar,
  EnvVarSource,
  FileKeySelector,
  ObjectFieldSelector,
  PodSpec,
  ResourceFieldSelector,
} from '#resources/types/core-v1.ts';

/** Fields of the pod that variables may show. */
const envFieldPaths = [
  'metadata.name',
  'metadata.namespace',
  'metadata.uid',
  'spec.nodeName',
  'spec.serviceAccountName',
  'status.hostIP',
  'status.hostIPs',
  'status.podIP',
  'status.podIPs',
];

const resourceNames = [
  'limits.cpu',
  'limits.ephemeral-storage',
  'limits.memory',
  'requests.cpu',
  'requests.ephemeral-storage',
  'requests.memory',
];

const mapPath = /^metadata\.(annotations|labels)\['(.*)'\]$/;

export function validateEnv(env: readonly EnvVar[], field: string): FieldError[] {
  const errors: FieldError[] = [];
  for (const [index, variable] of env.entries()) {
    const at = `${field}[${index}]`;
    if (!variable.name) errors.push(required(`${at}.name`));
    else {
      for (const problem of envVarNameProblems(variable.name)) {
        errors.push(invalid(`${at}.name`, variable.name, problem));
      }
    }
    if (variable.valueFrom !== undefined) {
      errors.push(...validateSource(variable.valueFrom, variable.value, `${at}.valueFrom`));
    }
  }
  return errors;
}

function validateSource(
  source: EnvVarSource,
  value: string | undefined,
  field: string,
): FieldError[] {
  const errors: FieldError[] = [];
  let sources = 0;
  if (source.fieldRef !== undefined) {
    sources += 1;
    errors.push(...validateFieldRef(source.fieldRef, envFieldPaths, `${field}.fieldRef`));
  }
  if (source.resourceFieldRef !== undefined) {
    sources += 1;
    errors.push(...validateResourceFieldRef(source.resourceFieldRef, `${field}.resourceFieldRef`));
  }
  for (const name of ['configMapKeyRef', 'secretKeyRef'] as const) {
    const reference = source[name];
    if (reference === undefined) continue;
    sources += 1;
    for (const problem of subdomainProblems(reference.name ?? '')) {
      errors.push(invalid(`${field}.${name}.name`, reference.name ?? '', problem));
    }
    if (!reference.key) errors.push(required(`${field}.${name}.key`));
    else {
      for (const problem of configMapKeyProblems(reference.key)) {
        errors.push(invalid(`${field}.${name}.key`, reference.key, problem));
      }
    }
  }
  if (source.fileKeyRef !== undefined) {
    sources += 1;
    errors.push(...validateFileKey(source.fileKeyRef, `${field}.fileKeyRef`));
  }
  if (sources === 0) {
    const detail =
      'must specify one of: `fieldRef`, `resourceFieldRef`, `configMapKeyRef`, `secretKeyRef` or `fileKeyRef`';
    errors.push(invalid(field, '', detail));
  } else if (value) {
    errors.push(invalid(field, '', 'may not be specified when `value` is not empty'));
  } else if (sources > 1) {
    errors.push(invalid(field, '', 'may not have more than one field specified at a time'));
  }
  return errors;
}

function validateFileKey({ key, volumeName, path }: FileKeySelector, field: string): FieldError[] {
  const errors: FieldError[] = [];
  if (!key) errors.push(required(`${field}.key`));
  else {
    for (const problem of envVarNameProblems(key))
      errors.push(invalid(`${field}.key`, key, problem));
  }
  if (!volumeName) errors.push(required(`${field}.volumeName`));
  else {
    for (const problem of labelProblems(volumeName)) {
      errors.push(invalid(`${field}.volumeName`, volumeName, problem));
    }
  }
  if (!path) errors.push(required(`${field}.path`));
  else if (path.split('/').includes('..')) {
    errors.push(invalid(`${field}.path`, path, "must not contain '..'"));
  }
  return errors;
}

/** Files of variables are read only where a container of the pod has written them. */
export function validateFileKeyVolumes(spec: PodSpec, field: string): FieldError[] {
  const volumes = new Map((spec.volumes ?? []).map((volume) => [volume.name, volume]));
  return (['initContainers', 'containers', 'ephemeralContainers'] as const).flatMap((list) =>
    (spec[list] ?? []).flatMap(({ env = [] }, index) =>
      env.flatMap(({ valueFrom }, number) => {
        const name = valueFrom?.fileKeyRef?.volumeName;
        if (name === undefined) return [];
        const at = `${field}.${list}[${index}].env[${number}].valueFrom.fileKeyRef.volumeName`;
        const volume = volumes.get(name);
        if (volume === undefined) return [fieldNotFound(at, name)];
        if (volume.emptyDir !== undefined) return [];
        return [invalid(at, name, 'referenced volume must be of type emptyDir')];
      }),
    ),
  );
}

export function validateFieldRef(
  { apiVersion, fieldPath }: ObjectFieldSelector,
  supported: readonly string[],
  field: string,
): FieldError[] {
  if (!apiVersion) return [required(`${field}.apiVersion`)];
  if (!fieldPath) return [required(`${field}.fieldPath`)];
  if (supported.includes(fieldPath) || mapPath.test(fieldPath)) return [];
  if (/^(metadata|spec|status)\.\w+$/.test(fieldPath) && allFieldPaths.includes(fieldPath)) {
    return [notSupported(`${field}.fieldPath`, fieldPath, supported)];
  }
  const detail = `error converting fieldPath: field label not supported: ${fieldPath}`;
  return [invalid(`${field}.fieldPath`, fieldPath, detail)];
}

const allFieldPaths = [
  ...envFieldPaths,
  'metadata.annotations',
  'metadata.labels',
  'spec.restartPolicy',
  'spec.schedulerName',
  'status.phase',
  'spec.hostNetwork',
];

export function validateResourceFieldRef(
  { resource, divisor = '0' }: ResourceFieldSelector,
  field: string,
): FieldError[] {
  if (!resource) return [required(`${field}.resource`)];
  const hugePages = /^(limits|requests)\.hugepages-/.test(resource);
  const errors =
    hugePages || resourceNames.includes(resource)
      ? []
      : [notSupported(`${field}.resource`, resource, resourceNames)];
  const [, name = ''] = resource.split('.');
  const named = hugePages ? 'hugepages' : name;
  const allowed = named === 'cpu' ? cpuDivisors : sizeDivisors;
  const known = ['cpu', 'memory', 'ephemeral-storage', 'hugepages'].includes(named);
  if (!known || quantity(divisor).nano === 0n || allowed.includes(divisor)) return errors;
  const values = named === 'cpu' ? allowed.join(' and ') : allowed.join(', ');
  const shown = named === 'ephemeral-storage' ? 'local ephemeral storage' : named;
  const detail = `only divisor's values ${values} are supported with the ${shown} resource`;
  return [...errors, invalid(`${field}.divisor`, resource, detail)];
}

const cpuDivisors = ['1m', '1'];
const sizeDivisors = '1 1k 1M 1G 1T 1P 1E 1Ki 1Mi 1Gi 1Ti 1Pi 1Ei'.split(' ');

export function validateEnvFrom(sources: readonly EnvFromSource[], field: string): FieldError[] {
  const errors: FieldError[] = [];
  for (const [index, source] of sources.entries()) {
    const at = `${field}[${index}]`;
    if (source.prefix) {
      for (const problem of envVarNameProblems(source.prefix)) {
        errors.push(invalid(`${at}.prefix`, source.prefix, problem));
      }
    }
    const { configMapRef, secretRef } = source;
    for (const name of ['configMapRef', 'secretRef'] as const) {
      const reference = source[name];
      if (reference === undefined) continue;
      if (!reference.name) errors.push(required(`${at}.${name}.name`));
      else {
        for (const problem of nameProblems(reference.name, 'subdomain', { generated: true })) {
          errors.push(invalid(`${at}.${name}.name`, reference.name, problem));
        }
      }
    }
    if (configMapRef === undefined && secretRef === undefined) {
      errors.push(invalid(field, '', 'must specify one of: `configMapRef` or `secretRef`'));
    } else if (configMapRef !== undefined && secretRef !== undefined) {
      errors.push(invalid(field, '', 'may not have more than one field specified at a time'));
    }
  }
  return errors;
}
