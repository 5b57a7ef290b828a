/**
 * Validation of certificate signing requests: the request must be one, its signer and usages must
 * be named, and who may add which condition. Decisions come through `approval` only and stay.
 */
import {
  duplicate,
  type FieldError,
  forbidden,
  invalid,
  notSupported,
  required,
} from '#api/field-error.ts';
import { labelProblems } from '#api/names.ts';
import { requestBytes } from '#kit/request-subject.ts';
import type {
  CertificateSigningRequest,
  CertificateSigningRequestCondition,
} from '../types/certificates-v1.ts';

type Request = CertificateSigningRequest;

const secondsMin = 600;
/** Of DER: what any request begins with. */
const sequenceTag = 0x30;
const decisions = ['Approved', 'Denied'];
const finalTypes = [...decisions, 'Failed'];
const usages = [
  'any',
  'cert sign',
  'client auth',
  'code signing',
  'content commitment',
  'crl sign',
  'data encipherment',
  'decipher only',
  'digital signature',
  'email protection',
  'encipher only',
  'ipsec end system',
  'ipsec tunnel',
  'ipsec user',
  'key agreement',
  'key encipherment',
  'microsoft sgc',
  'netscape sgc',
  'ocsp signing',
  's/mime',
  'server auth',
  'signing',
  'timestamping',
];

export function validateRequest({ spec, status }: Request): FieldError[] {
  const { request = '', signerName = '', expirationSeconds } = spec;
  const errors: FieldError[] = [];
  if (!isRequest(request)) {
    const detail = 'PEM block type must be CERTIFICATE REQUEST';
    errors.push(invalid('spec.request', spec.request, detail));
  }
  errors.push(...validateUsages(spec.usages ?? []), ...validateSigner(signerName));
  if (expirationSeconds !== undefined && expirationSeconds < secondsMin) {
    const detail = `may not specify a duration less than ${secondsMin} seconds (10 minutes)`;
    errors.push(invalid('spec.expirationSeconds', expirationSeconds, detail));
  }
  return [...errors, ...validateConditions(status?.conditions ?? [])];
}

/** A PEM block of that type whose content is a DER sequence. */
function isRequest(base64: string): boolean {
  const text = Buffer.from(base64, 'base64').toString('latin1');
  return requestBytes(text)?.[0] === sequenceTag;
}

function validateUsages(given: readonly string[]): FieldError[] {
  if (given.length === 0) return [required('spec.usages')];
  return given.flatMap((usage, index) => {
    const at = `spec.usages[${index}]`;
    const errors = usages.includes(usage) ? [] : [notSupported(at, usage, usages)];
    return given.indexOf(usage) < index ? [...errors, duplicate(at, usage)] : errors;
  });
}

function validateSigner(name: string): FieldError[] {
  const field = 'spec.signerName';
  if (name === '') return [required(field)];
  const [domain = '', path = '', ...more] = name.split('/');
  if (path === '' || more.length > 0) {
    const detail =
      "must be a fully qualified domain and path of the form 'example.com/signer-name'";
    return [invalid(field, name, detail)];
  }
  const labels = domain.split('.');
  const errors: FieldError[] = [];
  if (labels.length < 2) {
    const detail = 'should be a domain with at least two segments separated by dots';
    errors.push(invalid(field, domain, detail));
  }
  for (const label of [...labels, ...path.split('.')]) {
    for (const problem of labelProblems(label)) {
      errors.push(invalid(field, label, `validating label "${label}": ${problem}`));
    }
  }
  return errors;
}

function validateConditions(
  conditions: readonly CertificateSigningRequestCondition[],
): FieldError[] {
  const errors: FieldError[] = [];
  const seen = new Set<string>();
  for (const [index, { type, status = '' }] of conditions.entries()) {
    const at = `status.conditions[${index}]`;
    if (type === '') errors.push(required(`${at}.type`));
    if (seen.has(type)) errors.push(duplicate(`${at}.type`, type));
    const other = type === 'Approved' ? 'Denied' : 'Approved';
    if (decisions.includes(type) && seen.has(other)) {
      const detail = 'Approved and Denied conditions are mutually exclusive';
      errors.push(invalid(`${at}.type`, type, detail));
    }
    seen.add(type);
    const allowed = finalTypes.includes(type) ? ['True'] : ['False', 'True', 'Unknown'];
    if (status === '') errors.push(required(`${at}.status`));
    else if (!allowed.includes(status)) {
      errors.push(notSupported(`${at}.status`, status, allowed));
    }
  }
  return errors;
}

const typesOf = ({ status }: Request): readonly string[] =>
  (status?.conditions ?? []).map(({ type }) => type);

/** Decisions and failures are final; `addable` are those that this writer may add. */
function validateFinalConditions(
  next: Request,
  old: Request,
  addable: readonly string[],
): FieldError[] {
  const now = typesOf(next);
  const was = typesOf(old);
  return finalTypes.flatMap((type) => {
    const errors: FieldError[] = [];
    if (was.includes(type) && !now.includes(type)) {
      const detail = `updates may not remove a condition of type "${type}"`;
      errors.push(forbidden('status.conditions', detail));
    }
    if (now.includes(type) && !was.includes(type) && !addable.includes(type)) {
      const detail = `updates may not add a condition of type "${type}"`;
      errors.push(forbidden('status.conditions', detail));
    }
    return errors;
  });
}

export function validateApproval(next: Request, old: Request): FieldError[] {
  return validateFinalConditions(next, old, decisions);
}

export function validateRequestStatus(next: Request, old: Request): FieldError[] {
  const errors = [...validateRequest(next), ...validateFinalConditions(next, old, ['Failed'])];
  const before = old.status?.certificate ?? '';
  if (before !== '' && next.status?.certificate !== before) {
    const detail = 'updates may not modify existing certificate content';
    errors.push(forbidden('status.certificate', detail));
  }
  return errors;
}
