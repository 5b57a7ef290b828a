/**
 * The certificates of a cluster, below `<data-dir>/server/tls`, every file readable by its owner
 * only.
 *
 * One authority signs everything. At each start what is missing, near its end or lacks a wanted
 * name is issued anew; the authority and the key of service-account tokens are made once and kept.
 */
import { X509Certificate } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Clock } from '#kit/clock.ts';
import type { Random } from '#kit/random.ts';
import { createPrivateKeyPem, issueCertificate, type KeyPair } from '#kit/x509.ts';

export interface Certificates {
  readonly ca: KeyPair;
  readonly apiServer: KeyPair;
  /** `kubernetes-admin`, group system:masters. */
  readonly admin: KeyPair;
  /** What the API server shows to kubelets. */
  readonly kubeletClient: KeyPair;
  /** What the kubelet serves with. */
  readonly kubelet: KeyPair;
  /** `system:node:NAME`, group system:nodes. */
  readonly node: KeyPair;
  /** PEM of the key that signs service-account tokens. */
  readonly serviceAccountKey: string;
}

interface Deps {
  readonly clock: Pick<Clock, 'now'>;
  readonly random: Random;
}

interface Wanted {
  readonly commonName: string;
  readonly organizations?: readonly string[];
  readonly role: 'ca' | 'server' | 'client';
  readonly dnsNames?: readonly string[];
  readonly ipAddresses?: readonly string[];
}

const dayMs = 24 * 60 * 60 * 1000;
const limits = {
  caDays: 3650,
  certificateDays: 365,
  /** A certificate with less than this left is issued anew at start. */
  renewDays: 120,
  /** Clocks of clients may be this much behind. */
  skewMs: 60 * 60 * 1000,
} as const;

export function openCertificates(
  deps: Deps,
  options: {
    readonly dataDir: string;
    readonly nodeName: string;
    readonly nodeIP: string;
    readonly serviceIP: string;
    readonly clusterDomain: string;
    readonly extraNames: readonly string[];
  },
): Certificates {
  const folder = join(options.dataDir, 'server/tls');
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  const ca = openPair(deps, folder, 'ca', { commonName: 'coracle-ca', role: 'ca' });
  const pair = (name: string, wanted: Wanted): KeyPair => openPair(deps, folder, name, wanted, ca);
  const isAddress = (name: string): boolean => /^[\d.]+$|:/.test(name);
  return {
    ca,
    apiServer: pair('apiserver', {
      commonName: 'kube-apiserver',
      role: 'server',
      dnsNames: [
        'localhost',
        'kubernetes',
        'kubernetes.default',
        'kubernetes.default.svc',
        `kubernetes.default.svc.${options.clusterDomain}`,
        options.nodeName,
        ...options.extraNames.filter((name) => !isAddress(name)),
      ],
      ipAddresses: [
        '127.0.0.1',
        '::1',
        options.serviceIP,
        options.nodeIP,
        ...options.extraNames.filter(isAddress),
      ],
    }),
    admin: pair('admin', {
      commonName: 'kubernetes-admin',
      organizations: ['system:masters'],
      role: 'client',
    }),
    kubeletClient: pair('apiserver-kubelet-client', {
      commonName: 'kube-apiserver-kubelet-client',
      organizations: ['system:masters'],
      role: 'client',
    }),
    kubelet: pair('kubelet', {
      commonName: `system:node:${options.nodeName}`,
      organizations: ['system:nodes'],
      role: 'server',
      dnsNames: [options.nodeName, 'localhost'],
      ipAddresses: [options.nodeIP, '127.0.0.1'],
    }),
    node: pair('node', {
      commonName: `system:node:${options.nodeName}`,
      organizations: ['system:nodes'],
      role: 'client',
    }),
    serviceAccountKey: openKey(join(folder, 'sa.key')),
  };
}

function openKey(path: string): string {
  if (!existsSync(path)) writeSecret(path, createPrivateKeyPem());
  return readFileSync(path, 'utf8');
}

function openPair(
  deps: Deps,
  folder: string,
  name: string,
  wanted: Wanted,
  issuer?: KeyPair,
): KeyPair {
  const certPath = join(folder, `${name}.crt`);
  const keyPath = join(folder, `${name}.key`);
  if (existsSync(certPath) && existsSync(keyPath)) {
    const kept = { cert: readFileSync(certPath, 'utf8'), key: readFileSync(keyPath, 'utf8') };
    if (issuer === undefined || isStillGood(deps, kept, wanted, issuer)) return kept;
  }
  const nowMs = deps.clock.now();
  const days = wanted.role === 'ca' ? limits.caDays : limits.certificateDays;
  const pair = issueCertificate(deps, {
    ...wanted,
    notBeforeMs: nowMs - limits.skewMs,
    notAfterMs: nowMs + days * dayMs,
    ...(issuer === undefined ? {} : { issuer }),
  });
  // The key first: a certificate that is there always has its key.
  writeSecret(keyPath, pair.key);
  writeSecret(certPath, pair.cert);
  return pair;
}

function isStillGood(deps: Deps, pair: KeyPair, wanted: Wanted, issuer: KeyPair): boolean {
  const certificate = new X509Certificate(pair.cert);
  const leftMs = certificate.validToDate.getTime() - deps.clock.now();
  if (leftMs < limits.renewDays * dayMs) return false;
  if (!certificate.verify(new X509Certificate(issuer.cert).publicKey)) return false;
  if (!certificate.subject.endsWith(`CN=${wanted.commonName}`)) return false;
  const hasNames = (wanted.dnsNames ?? []).every((name) => certificate.checkHost(name));
  return hasNames && (wanted.ipAddresses ?? []).every((address) => certificate.checkIP(address));
}

/** Written beside and renamed, so that a crash never leaves half a file. */
function writeSecret(path: string, text: string): void {
  const temporary = `${path}.new`;
  writeFileSync(temporary, text, { mode: 0o600 });
  renameSync(temporary, path);
}
