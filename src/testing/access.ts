/**
 * How programs outside the test's process reach its cluster: certificates and an HTTPS port on the
 * loopback interface, made when somebody asks for a kubeconfig and not before.
 *
 * Certificates live by the machine's clock whatever the cluster's says, since the programs that
 * check them do. They and their keys are never written to the disk. `testing.ts` calls this.
 */
import type { ApiServer } from '#apiserver';
import { kubeconfigText } from '#client';
import { systemClock } from '#kit/clock.ts';
import type { Random } from '#kit/random.ts';
import { issueCertificate, type KeyPair } from '#kit/x509.ts';

const dayMs = 24 * 60 * 60 * 1000;
const host = '127.0.0.1';

export class Access {
  readonly #random: Random;
  readonly #validity: { readonly notBeforeMs: number; readonly notAfterMs: number };
  readonly #ca: KeyPair;

  constructor({ random }: { readonly random: Random }) {
    const nowMs = systemClock().now();
    this.#random = random;
    this.#validity = { notBeforeMs: nowMs - dayMs, notAfterMs: nowMs + 30 * dayMs };
    this.#ca = issueCertificate(
      { random },
      { commonName: 'coracle-testing-ca', role: 'ca', ...this.#validity },
    );
  }

  /** The authority with its key. */
  get issuer(): KeyPair {
    return this.#ca;
  }

  /** PEM. */
  get caCert(): string {
    return this.#ca.cert;
  }

  /** Opens the port; the kubeconfig of an administrator who comes through it. */
  async listen(server: ApiServer): Promise<string> {
    const issuer = this.#ca;
    const deps = { random: this.#random };
    const serving = issueCertificate(deps, {
      commonName: 'kube-apiserver',
      role: 'server',
      dnsNames: ['localhost', 'kubernetes', 'kubernetes.default', 'kubernetes.default.svc'],
      ipAddresses: [host],
      issuer,
      ...this.#validity,
    });
    const client = issueCertificate(deps, {
      commonName: 'kubernetes-admin',
      organizations: ['system:masters'],
      role: 'client',
      issuer,
      ...this.#validity,
    });
    const clientCA = issuer.cert;
    const { port } = await server.listen({ host, port: 0, ...serving, clientCA });
    const address = `https://${host}:${port}`;
    return kubeconfigText('coracle-testing', { server: address, caCert: issuer.cert, client });
  }
}
