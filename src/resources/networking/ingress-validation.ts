/**
 * Validation of Ingresses: hosts, paths by their type, and backends, which are a Service's port or
 * another object, never both.
 */
import { isIP } from 'node:net';
import { type FieldError, invalid, notSupported, required } from '#api/field-error.ts';
import { labelProblems, patternText, portNameProblems, subdomainProblems } from '#api/names.ts';
import { validateIP } from '../ip-syntax.ts';
import type {
  HTTPIngressPath,
  Ingress,
  IngressBackend,
  IngressRule,
  IngressTLS,
} from '../types/networking-v1.ts';
import { validatePort } from '../value-validation.ts';
import { validateReference } from './ingress-class.ts';

const pathTypes = ['Exact', 'ImplementationSpecific', 'Prefix'];
const badSequences = ['//', '/./', '/../', '%2f', '%2F'];
const badEndings = ['/..', '/.'];

export function validateIngress({ spec = {} }: Ingress): FieldError[] {
  const { rules = [], defaultBackend, tls = [], ingressClassName } = spec;
  const errors: FieldError[] = [];
  if (rules.length === 0 && defaultBackend === undefined) {
    const detail = 'either `defaultBackend` or `rules` must be specified';
    errors.push(invalid('spec', spec.rules ?? null, detail));
  }
  if (defaultBackend !== undefined) {
    errors.push(...validateBackend(defaultBackend, 'spec.defaultBackend'));
  }
  errors.push(
    ...rules.flatMap((rule, index) => validateRule(rule, `spec.rules[${index}]`)),
    ...tls.flatMap((entry, index) => validateTLS(entry, `spec.tls[${index}]`)),
  );
  for (const problem of ingressClassName === undefined ? [] : subdomainProblems(ingressClassName)) {
    errors.push(invalid('spec.ingressClassName', ingressClassName, problem));
  }
  return errors;
}

function validateRule({ host = '', http }: IngressRule, field: string): FieldError[] {
  const errors: FieldError[] = [];
  if (host !== '') {
    if (isIP(host) !== 0) {
      errors.push(invalid(`${field}.host`, host, 'must be a DNS name, not an IP address'));
    }
    errors.push(...validateHost(host, `${field}.host`));
  }
  if (http === undefined) return errors;
  const paths = http.paths ?? [];
  if (paths.length === 0) return [...errors, required(`${field}.http.paths`)];
  return [
    ...errors,
    ...paths.flatMap((path, index) => validatePath(path, `${field}.http.paths[${index}]`)),
  ];
}

function validateHost(host: string, field: string): FieldError[] {
  const problems = host.includes('*') ? wildcardProblems(host) : subdomainProblems(host);
  return problems.map((problem) => invalid(field, host, problem));
}

/** `*.example.com`: one label, the first, may be anything. */
function wildcardProblems(host: string): readonly string[] {
  const pattern = '\\*\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*';
  if (new RegExp(`^${pattern}$`).test(host)) return [];
  const text =
    "a wildcard DNS-1123 subdomain must start with '*.', followed by a valid DNS subdomain, which must consist of lower case alphanumeric characters, '-' or '.' and end with an alphanumeric character";
  return [patternText(text, pattern, ['*.example.com'])];
}

function validatePath({ path = '', pathType, backend }: HTTPIngressPath, field: string) {
  const errors: FieldError[] = [];
  const at = `${field}.path`;
  const absolute = 'must be an absolute path';
  switch (pathType) {
    // The decoder fills in what the schema requires, so an absent type is empty here.
    case '':
    case undefined:
      return [required(`${field}.pathType`, 'pathType must be specified')];
    case 'Exact':
    case 'Prefix':
      if (!path.startsWith('/')) errors.push(invalid(at, path, absolute));
      for (const sequence of badSequences.filter((bad) => path.includes(bad))) {
        errors.push(invalid(at, path, `must not contain '${sequence}'`));
      }
      for (const ending of badEndings.filter((bad) => path.endsWith(bad))) {
        errors.push(invalid(at, path, `cannot end with '${ending}'`));
      }
      break;
    case 'ImplementationSpecific':
      if (path !== '' && !path.startsWith('/')) errors.push(invalid(at, path, absolute));
      break;
    default:
      errors.push(notSupported(`${field}.pathType`, pathType, pathTypes));
  }
  errors.push(...validateBackend(backend ?? {}, `${field}.backend`));
  return errors;
}

function validateBackend({ service, resource }: IngressBackend, field: string): FieldError[] {
  if (service !== undefined && resource !== undefined) {
    return [invalid(field, '', 'cannot set both resource and service backends')];
  }
  if (resource !== undefined) return validateReference(resource, `${field}.resource`);
  if (service === undefined) {
    return [invalid(field, '', 'resource or service backend is required')];
  }
  const at = `${field}.service`;
  const { name = '', port: { name: portName = '', number = 0 } = {} } = service;
  const errors: FieldError[] =
    name === ''
      ? [required(`${at}.name`)]
      : labelProblems(name).map((problem) => invalid(`${at}.name`, name, problem));
  if (portName !== '' && number !== 0) {
    errors.push(invalid(field, '', 'cannot set both port name & port number'));
  } else if (portName !== '') {
    for (const problem of portNameProblems(portName)) {
      errors.push(invalid(`${at}.port.name`, portName, problem));
    }
  } else if (number !== 0) {
    errors.push(...validatePort(number, `${at}.port.number`));
  } else {
    errors.push(required(field, 'port name or number is required'));
  }
  return errors;
}

function validateTLS({ hosts = [], secretName = '' }: IngressTLS, field: string): FieldError[] {
  const errors = hosts.flatMap((host, index) => validateHost(host, `${field}.hosts[${index}]`));
  for (const problem of secretName === '' ? [] : subdomainProblems(secretName)) {
    errors.push(invalid(`${field}.secretName`, secretName, problem));
  }
  return errors;
}

export function validateIngressStatus({ status }: Ingress): FieldError[] {
  const entries = status?.loadBalancer?.ingress ?? [];
  return entries.flatMap(({ ip, hostname }, index) => {
    const at = `status.loadBalancer.ingress[${index}]`;
    const errors = ip ? validateIP(ip, `${at}.ip`) : [];
    if (!hostname) return errors;
    if (isIP(hostname) !== 0) {
      errors.push(invalid(`${at}.hostname`, hostname, 'must be a DNS name, not an IP address'));
    }
    return [
      ...errors,
      ...subdomainProblems(hostname).map((problem) => invalid(`${at}.hostname`, hostname, problem)),
    ];
  });
}
