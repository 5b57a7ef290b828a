/**
 * The API server's options in a simulated cluster. The key signs tokens that nobody checks; it is
 * made at start, synchronously, and nothing of it shows in a trace.
 */
import { generateKeyPairSync } from 'node:crypto';
import type { ApiServerOptions } from '#apiserver';

export function serverOptions(): ApiServerOptions {
  const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  return {
    serviceCIDR: '10.43.0.0/16',
    nodePortRange: { first: 30_000, last: 32_767 },
    advertise: { address: '192.168.0.1', port: 6443 },
    serviceAccountKey: privateKey.export({ type: 'pkcs8', format: 'pem' }).toString(),
    serviceAccountIssuer: 'https://kubernetes.default.svc.cluster.local',
    legacyVersions: true,
    rethrowBugs: true,
  };
}
