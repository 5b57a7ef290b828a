/**
 * The certificates of a node that joined: asked for with CertificateSigningRequests, kept below
 * a folder, asked for again before they end.
 *
 * The first one, for the node as a client, is asked for with what the node was given to join; all
 * later ones with the one before. The serving certificate is signed when somebody approves it;
 * until then the node serves with one that it signs itself, as upstream's kubelet does. Behaviour:
 * kubernetes.io, "TLS bootstrapping". Called by `agent.ts` and `kubelet-command.ts`.
 */
import { createPrivateKey, X509Certificate } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Client } from '#client';
import { createCertificateRequest } from '#kit/certificate-request.ts';
import type { Clock } from '#kit/clock.ts';
import type { Logger } from '#kit/log.ts';
import type { Random } from '#kit/random.ts';
import { issueCertificate, type KeyPair } from '#kit/x509.ts';
import { certificateSigningRequests } from '#resources/kinds.ts';
import type { CertificateSigningRequest } from '#resources/types/certificates-v1.ts';

const signers = {
  client: 'kubernetes.io/kube-apiserver-client-kubelet',
  serving: 'kubernetes.io/kubelet-serving',
} as const;

const dayMs = 24 * 60 * 60 * 1000;
const limits = {
  lookMs: 100,
  lookMsMax: 5_000,
  /** Given to whoever approves; then it is asked anew. */
  approvalMs: 15 * 60_000,
  selfSignedMs: 365 * dayMs,
  skewMs: 60 * 60 * 1000,
} as const;

export interface Asked {
  readonly nodeName: string;
  readonly sort: 'client' | 'serving';
  /** Names of the serving certificate. */
  readonly dnsNames?: readonly string[];
  readonly ipAddresses?: readonly string[];
}

type Deps = { readonly clock: Clock; readonly log: Logger };

/** Asks, and waits until it is signed. Throws where it was denied, failed, or nobody came. */
export async function requestCertificate(
  deps: Deps & { readonly client: Client },
  asked: Asked,
  { signal }: { readonly signal: AbortSignal },
): Promise<KeyPair> {
  const { client, clock } = deps;
  const { nodeName, sort } = asked;
  const { request, key } = createCertificateRequest({
    ...asked,
    commonName: `system:node:${nodeName}`,
    organizations: ['system:nodes'],
  });
  const created = await client.create(
    certificateSigningRequests,
    {
      apiVersion: 'certificates.k8s.io/v1',
      kind: 'CertificateSigningRequest',
      metadata: { generateName: 'csr-' },
      spec: {
        request: Buffer.from(request).toString('base64'),
        signerName: signers[sort],
        usages: ['digital signature', sort === 'client' ? 'client auth' : 'server auth'],
      },
    },
    { signal },
  );
  const { name = '' } = created.metadata;
  deps.log.info('asked for a certificate', { name, signer: signers[sort] });
  const endMs = clock.monotonic() + limits.approvalMs;
  for (let delayMs: number = limits.lookMs; clock.monotonic() < endMs; ) {
    const csr = await client.get(certificateSigningRequests, { name }, { signal });
    const cert = issuedIn(csr);
    if (cert !== undefined) return { cert, key };
    await clock.sleep(delayMs, { signal });
    delayMs = Math.min(delayMs * 1.5, limits.lookMsMax);
  }
  throw new Error(`certificate request ${name} was not signed in time`);
}

/** The certificate; undefined while there is none; throws where there will be none. */
function issuedIn({ metadata, status }: CertificateSigningRequest): string | undefined {
  for (const { type, reason, message } of status?.conditions ?? []) {
    if (type !== 'Denied' && type !== 'Failed') continue;
    const outcome = type === 'Denied' ? 'is denied' : 'failed';
    throw new Error(
      `certificate signing request ${metadata.name} ${outcome}, reason: ${reason ?? ''}, ` +
        `message: ${message ?? ''}`,
    );
  }
  const { certificate = '' } = status ?? {};
  return certificate === '' ? undefined : Buffer.from(certificate, 'base64').toString('utf8');
}

/** Serves until a signed one is there. */
export function selfSigned(
  deps: { readonly clock: Pick<Clock, 'now'>; readonly random: Random },
  names: {
    readonly nodeName: string;
    readonly dnsNames: readonly string[];
    readonly ipAddresses: readonly string[];
  },
): KeyPair {
  const nowMs = deps.clock.now();
  return issueCertificate(deps, {
    ...names,
    commonName: `${names.nodeName}@${Math.trunc(nowMs / 1000)}`,
    role: 'server',
    notBeforeMs: nowMs - limits.skewMs,
    notAfterMs: nowMs + limits.selfSignedMs,
  });
}

/**
 * When a certificate is to be replaced: after 70 to 90 % of its time, by chance (`fraction`), so
 * that not all nodes come at once.
 */
export function renewalMs(cert: string, fraction: number): number {
  const { validFromDate, validToDate } = new X509Certificate(cert);
  const [fromMs, toMs] = [validFromDate.getTime(), validToDate.getTime()];
  return fromMs + (toMs - fromMs) * (0.7 + 0.2 * fraction);
}

/** Whether it still holds and is of this node and authority. */
export function isUsable(
  pair: KeyPair,
  of: {
    readonly nodeName: string;
    readonly caCert: string;
    readonly nowMs: number;
    /** Must be among its names. */
    readonly nodeIP?: string;
  },
): boolean {
  const certificate = new X509Certificate(pair.cert);
  if (certificate.validToDate.getTime() <= of.nowMs) return false;
  if (!certificate.checkPrivateKey(createPrivateKey(pair.key))) return false;
  if (!certificate.subject.endsWith(`CN=system:node:${of.nodeName}`)) return false;
  if (of.nodeIP !== undefined && certificate.checkIP(of.nodeIP) === undefined) return false;
  return certificate.verify(new X509Certificate(of.caCert).publicKey);
}

/** `<folder>/NAME.crt` and `.key`, readable by their owner only. */
export function readPair(folder: string, name: string): KeyPair | undefined {
  const [cert, key] = [join(folder, `${name}.crt`), join(folder, `${name}.key`)];
  if (!existsSync(cert) || !existsSync(key)) return undefined;
  return { cert: readFileSync(cert, 'utf8'), key: readFileSync(key, 'utf8') };
}

export function writePair(folder: string, name: string, pair: KeyPair): void {
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  // The key first: a certificate that is there always has its key.
  writeSecret(join(folder, `${name}.key`), pair.key);
  writeSecret(join(folder, `${name}.crt`), pair.cert);
}

/** Written beside and renamed, so that a crash never leaves half a file. */
export function writeSecret(path: string, text: string): void {
  writeFileSync(`${path}.new`, text, { mode: 0o600 });
  renameSync(`${path}.new`, path);
}
