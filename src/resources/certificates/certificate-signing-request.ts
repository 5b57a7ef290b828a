/**
 * CertificateSigningRequest: asks a signer for a certificate. Who asked is recorded by the server;
 * the request itself never changes. People and controllers decide through `approval`, and the
 * signer puts the certificate into the status. Validation is in `csr-validation.ts`.
 */
import { type Column, defineResource, type Resource, type WriteContext } from '#api/resource.ts';
import { ageColumn, formatDuration, nameColumn } from '../columns.ts';
import { changeMember, fillIn, mapItems, without } from '../fill-in.ts';
import { sameShapeView } from '../legacy-view.ts';
import { textColumn } from '../text-column.ts';
import type {
  CertificateSigningRequest,
  CertificateSigningRequestCondition,
} from '../types/certificates-v1.ts';
import { hubView } from '../view.ts';
import { validateApproval, validateRequest, validateRequestStatus } from './csr-validation.ts';

type Request = CertificateSigningRequest;

const legacySigner = 'kubernetes.io/legacy-unknown';
const legacyUsages = ['digital signature', 'key encipherment'];

export function certificateSigningRequestResource(): Resource {
  const view = hubView<Request>({
    group: 'certificates.k8s.io',
    version: 'v1',
    definition: 'io.k8s.api.certificates.v1.CertificateSigningRequest',
  });
  const beta = sameShapeView(view, {
    version: 'v1beta1',
    // The view's schema has checked the shape.
    setDefaults: (object) => setLegacyDefaults(object as Request),
  });
  return defineResource<Request>({
    kind: 'CertificateSigningRequest',
    plural: 'certificatesigningrequests',
    singular: 'certificatesigningrequest',
    shortNames: ['csr'],
    categories: [],
    namespaced: false,
    storagePrefix: 'certificatesigningrequests',
    nameRule: 'pathSegment',
    unowned: ['spec'],
    unownedStatus: ['conditions'],
    views: [view, beta],
    hasStatus: true,
    partialUpdates: { approval: { prepare: prepareApproval, validate: validateApproval } },
    specChanged: () => false,
    prepareForCreate: prepareRequest,
    prepareForUpdate: (next, old) => ({ ...next, spec: old.spec, status: old.status }),
    prepareForStatusUpdate: (next, old, { now }) =>
      withTimes({ ...next, spec: old.spec }, old, now),
    validate: validateRequest,
    validateStatusUpdate: validateRequestStatus,
    columns: requestColumns(),
    selectableFields: { 'spec.signerName': ({ spec }) => spec.signerName },
  });
}

function setConditionDefaults(request: Request): Request {
  return changeMember(request, 'status', (status) =>
    changeMember(status, 'conditions', (conditions) =>
      mapItems(conditions, (condition) => fillIn(condition, { status: 'True' })),
    ),
  );
}

/** The first version named no signer and needed no usages. */
function setLegacyDefaults(request: Request): Request {
  const withConditions = setConditionDefaults(request);
  return changeMember(withConditions, 'spec', (spec) => {
    const signed = fillIn(spec, { signerName: legacySigner });
    return (signed.usages ?? []).length > 0 ? signed : { ...signed, usages: legacyUsages };
  });
}

/** Who asks is whoever sent the request, whatever the body says. */
function prepareRequest(request: Request, { user, requester }: WriteContext): Request {
  const { uid, groups, extra } = requester ?? { groups: [] };
  return {
    ...request,
    spec: {
      ...without(request.spec, 'username', 'uid', 'groups', 'extra'),
      username: user,
      ...(uid === undefined ? {} : { uid }),
      ...(groups.length === 0 ? {} : { groups }),
      ...(extra === undefined || Object.keys(extra).length === 0 ? {} : { extra }),
    },
    status: {},
  };
}

/** A decision changes the conditions and nothing else. */
function prepareApproval(next: Request, old: Request, { now }: WriteContext): Request {
  const conditions = next.status?.conditions;
  const { conditions: _conditions, ...status } = old.status ?? {};
  const decided = { ...status, ...(conditions === undefined ? {} : { conditions }) };
  return withTimes({ ...next, spec: old.spec, status: decided }, old, now);
}

/** Conditions say when they were written and since when they hold. */
function withTimes(next: Request, old: Request, now: string): Request {
  const before = old.status?.conditions ?? [];
  const setTimes = (
    condition: CertificateSigningRequestCondition,
  ): CertificateSigningRequestCondition => {
    const same = before.find(
      ({ type, status }) => type === condition.type && status === condition.status,
    );
    const lastTransitionTime = same?.lastTransitionTime ?? now;
    return fillIn(condition, { lastUpdateTime: now, lastTransitionTime });
  };
  return changeMember(next, 'status', (status) =>
    changeMember(status, 'conditions', (conditions) => mapItems(conditions, setTimes)),
  );
}

function requestColumns(): readonly Column<Request>[] {
  return [
    nameColumn(),
    ageColumn(),
    textColumn({
      name: 'SignerName',
      description: 'Who is to sign.',
      cell: ({ spec }) => spec.signerName,
    }),
    textColumn({
      name: 'Requestor',
      description: 'Who asked.',
      cell: ({ spec }) => spec.username ?? '',
    }),
    textColumn({
      name: 'RequestedDuration',
      description: 'For how long the certificate is wanted.',
      cell: ({ spec: { expirationSeconds: seconds } }) =>
        seconds === undefined ? '<none>' : formatDuration(seconds * 1000),
    }),
    textColumn({ name: 'Condition', description: 'How far it has come.', cell: conditionText }),
  ];
}

function conditionText({ status }: Request): string {
  const has = (type: string): boolean =>
    (status?.conditions ?? []).some((condition) => condition.type === type);
  const words = [has('Denied') ? 'Denied' : has('Approved') ? 'Approved' : 'Pending'];
  if (has('Failed')) words.push('Failed');
  if (status?.certificate) words.push('Issued');
  return words.join(',');
}
