/**
 * What is to be done about a request for a certificate. Pure.
 *
 * Who may have a node's client certificate is approved without being asked; what was approved is
 * signed by the signer that it names, if it is what that signer signs; and requests are deleted
 * when nobody needs them any more. `certificates.ts` asks the authorizer, signs and writes.
 * Behaviour: kubernetes.io, "Certificate Signing Requests".
 */
import type { ParsedRequest } from '#kit/certificate-request.ts';
import type { CertificateSigningRequest } from '#resources/types/certificates-v1.ts';

export const limits = {
  /** The longest that a certificate holds; requests may ask for less, down to the minimum. */
  certificateMs: 365 * 24 * 60 * 60 * 1000,
  certificateMsMin: 10 * 60 * 1000,
  /** Clocks may be this much behind. */
  backdateMs: 5 * 60 * 1000,
  /** Certificates that hold for less are not shortened by what they are dated back. */
  shortMs: 8 * 60 * 60 * 1000,
  /** Decided requests are kept this long, undecided ones that long. */
  decidedMs: 60 * 60 * 1000,
  pendingMs: 24 * 60 * 60 * 1000,
} as const;

export const signers = {
  client: 'kubernetes.io/kube-apiserver-client',
  kubeletClient: 'kubernetes.io/kube-apiserver-client-kubelet',
  kubeletServing: 'kubernetes.io/kubelet-serving',
  legacy: 'kubernetes.io/legacy-unknown',
} as const;

export type SignerName = (typeof signers)[keyof typeof signers];

export function hasCondition({ status }: CertificateSigningRequest, type: string): boolean {
  return status?.conditions?.some((one) => one.type === type && one.status === 'True') ?? false;
}

export function isIssued({ status }: CertificateSigningRequest): boolean {
  return (status?.certificate ?? '') !== '';
}

/** Nobody need be asked any more whether it may be approved. */
export function isDecided(csr: CertificateSigningRequest): boolean {
  return isIssued(csr) || hasCondition(csr, 'Approved') || hasCondition(csr, 'Denied');
}

export interface Recognized {
  /** What who asks must be allowed to create. */
  readonly subresource: 'selfnodeclient' | 'nodeclient';
  readonly message: string;
}

/** The rights by which the request could be approved, in the order to try them. */
export function planApproval(
  csr: CertificateSigningRequest,
  request: ParsedRequest,
): readonly Recognized[] {
  if (csr.spec.signerName !== signers.kubeletClient) return [];
  if (kubeletClientProblem(request, csr.spec.usages ?? []) !== undefined) return [];
  const after = 'after SubjectAccessReview.';
  const any = {
    subresource: 'nodeclient',
    message: `Auto approving kubelet client certificate ${after}`,
  } as const;
  if (csr.spec.username !== request.commonName) return [any];
  const own = {
    subresource: 'selfnodeclient',
    message: `Auto approving self kubelet client certificate ${after}`,
  } as const;
  return [own, any];
}

export type Signing =
  | { readonly do: 'sign' }
  | { readonly do: 'refuse'; readonly why: string }
  /** Others sign it. */
  | { readonly do: 'leave' };

export function planSigning(csr: CertificateSigningRequest, request: ParsedRequest): Signing {
  const { signerName, usages = [] } = csr.spec;
  switch (signerName) {
    case signers.kubeletClient:
      return signOr(kubeletClientProblem(request, usages));
    case signers.kubeletServing:
      return signOr(kubeletServingProblem(request, usages));
    case signers.client:
      return signOr(clientUsagesProblem(usages));
    case signers.legacy:
      return { do: 'sign' };
    default:
      return { do: 'leave' };
  }
}

function signOr(why: string | undefined): Signing {
  return why === undefined ? { do: 'sign' } : { do: 'refuse', why };
}

function clientUsagesProblem(usages: readonly string[]): string | undefined {
  const allowed = ['digital signature', 'key encipherment', 'client auth'];
  const other = usages.find((usage) => !allowed.includes(usage));
  if (other !== undefined) return `invalid usage for client certificate: ${other}`;
  if (usages.includes('client auth')) return undefined;
  return 'missing required usage for client certificate: client auth';
}

function nodeProblem({ organizations }: ParsedRequest): string | undefined {
  const isOfNodes = organizations.length === 1 && organizations[0] === 'system:nodes';
  return isOfNodes ? undefined : 'subject organization is not system:nodes';
}

function nameProblem({ commonName }: ParsedRequest): string | undefined {
  const isNode = commonName.startsWith('system:node:');
  return isNode ? undefined : 'subject common name does not begin with system:node:';
}

/** `key encipherment` is of use for RSA keys alone, so it may be left out. */
function usagesProblem(usages: readonly string[], purpose: string): string | undefined {
  const required = [purpose, 'digital signature', 'key encipherment'].toSorted();
  const asked = new Set([...usages, 'key encipherment']);
  const isSame = asked.size === required.length && required.every((one) => asked.has(one));
  return isSame ? undefined : `usages did not match [${required.join(' ')}]`;
}

function kubeletClientProblem(
  request: ParsedRequest,
  usages: readonly string[],
): string | undefined {
  const none = (names: readonly string[], sort: string): string | undefined =>
    names.length === 0 ? undefined : `${sort} subjectAltNames are not allowed`;
  return (
    nodeProblem(request) ??
    none(request.dnsNames, 'DNS') ??
    none(request.emailAddresses, 'Email') ??
    none(request.ipAddresses, 'IP') ??
    none(request.uris, 'URI') ??
    nameProblem(request) ??
    usagesProblem(usages, 'client auth')
  );
}

function kubeletServingProblem(
  request: ParsedRequest,
  usages: readonly string[],
): string | undefined {
  const hasNames = request.dnsNames.length + request.ipAddresses.length > 0;
  return (
    nodeProblem(request) ??
    (hasNames ? undefined : 'DNS or IP subjectAltName is required') ??
    (request.emailAddresses.length === 0 ? undefined : 'Email subjectAltNames are not allowed') ??
    (request.uris.length === 0 ? undefined : 'URI subjectAltNames are not allowed') ??
    usagesProblem(usages, 'server auth') ??
    nameProblem(request)
  );
}

/** From when to when the certificate holds; never longer than its issuer. */
export function planValidity(
  expirationSeconds: number | undefined,
  issuerEndsMs: number,
  nowMs: number,
  longestMs: number = limits.certificateMs,
): { readonly notBeforeMs: number; readonly notAfterMs: number } {
  const asked = expirationSeconds === undefined ? longestMs : expirationSeconds * 1000;
  const ms = Math.min(Math.max(asked, limits.certificateMsMin), longestMs);
  const endMs = nowMs + ms - (ms < limits.shortMs ? 0 : limits.backdateMs);
  return { notBeforeMs: nowMs - limits.backdateMs, notAfterMs: Math.min(endMs, issuerEndsMs) };
}

/** When the request is to be deleted, by its decision and by what was issued. */
export function expiresAtMs(
  csr: CertificateSigningRequest,
  certificateEndsMs: number | undefined,
): number {
  const times: number[] = [];
  for (const { type, lastUpdateTime } of csr.status?.conditions ?? []) {
    if (lastUpdateTime === undefined) continue;
    if (type === 'Approved' || type === 'Denied' || type === 'Failed') {
      times.push(Date.parse(lastUpdateTime) + limits.decidedMs);
    }
  }
  if (times.length === 0) {
    times.push(Date.parse(csr.metadata.creationTimestamp ?? '') + limits.pendingMs);
  }
  if (certificateEndsMs !== undefined) times.push(certificateEndsMs);
  return Math.min(...times);
}
