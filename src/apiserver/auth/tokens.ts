/**
 * Service-account tokens: made and checked here, with one EC P-256 key (JWS, ES256).
 *
 * A token is bound to its service account and, for those that pods get, to the pod: it holds only
 * as long as both exist with the same uid. Signing is synchronous, so that the simulator's order
 * never depends on another thread. Claims are upstream's. Tokens whose signature was found good are
 * remembered while they are used (`recent.ts`).
 */
import {
  createHash,
  createPrivateKey,
  createPublicKey,
  type KeyObject,
  sign,
  verify,
} from 'node:crypto';
import type { Clock } from '#kit/clock.ts';
import type { Random } from '#kit/random.ts';
import type { Identity } from '#kit/transport.ts';
import { Recent } from './recent.ts';

export interface BoundObject {
  readonly name: string;
  readonly uid: string;
}

export interface TokenSubject {
  readonly namespace: string;
  readonly serviceAccount: BoundObject;
  readonly pod?: BoundObject | undefined;
  readonly node?: BoundObject | undefined;
  readonly secret?: BoundObject | undefined;
}

export interface TokensDeps {
  readonly clock: Clock;
  readonly random: Random;
  /** What is wrong with the objects that a token is bound to; undefined when they are there. */
  readonly problemOf: (subject: TokenSubject) => string | undefined;
}

export type Authenticated =
  | { readonly ok: true; readonly identity: Identity; readonly audiences: readonly string[] }
  /** Empty where the token is none of ours. */
  | { readonly ok: false; readonly problem: string };

export interface TokensOptions {
  /** PEM of the private key. */
  readonly key: string;
  readonly issuer: string;
}

interface Claims {
  readonly iss: string;
  readonly sub: string;
  readonly aud: readonly string[];
  readonly exp: number;
  readonly iat: number;
  readonly nbf: number;
  readonly jti: string;
  readonly 'kubernetes.io': {
    readonly namespace: string;
    readonly serviceaccount: BoundObject;
    readonly pod?: BoundObject;
    readonly node?: BoundObject;
    readonly secret?: BoundObject;
    readonly warnafter?: number;
  };
}

/** Tokens whose signature was found good. */
const remembered = { ageMs: 60_000, countMax: 10_000 } as const;
const tokenLengthMax = 16 * 1024;

export class Tokens {
  readonly #deps: TokensDeps;
  readonly #issuer: string;
  readonly #private: KeyObject;
  readonly #public: KeyObject;
  readonly #keyId: string;
  readonly #verified: Recent<Claims>;

  constructor(deps: TokensDeps, { key, issuer }: TokensOptions) {
    this.#deps = deps;
    this.#verified = new Recent(deps, remembered);
    this.#issuer = issuer;
    this.#private = createPrivateKey(key);
    this.#public = createPublicKey(this.#private);
    const der = this.#public.export({ type: 'spki', format: 'der' });
    this.#keyId = createHash('sha256').update(der).digest('base64url');
  }

  get issuer(): string {
    return this.#issuer;
  }

  /** The audience that this server takes tokens for. */
  get audience(): string {
    return this.#issuer;
  }

  issue(
    subject: TokenSubject,
    {
      audiences,
      seconds,
      warnAfterSeconds,
    }: {
      readonly audiences: readonly string[];
      readonly seconds: number;
      /** From then on the token is older than its bearer wanted it to be. */
      readonly warnAfterSeconds?: number | undefined;
    },
  ): { readonly token: string; readonly expiresMs: number } {
    const issuedAt = Math.floor(this.#deps.clock.now() / 1000);
    const { namespace, serviceAccount, pod, node, secret } = subject;
    const claims: Claims = {
      aud: audiences,
      exp: issuedAt + seconds,
      iat: issuedAt,
      iss: this.#issuer,
      jti: this.#deps.random.uuid(),
      'kubernetes.io': {
        namespace,
        ...(node === undefined ? {} : { node }),
        ...(pod === undefined ? {} : { pod }),
        ...(secret === undefined ? {} : { secret }),
        serviceaccount: serviceAccount,
        ...(warnAfterSeconds === undefined ? {} : { warnafter: issuedAt + warnAfterSeconds }),
      },
      nbf: issuedAt,
      sub: userOf(namespace, serviceAccount.name),
    };
    return { token: this.#sign(claims), expiresMs: claims.exp * 1000 };
  }

  #sign(claims: Claims): string {
    const signed = `${encode({ alg: 'ES256', kid: this.#keyId })}.${encode(claims)}`;
    const signature = sign('sha256', Buffer.from(signed), {
      key: this.#private,
      dsaEncoding: 'ieee-p1363',
    });
    return `${signed}.${signature.toString('base64url')}`;
  }

  /** Who the token stands for, or why it does not hold (any more). */
  authenticate(
    token: string,
    { audiences }: { readonly audiences: readonly string[] } = { audiences: [this.audience] },
  ): Authenticated {
    const claims = this.#verify(token);
    if (claims === undefined) return refused('');
    if (claims.iss !== this.#issuer) return refused('');
    const seconds = this.#deps.clock.now() / 1000;
    if (seconds >= claims.exp) return refused('service account token has expired');
    if (seconds < claims.nbf) return refused('service account token is not valid yet');
    const common = claims.aud.filter((audience) => audiences.includes(audience));
    if (common.length === 0) return refused(audienceProblem(claims.aud, audiences));
    const subject = subjectOf(claims);
    const problem = this.#deps.problemOf(subject);
    if (problem !== undefined) return refused(problem);
    return { ok: true, identity: identityOf(subject, claims.jti), audiences: common };
  }

  /** The public key, for `/openid/v1/jwks`. */
  publicKeys(): object {
    const { kty, crv, x, y } = this.#public.export({ format: 'jwk' });
    return { keys: [{ use: 'sig', kty, kid: this.#keyId, crv, alg: 'ES256', x, y }] };
  }

  #verify(token: string): Claims | undefined {
    const known = this.#verified.get(token);
    if (known !== undefined) return known;
    if (token.length > tokenLengthMax) return undefined;
    const [header = '', payload = '', signature = '', ...more] = token.split('.');
    if (more.length > 0 || signature === '') return undefined;
    const { alg } = decode(header) ?? {};
    if (alg !== 'ES256') return undefined;
    const sound = verify(
      'sha256',
      Buffer.from(`${header}.${payload}`),
      { key: this.#public, dsaEncoding: 'ieee-p1363' },
      Buffer.from(signature, 'base64url'),
    );
    if (!sound) return undefined;
    // Our own signature vouches for the shape.
    const claims = decode(payload) as Claims | undefined;
    if (claims === undefined) return undefined;
    this.#verified.set(token, claims);
    return claims;
  }
}

function subjectOf(claims: Claims): TokenSubject {
  const { namespace, serviceaccount, pod, node, secret } = claims['kubernetes.io'];
  return { namespace, serviceAccount: serviceaccount, pod, node, secret };
}

function refused(problem: string): Authenticated {
  return { ok: false, problem };
}

function audienceProblem(own: readonly string[], wanted: readonly string[]): string {
  return `token audiences ${JSON.stringify(own)} is invalid for the target audiences ${JSON.stringify(wanted)}`;
}

function userOf(namespace: string, name: string): string {
  return `system:serviceaccount:${namespace}:${name}`;
}

function identityOf(subject: TokenSubject, tokenId: string): Identity {
  const { namespace, serviceAccount, pod, node } = subject;
  const key = 'authentication.kubernetes.io/';
  return {
    name: userOf(namespace, serviceAccount.name),
    uid: serviceAccount.uid,
    groups: ['system:serviceaccounts', `system:serviceaccounts:${namespace}`],
    extra: {
      [`${key}credential-id`]: [`JTI=${tokenId}`],
      ...(pod === undefined
        ? {}
        : { [`${key}pod-name`]: [pod.name], [`${key}pod-uid`]: [pod.uid] }),
      ...(node === undefined
        ? {}
        : { [`${key}node-name`]: [node.name], [`${key}node-uid`]: [node.uid] }),
    },
  };
}

function encode(value: object): string {
  return Buffer.from(JSON.stringify(value)).toString('base64url');
}

function decode(part: string): Record<string, unknown> | undefined {
  try {
    const value: unknown = JSON.parse(Buffer.from(part, 'base64url').toString('utf8'));
    // Parse boundary: callers check the fields that they use.
    return value !== null && typeof value === 'object'
      ? (value as Record<string, unknown>)
      : undefined;
  } catch (error) {
    if (error instanceof SyntaxError) return undefined;
    throw error;
  }
}
