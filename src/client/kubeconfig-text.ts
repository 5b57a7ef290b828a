/**
 * A kubeconfig as text: one cluster, one user, one context of the same name.
 *
 * `cluster/credentials/kubeconfig.ts` writes it below the data dir and merges its entries into the
 * user's own file; `testing/testing.ts` hands it to tests, which keep it where they like.
 */
import type { KeyPair } from '#kit/x509.ts';

export interface Access {
  readonly server: string;
  readonly caCert: string;
  readonly client: KeyPair;
}

const base64 = (text: string): string => Buffer.from(text, 'utf8').toString('base64');

export function clusterEntry(name: string, access: Access) {
  return {
    name,
    cluster: { server: access.server, 'certificate-authority-data': base64(access.caCert) },
  };
}

export function userEntry(name: string, access: Access) {
  return {
    name,
    user: {
      'client-certificate-data': base64(access.client.cert),
      'client-key-data': base64(access.client.key),
    },
  };
}

/** A whole kubeconfig with one context, as plain YAML: people look into it with grep and sed. */
export function kubeconfigText(name: string, access: Access): string {
  return `apiVersion: v1
kind: Config
clusters:
  - name: ${name}
    cluster:
      server: ${access.server}
      certificate-authority-data: ${base64(access.caCert)}
users:
  - name: ${name}
    user:
      client-certificate-data: ${base64(access.client.cert)}
      client-key-data: ${base64(access.client.key)}
contexts:
  - name: ${name}
    context:
      cluster: ${name}
      user: ${name}
current-context: ${name}
`;
}
