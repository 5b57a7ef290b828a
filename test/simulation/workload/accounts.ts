/**
 * Who may do what: ServiceAccounts and the tokens that are kept for them, roles that are put
 * together from others, tokens with which nodes join and that run out, and requests for
 * certificates that are approved, denied, or ask for what nobody signs.
 */
import { createCertificateRequest } from '#kit/certificate-request.ts';
import { formatTime } from '#kit/clock.ts';
import {
  certificateSigningRequests,
  clusterRoles,
  configMaps,
  secrets,
  serviceAccounts,
} from '#resources/kinds.ts';
import type { CertificateSigningRequest } from '#resources/types/certificates-v1.ts';
import type { ConfigMap, Secret, ServiceAccount } from '#resources/types/core-v1.ts';
import type { ClusterRole } from '#resources/types/rbac-v1.ts';
import { Made, type Named } from './made.ts';
import type { Actor, User } from './user.ts';

const namespace = 'robots';
const joining = { namespace: 'kube-system', type: 'bootstrap.kubernetes.io/token' } as const;
const info = { namespace: 'kube-public', name: 'cluster-info' } as const;
const tokenType = 'kubernetes.io/service-account-token';
const partLabels = { 'sim.example.com/part-of': 'everything' };
const whole = 'everything';
const most = 3;
const clientUsages = ['digital signature', 'client auth'];
const steps = [
  ...['account', 'account', 'keep', 'keep', 'dismiss', 'dismiss'],
  ...['join', 'join', 'revoke', 'grant', 'grant', 'withdraw', 'ask', 'ask', 'ask'],
];

/** Who asks for what, and what has to come of it. */
const requests = [
  {
    signerName: 'kubernetes.io/kube-apiserver-client',
    ...{ usages: clientUsages, organizations: ['people'], decision: 'Approved', ends: 'issued' },
  },
  {
    signerName: 'kubernetes.io/kube-apiserver-client',
    ...{ usages: clientUsages, organizations: ['people'], decision: 'Denied', ends: 'Denied' },
  },
  {
    signerName: 'kubernetes.io/kube-apiserver-client',
    ...{ usages: ['server auth'], organizations: [], decision: 'Approved', ends: 'Failed' },
  },
  // The controllers themselves approve what a node asks for.
  {
    signerName: 'kubernetes.io/kube-apiserver-client-kubelet',
    ...{ usages: clientUsages, organizations: ['system:nodes'], decision: '', ends: 'issued' },
  },
] as const;

export class Accounts implements Actor {
  readonly #user: User;
  readonly #accounts: Made<ServiceAccount>;
  readonly #kept: string[] = [];
  readonly #tokens: string[] = [];
  readonly #parts: string[] = [];
  /** Request → what has to come of it. */
  readonly #asked = new Map<string, string>();

  constructor(user: User) {
    this.#user = user;
    const make = (metadata: Named): ServiceAccount => ({
      apiVersion: 'v1',
      kind: 'ServiceAccount',
      metadata,
    });
    this.#accounts = new Made(user, {
      kind: serviceAccounts,
      namespace,
      most,
      stem: 'robot',
      make,
    });
  }

  async begin(signal: AbortSignal): Promise<void> {
    const user = this.#user;
    await this.#accounts.begin(signal);
    await user.createNamespace(info.namespace, signal);
    const data = { kubeconfig: 'apiVersion: v1\nkind: Config\n' };
    await user.create(
      configMaps,
      { apiVersion: 'v1', kind: 'ConfigMap', metadata: info, data },
      signal,
    );
    const rule = { clusterRoleSelectors: [{ matchLabels: partLabels }] };
    const role = { apiVersion: 'rbac.authorization.k8s.io/v1', kind: 'ClusterRole', rules: [] };
    const made = { ...role, metadata: { name: whole }, aggregationRule: rule };
    await user.create(clusterRoles, made, signal);
    await this.#keep(signal);
    await this.#grant(signal);
  }

  async step(signal: AbortSignal): Promise<void> {
    const user = this.#user;
    switch (user.choose(steps)) {
      case 'account':
        return this.#accounts.create(signal);
      case 'keep':
        return this.#keep(signal);
      case 'dismiss': {
        const name = this.#accounts.any();
        if (name !== undefined) await this.#accounts.delete(name, signal);
        return;
      }
      case 'join':
        return this.#join(signal);
      case 'revoke': {
        const name = this.#tokens.shift();
        if (name !== undefined) await user.delete(secrets, { ...joining, name }, { signal });
        return;
      }
      case 'grant':
        return this.#grant(signal);
      case 'withdraw': {
        const name = this.#parts.shift();
        if (name !== undefined) await user.delete(clusterRoles, { name }, { signal });
        return;
      }
      default:
        return this.#ask(signal);
    }
  }

  missing(): readonly string[] {
    return [
      ...this.#accounts.missing().filter((text) => !text.includes(' default ')),
      ...this.#missingTokens(),
      ...this.#missingSignatures(),
      ...this.#missingRules(),
      ...this.#missingCertificates(),
    ];
  }

  /** Who has a token by hand keeps it as long as the account is there. */
  async #keep(signal: AbortSignal): Promise<void> {
    const account = this.#accounts.any();
    if (account === undefined) return;
    const name = this.#user.nextName('kept');
    const annotations = { 'kubernetes.io/service-account.name': account };
    const metadata = { namespace, name, annotations };
    const secret = { apiVersion: 'v1', kind: 'Secret', metadata, type: tokenType };
    await this.#user.create(secrets, secret, signal);
    this.#kept.push(name);
  }

  #missingTokens(): readonly string[] {
    const { truth } = this.#user;
    return this.#kept.flatMap((name) => {
      const secret = truth.find<Secret>('Secret', name, namespace);
      if (secret === undefined) return [];
      const { annotations = {} } = secret.metadata;
      const account = annotations['kubernetes.io/service-account.name'] ?? '';
      const isThere = this.#accounts.names.includes(account);
      if (!isThere) return [`secret ${name} is there without ${account}`];
      return secret.data?.['token'] === undefined ? [`secret ${name} has no token`] : [];
    });
  }

  async #join(signal: AbortSignal): Promise<void> {
    const user = this.#user;
    if (this.#tokens.length >= most) return;
    const id = user.random.uuid().slice(0, 6);
    const ends = user.happens(0.7)
      ? { expiration: formatTime(user.clock.now() + user.between(30, 400) * 1000) }
      : {};
    const stringData = {
      ...{ 'token-id': id, 'token-secret': user.random.uuid().replaceAll('-', '').slice(0, 16) },
      ...{ 'usage-bootstrap-signing': 'true', ...ends },
    };
    const name = `bootstrap-token-${id}`;
    const { namespace: at, type } = joining;
    const metadata = { namespace: at, name };
    const secret = { apiVersion: 'v1', kind: 'Secret', metadata, type, stringData };
    await user.create(secrets, secret, signal);
    this.#tokens.push(name);
  }

  /** A signature for each token that has not run out, and no other. */
  #missingSignatures(): readonly string[] {
    const { truth, clock } = this.#user;
    const problems: string[] = [];
    const wanted: string[] = [];
    for (const { metadata, type, data = {} } of truth.of<Secret>('Secret', joining.namespace)) {
      if (type !== joining.type) continue;
      const text = (key: string): string => Buffer.from(data[key] ?? '', 'base64').toString();
      const expiration = text('expiration');
      if (expiration !== '' && Date.parse(expiration) <= clock.now()) {
        problems.push(`token ${metadata.name} has run out`);
      }
      wanted.push(`jws-kubeconfig-${text('token-id')}`);
    }
    const map = truth.find<ConfigMap>('ConfigMap', info.name, info.namespace);
    const signed = Object.keys(map?.data ?? {}).filter((key) => key.startsWith('jws-'));
    if (signed.sort().join() !== wanted.sort().join()) {
      problems.push(`signed for ${signed}, not for ${wanted}`);
    }
    return problems;
  }

  async #grant(signal: AbortSignal): Promise<void> {
    if (this.#parts.length >= most) return;
    const user = this.#user;
    const name = user.nextName('part');
    const resources = [user.choose(['pods', 'services', 'secrets'])];
    const rules = [{ apiGroups: [''], resources, verbs: ['get'], resourceNames: [name] }];
    const metadata = { name, labels: partLabels };
    const role = { apiVersion: 'rbac.authorization.k8s.io/v1', kind: 'ClusterRole' };
    await user.create(clusterRoles, { ...role, metadata, rules }, signal);
    this.#parts.push(name);
  }

  #missingRules(): readonly string[] {
    const role = this.#user.truth.find<ClusterRole>('ClusterRole', whole);
    const granted = (role?.rules ?? []).flatMap(({ resourceNames = [] }) => resourceNames);
    const isWhole = granted.sort().join() === [...this.#parts].sort().join();
    return isWhole ? [] : [`the role grants ${granted}, not ${this.#parts}`];
  }

  async #ask(signal: AbortSignal): Promise<void> {
    const user = this.#user;
    const { signerName, usages, organizations, decision, ends } = user.choose(requests);
    const name = user.nextName('request');
    const commonName = decision === '' ? `system:node:${name}` : name;
    const { request } = createCertificateRequest({ commonName, organizations });
    const csr: CertificateSigningRequest = {
      apiVersion: 'certificates.k8s.io/v1',
      kind: 'CertificateSigningRequest',
      metadata: { name },
      spec: { signerName, usages, request: Buffer.from(request).toString('base64') },
    };
    await user.create(certificateSigningRequests, csr, signal);
    this.#asked.set(name, ends);
    if (decision === '') return;
    await user.clock.sleep(user.random.integer(5_000), { signal });
    const reason = 'Decided';
    const conditions = [{ type: decision, status: 'True', reason, message: 'by a person' }];
    user.note(`${decision} ${name}`);
    await user.insist(signal, async () => {
      const found = user.truth.find<CertificateSigningRequest>('CertificateSigningRequest', name);
      if (found === undefined || (found.status?.conditions ?? []).length > 0) return;
      const next = { ...found, status: { ...found.status, conditions } };
      const options = { subresource: 'approval', signal };
      await user.client.update(certificateSigningRequests, next, options);
    });
  }

  #missingCertificates(): readonly string[] {
    const { truth } = this.#user;
    return [...this.#asked].flatMap(([name, ends]) => {
      const csr = truth.find<CertificateSigningRequest>('CertificateSigningRequest', name);
      // Where a clock is far ahead, what was decided is old, and cleaned away.
      if (csr === undefined) return [];
      const { certificate, conditions = [] } = csr.status ?? {};
      const types = conditions.map(({ type }) => type);
      const is = certificate ? 'issued' : (types.at(-1) ?? 'waiting');
      return is === ends ? [] : [`request ${name} is ${is}, not ${ends}`];
    });
  }
}
