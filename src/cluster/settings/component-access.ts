/**
 * How a component that runs alone finds its API server, and what its own port shows: the kubeconfig
 * that its flags name, or the account of the pod that it runs in; `--master` instead of the
 * kubeconfig's address; a certificate made at the start where no file is named.
 *
 * Used by `coracle kube-scheduler` and `coracle kube-controller-manager`.
 */
import { existsSync, readFileSync } from 'node:fs';
import { hostname } from 'node:os';
import type { HttpTransportOptions } from '#client';
import type { Clock } from '#kit/clock.ts';
import type { Random } from '#kit/random.ts';
import { issueCertificate, type KeyPair } from '#kit/x509.ts';
import { readAccess } from '../credentials/kubeconfig-access.ts';
import { ConfigError } from './config.ts';

const accountFolder = '/var/run/secrets/kubernetes.io/serviceaccount';
/** How long a certificate of its own holds. */
const certificateMs = 365 * 24 * 3600 * 1000;

export type Environment = Readonly<Record<string, string | undefined>>;

export function componentAccess(
  { kubeconfig, master }: { readonly kubeconfig?: string | undefined; readonly master?: string },
  environment: Environment,
): HttpTransportOptions {
  const access =
    kubeconfig === undefined ? podAccess(environment) : readAccess(kubeconfig, undefined);
  return master === undefined ? access : { ...access, server: master };
}

function podAccess(environment: Environment): HttpTransportOptions {
  const { KUBERNETES_SERVICE_HOST: host, KUBERNETES_SERVICE_PORT: port } = environment;
  const tokenFile = `${accountFolder}/token`;
  if (host === undefined || port === undefined || !existsSync(tokenFile)) {
    throw new ConfigError('--kubeconfig is needed outside of a pod');
  }
  const name = host.includes(':') ? `[${host}]` : host;
  const ca = readText('the certificate of the cluster', `${accountFolder}/ca.crt`);
  return { server: `https://${name}:${port}`, ca, tokenFile };
}

export function readText(what: string, path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch (error) {
    throw new ConfigError(`${what} ${path}: cannot be read`, { cause: error });
  }
}

export function ownCertificate(deps: { readonly clock: Clock; readonly random: Random }): KeyPair {
  const nowMs = deps.clock.now();
  return issueCertificate(deps, {
    role: 'server',
    commonName: hostname(),
    dnsNames: [hostname(), 'localhost'],
    ipAddresses: ['127.0.0.1'],
    notBeforeMs: nowMs - 3600_000,
    notAfterMs: nowMs + certificateMs,
  });
}
