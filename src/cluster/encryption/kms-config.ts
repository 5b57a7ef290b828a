/**
 * The part of an `EncryptionConfiguration` about key management services, judged in upstream's
 * words, oddities included. Pure.
 */
import { type FieldError, invalid, required } from '#api/field-error.ts';
import { parseDuration } from '#kit/duration.ts';
import type { KmsSettings } from './kms-provider.ts';

export interface GivenKms {
  readonly apiVersion?: string;
  readonly name?: string;
  readonly endpoint?: string;
  readonly timeout?: string;
  readonly cachesize?: number;
}

const timeoutDefault = '3s';

export function validateKms(
  field: string,
  kms: GivenKms,
  /** Of those that came before it. */
  names: ReadonlySet<string>,
): readonly FieldError[] {
  const { apiVersion = 'v1', name = '', timeout = timeoutDefault, cachesize } = kms;
  const problems: FieldError[] = [];
  const inName = `${field}.name`;
  if (name === '') problems.push(required(inName, 'name is a mandatory field for a provider'));
  if (apiVersion !== 'v1' && name.includes(':')) {
    const detail = `invalid KMS provider name ${name}, must not contain ':'`;
    problems.push(invalid(inName, name, detail));
  }
  if (apiVersion !== 'v1' && names.has(name)) {
    const detail = `duplicate KMS provider name ${name}, names must be unique`;
    problems.push(invalid(inName, name, detail));
  }
  if ((parseDuration(timeout) ?? 0) <= 0) {
    problems.push(invalid(`${field}.timeout`, timeout, 'timeout should be a positive value'));
  }
  problems.push(...validateEndpoint(`${field}.endpoint`, kms.endpoint ?? ''));
  if (apiVersion !== 'v1' && cachesize !== undefined) {
    problems.push(invalid(`${field}.cachesize`, cachesize, 'cachesize is not supported in v2'));
  }
  if (apiVersion === 'v1' && cachesize === 0) {
    const detail = 'cachesize should be a positive value, or negative to disable';
    problems.push(invalid(`${field}.cachesize`, cachesize, detail));
  }
  if (apiVersion !== 'v1' && apiVersion !== 'v2') {
    const detail =
      'unsupported apiVersion apiVersion for KMS provider, only v1 and v2 are supported';
    problems.push(invalid(`${field}.apiVersion`, apiVersion, detail));
  }
  return problems;
}

function validateEndpoint(field: string, endpoint: string): readonly FieldError[] {
  if (endpoint === '') return [invalid(field, '', 'endpoint is a mandatory field for a kms')];
  const [, scheme = ''] = /^([A-Za-z][A-Za-z0-9+.-]*):/.exec(endpoint) ?? [];
  if (scheme === 'unix') return [];
  const detail = `unsupported scheme ${JSON.stringify(scheme)} for KMS provider, only unix is supported`;
  return [invalid(field, endpoint, detail)];
}

/** What is said where one of the first version is wanted. */
export function olderKms(providers: readonly GivenKms[]): string | undefined {
  if (providers.every(({ apiVersion = 'v1' }) => apiVersion !== 'v1')) return undefined;
  return 'KMSv1 is deprecated and will only receive security updates going forward. Use KMSv2 instead.  Set --feature-gates=KMSv1=true to use the deprecated KMSv1 feature.';
}

export function kmsOf({
  name = '',
  endpoint = '',
  timeout = timeoutDefault,
}: GivenKms): KmsSettings {
  return { name, endpoint, timeoutMs: parseDuration(timeout) ?? 0 };
}
