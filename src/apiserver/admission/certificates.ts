/**
 * CertificateApproval, CertificateSigning and CertificateSubjectRestriction: who may decide about a
 * request, or put a certificate into it, needs permission for its signer by name; and the signer of
 * clients gives nobody the group of administrators.
 */
import type { KubeObject } from '#api/object.ts';
import { jsonEqual } from '#kit/json-equal.ts';
import { requestSubject } from '#kit/request-subject.ts';
import type { Identity } from '#kit/transport.ts';
import type { CertificateSigningRequest } from '#resources/types/certificates-v1.ts';
import { type AuthorizerDeps, decide } from '../auth/authorizer.ts';

const clientSigner = 'kubernetes.io/kube-apiserver-client';

/** Why a new request is refused; undefined when it is not. */
export function subjectProblem(hub: KubeObject): string | undefined {
  // The caller has checked the kind.
  const { spec } = hub as CertificateSigningRequest;
  if (spec.signerName !== clientSigner) return undefined;
  const subject = requestSubject(Buffer.from(spec.request, 'base64').toString('latin1'));
  if (subject === undefined) {
    return 'failed to parse CSR: PEM block type must be CERTIFICATE REQUEST';
  }
  if (!subject.organizations.includes('system:masters')) return undefined;
  return `use of ${clientSigner} signer with system:masters group is not allowed`;
}

export interface Decision {
  readonly next: KubeObject;
  readonly old: KubeObject;
  readonly subresource: string;
  readonly identity: Identity;
}

/** Why a decision or a certificate is refused; undefined when it is not. */
export function signerProblem(
  deps: AuthorizerDeps,
  { next, old, subresource, identity }: Decision,
): string | undefined {
  const verb = subresource === 'approval' ? 'approve' : subresource === 'status' ? 'sign' : '';
  if (verb === '') return undefined;
  // The caller has checked the kind of both.
  const [after, before] = [next as CertificateSigningRequest, old as CertificateSigningRequest];
  if (verb === 'sign') {
    const parts = ({ status }: CertificateSigningRequest): unknown => [
      status?.certificate ?? '',
      status?.conditions ?? [],
    ];
    if (jsonEqual(parts(after), parts(before))) return undefined;
  }
  const { signerName } = before.spec;
  const [domain = ''] = signerName.split('/');
  const may = [signerName, `${domain}/*`].some((name) => {
    const attributes = {
      type: 'resource',
      verb,
      group: 'certificates.k8s.io',
      resource: 'signers',
      subresource: '',
      namespace: '',
      name,
    } as const;
    return decide(deps, identity, attributes).allowed;
  });
  return may ? undefined : `user not permitted to ${verb} requests with signerName "${signerName}"`;
}
