/**
 * Requests for certificates: approved, signed, and deleted when their time is over.
 *
 * Controllers on one informer, as upstream has them. The first approves kubelets' client
 * certificates for who may have them (the API server is asked); another signs what is approved,
 * for the four signers that Kubernetes has, with the cluster's authority; one cleans up.
 * `plan.ts` decides. Without a signing key nothing is signed.
 */
import { X509Certificate } from 'node:crypto';
import type { KindOf } from '#api/kind-of.ts';
import type { Informer } from '#client';
import {
  isSelfSigned,
  type ParsedRequest,
  parseCertificateRequest,
  signCertificateRequest,
} from '#kit/certificate-request.ts';
import { formatTime } from '#kit/clock.ts';
import { messageOf } from '#kit/error-message.ts';
import { WorkQueue } from '#kit/work-queue.ts';
import type { KeyPair } from '#kit/x509.ts';
import { nodes as nodeKind, certificateSigningRequests as requestKind } from '#resources/kinds.ts';
import type { SubjectAccessReview } from '#resources/types/authorization-v1.ts';
import type {
  CertificateSigningRequest,
  CertificateSigningRequestCondition,
} from '#resources/types/certificates-v1.ts';
import { ignoreNotFound } from '../api-failure.ts';
import type { Controller, ControllerDeps } from '../controller.ts';
import {
  expiresAtMs,
  hasCondition,
  isDecided,
  isIssued,
  limits,
  planApproval,
  planSigning,
  planValidity,
} from './plan.ts';
import { mayServe, servingNode } from './serving-approval.ts';

const reviewKind: KindOf<SubjectAccessReview> = {
  group: 'authorization.k8s.io',
  version: 'v1',
  plural: 'subjectaccessreviews',
  kind: 'SubjectAccessReview',
  namespaced: false,
};

type Requests = Informer<CertificateSigningRequest>;

interface Form {
  readonly name: string;
  readonly requests: Requests;
  readonly queue: WorkQueue;
  readonly reconcile: (
    csr: CertificateSigningRequest,
    options: { readonly signal: AbortSignal },
  ) => Promise<void>;
}

function controllerOf({ name, requests, queue, reconcile }: Form): Controller {
  const wake = ({ metadata }: CertificateSigningRequest): void => queue.add(metadata.name ?? '');
  requests.addHandler({ onAdd: wake, onUpdate: wake });
  return {
    name,
    queue,
    workers: 1,
    sources: [requests],
    reconcile: async (key, options) => {
      const csr = requests.get(key);
      if (csr !== undefined) await reconcile(csr, options);
    },
  };
}

/** Undefined where the request cannot be read; trying again would not help. */
function parse(deps: ControllerDeps, csr: CertificateSigningRequest): ParsedRequest | undefined {
  try {
    return parseCertificateRequest(Buffer.from(csr.spec.request, 'base64').toString('latin1'));
  } catch (error) {
    deps.log.debug('not a certificate request', { name: csr.metadata.name, error });
    return undefined;
  }
}

export function openCertificateApprover(deps: ControllerDeps): Controller {
  const { client } = deps;
  const isAllowed = async (
    { spec }: CertificateSigningRequest,
    subresource: string,
    signal: AbortSignal,
  ): Promise<boolean> => {
    const group = 'certificates.k8s.io';
    const resource = 'certificatesigningrequests';
    const resourceAttributes = { group, resource, verb: 'create', subresource, version: '*' };
    const review = {
      apiVersion: 'authorization.k8s.io/v1',
      kind: 'SubjectAccessReview',
      metadata: {},
      spec: {
        user: spec.username,
        uid: spec.uid,
        groups: spec.groups,
        extra: spec.extra,
        resourceAttributes,
      },
    };
    const { status } = await client.create(reviewKind, review, { signal });
    return status?.allowed === true;
  };
  return controllerOf({
    name: 'certificatesigningrequest-approving-controller',
    requests: deps.informers.of(requestKind),
    queue: new WorkQueue(deps),
    reconcile: async (csr, { signal }) => {
      if (isDecided(csr)) return;
      const request = parse(deps, csr);
      if (request === undefined) return;
      const recognized = planApproval(csr, request);
      for (const { subresource, message } of recognized) {
        if (!(await isAllowed(csr, subresource, signal))) continue;
        await approve(deps, csr, message, signal);
        return;
      }
      if (recognized.length > 0) {
        deps.log.info('request was recognised, but may not be approved', {
          name: csr.metadata.name,
          tried: recognized.map(({ subresource }) => subresource).join(','),
        });
      }
    },
  });
}

async function approve(
  { client }: ControllerDeps,
  csr: CertificateSigningRequest,
  message: string,
  signal: AbortSignal,
): Promise<void> {
  const approved = { type: 'Approved', status: 'True', reason: 'AutoApproved', message };
  const options = { subresource: 'approval', signal };
  await client.update(requestKind, withCondition(csr, approved), options).catch(ignoreNotFound);
}

function withCondition(
  csr: CertificateSigningRequest,
  condition: CertificateSigningRequestCondition,
): CertificateSigningRequest {
  const conditions = [...(csr.status?.conditions ?? []), condition];
  return { ...csr, status: { ...csr.status, conditions } };
}

/** Approves what nodes serve with, which upstream leaves to people. */
export function openServingApprover(deps: ControllerDeps): Controller {
  const requests = deps.informers.of(requestKind);
  const nodes = deps.informers.of(nodeKind);
  const queue = new WorkQueue(deps);
  /** Requests that wait for the status of a node. */
  const waiting = new Map<string, string>();
  const wake = ({ metadata }: { readonly metadata: { readonly name?: string | undefined } }) => {
    for (const [request, node] of waiting) if (node === metadata.name) queue.add(request);
  };
  nodes.addHandler({ onAdd: wake, onUpdate: wake });
  requests.addHandler({ onDelete: ({ metadata }) => waiting.delete(metadata.name ?? '') });
  const controller = controllerOf({
    name: 'certificatesigningrequest-serving-approving-controller',
    requests,
    queue,
    reconcile: async (csr, { signal }) => {
      const { name = '' } = csr.metadata;
      waiting.delete(name);
      if (isDecided(csr)) return;
      const nodeName = servingNode(csr);
      const request = nodeName === undefined ? undefined : parse(deps, csr);
      if (nodeName === undefined || request === undefined) return;
      const node = nodes.get(nodeName);
      if (node !== undefined && mayServe(csr, request, node)) {
        const message = 'Auto approving kubelet serving certificate of a known node.';
        await approve(deps, csr, message, signal);
      } else waiting.set(name, nodeName);
    },
  });
  return { ...controller, sources: [requests, nodes] };
}

export interface SignerOptions {
  /** Who signs for a signer's name; undefined: nothing is signed for it. */
  readonly issuerFor: (signerName: string) => KeyPair | undefined;
  readonly certificateMs: number;
}

export function openCertificateSigner(
  deps: ControllerDeps,
  { issuerFor, certificateMs }: SignerOptions,
): Controller {
  const { client, clock } = deps;
  const fail = async (
    csr: CertificateSigningRequest,
    why: string,
    signal: AbortSignal,
  ): Promise<void> => {
    const failed = {
      type: 'Failed',
      status: 'True',
      reason: 'SignerValidationFailure',
      message: why,
      lastUpdateTime: formatTime(clock.now()),
    };
    const options = { subresource: 'status', signal };
    await client.update(requestKind, withCondition(csr, failed), options).catch(ignoreNotFound);
  };
  return controllerOf({
    name: 'certificatesigningrequest-signing-controller',
    requests: deps.informers.of(requestKind),
    queue: new WorkQueue(deps),
    reconcile: async (csr, { signal }) => {
      if (!hasCondition(csr, 'Approved') || hasCondition(csr, 'Failed') || isIssued(csr)) return;
      const issuer = issuerFor(csr.spec.signerName);
      if (issuer === undefined) return;
      const request = parse(deps, csr);
      if (request === undefined) return;
      const plan = planSigning(csr, request);
      if (plan.do === 'leave') return;
      if (plan.do === 'refuse') {
        await fail(csr, plan.why, signal);
        return;
      }
      if (!isSelfSigned(request)) {
        await fail(csr, 'unable to verify certificate request signature', signal);
        return;
      }
      let certificate: string;
      try {
        const { usages = [], expirationSeconds } = csr.spec;
        const endsMs = new X509Certificate(issuer.cert).validToDate.getTime();
        const validity = planValidity(expirationSeconds, endsMs, clock.now(), certificateMs);
        certificate = signCertificateRequest(deps, { request, usages, issuer, ...validity });
      } catch (error) {
        await fail(csr, messageOf(error), signal);
        return;
      }
      const encoded = Buffer.from(certificate).toString('base64');
      const next = { ...csr, status: { ...csr.status, certificate: encoded } };
      const options = { subresource: 'status', signal };
      await client.update(requestKind, next, options).catch(ignoreNotFound);
    },
  });
}

export function openCertificateCleaner(deps: ControllerDeps): Controller {
  const { client, clock } = deps;
  const queue = new WorkQueue(deps);
  return controllerOf({
    name: 'certificatesigningrequest-cleaner-controller',
    requests: deps.informers.of(requestKind),
    queue,
    reconcile: async (csr, { signal }) => {
      const atMs = expiresAtMs(csr, endOf(csr));
      const { name = '', uid = '' } = csr.metadata;
      if (atMs > clock.now()) {
        queue.addAfter(name, Math.min(atMs - clock.now(), limits.pendingMs) + 1);
        return;
      }
      const options = { preconditions: { uid }, signal };
      await client.delete(requestKind, { name }, options).catch(ignoreNotFound);
    },
  });
}

/** When the issued certificate runs out. */
function endOf({ status }: CertificateSigningRequest): number | undefined {
  const pem = Buffer.from(status?.certificate ?? '', 'base64').toString('latin1');
  if (!pem.includes('-----BEGIN CERTIFICATE-----')) return undefined;
  return new X509Certificate(pem).validToDate.getTime();
}
