/**
 * Who may ask a node's server what: authenticated by a client certificate of the cluster or by a
 * token that the API server vouches for, authorized by asking the API server.
 *
 * The API server itself and administrators (`system:masters`) need not be asked about. Answers are
 * believed for a while, as upstream does: yes for five minutes, no for half a minute. Behaviour:
 * kubernetes.io, Kubelet authentication/authorization.
 */
import type { IncomingMessage } from 'node:http';
import type { TLSSocket } from 'node:tls';
import { type Client, type ReviewedUser, reviewAccess, reviewToken } from '#client';
import type { Clock } from '#kit/clock.ts';
import { readAddress } from './address.ts';

export interface AccessDeps {
  readonly client: Client;
  readonly clock: Clock;
}

export interface Refused {
  readonly status: 401 | 403;
  readonly text: string;
}

const limits = {
  tokenKnownMs: 120_000,
  allowedKnownMs: 300_000,
  deniedKnownMs: 30_000,
  answersMax: 1000,
} as const;

/** How a kubelet may be told to let people in; upstream's defaults of a configuration file. */
export interface AccessOptions {
  /** Who shows nothing may ask, as `system:anonymous`. */
  readonly anonymous: boolean;
  /** The API server is asked whose a token is. */
  readonly tokens: boolean;
  /** The API server is asked who may do what; else everybody who is known may all. */
  readonly authorizes: boolean;
  readonly tokenKnownMs: number;
  readonly allowedKnownMs: number;
  readonly deniedKnownMs: number;
}

const usualAccess: AccessOptions = {
  anonymous: false,
  tokens: true,
  authorizes: true,
  tokenKnownMs: limits.tokenKnownMs,
  allowedKnownMs: limits.allowedKnownMs,
  deniedKnownMs: limits.deniedKnownMs,
};

const anonymous: ReviewedUser = {
  name: 'system:anonymous',
  groups: ['system:unauthenticated'],
};

const apiServerName = 'kube-apiserver-kubelet-client';
const administrators = 'system:masters';

export class ServerAccess {
  readonly #deps: AccessDeps;
  readonly #nodeName: string;
  readonly #options: AccessOptions;
  readonly #users: Answers<ReviewedUser | undefined>;
  readonly #verdicts: Answers<boolean>;

  constructor(
    deps: AccessDeps,
    {
      nodeName,
      access = usualAccess,
    }: {
      readonly nodeName: string;
      readonly access?: Partial<AccessOptions> | undefined;
    },
  ) {
    this.#deps = deps;
    this.#nodeName = nodeName;
    this.#options = { ...usualAccess, ...access };
    this.#users = new Answers(deps.clock);
    this.#verdicts = new Answers(deps.clock);
  }

  /** Undefined: go on. */
  async refusalOf(
    request: IncomingMessage,
    { signal }: { readonly signal: AbortSignal },
  ): Promise<Refused | undefined> {
    const user = certifiedUser(request) ?? (await this.#otherUser(request, signal));
    if (user === undefined) return { status: 401, text: 'Unauthorized' };
    if (!this.#options.authorizes) return undefined;
    if (user.name === apiServerName || user.groups.includes(administrators)) return undefined;
    const verb = verbs[request.method ?? ''] ?? '';
    const subresources = subresourcesOf(readAddress(request)?.path ?? '');
    for (const subresource of subresources) {
      if (await this.#isAllowed(user, { verb, subresource }, signal)) return undefined;
    }
    const subresource = subresources.at(-1);
    const text =
      `Forbidden (user=${user.name}, verb=${verb}, resource=nodes, ` +
      `subresource(s)=[${subresources.join(' ')}])`;
    return { status: 403, text: subresource === undefined ? 'Forbidden' : text };
  }

  /** A token that is nobody's is not anonymous. */
  async #otherUser(
    request: IncomingMessage,
    signal: AbortSignal,
  ): Promise<ReviewedUser | undefined> {
    const token = /^Bearer (\S+)$/i.exec(request.headers.authorization ?? '')?.[1];
    const { tokens, tokenKnownMs, deniedKnownMs } = this.#options;
    if (token === undefined || !tokens) return this.#options.anonymous ? anonymous : undefined;
    return this.#users.get(token, async () => {
      const user = await reviewToken(this.#deps.client, token, { signal });
      return { answer: user, forMs: user === undefined ? deniedKnownMs : tokenKnownMs };
    });
  }

  #isAllowed(
    user: ReviewedUser,
    asked: { readonly verb: string; readonly subresource: string },
    signal: AbortSignal,
  ): Promise<boolean> {
    return this.#verdicts.get(JSON.stringify([user, asked]), async () => {
      const resourceAttributes = {
        ...asked,
        resource: 'nodes',
        name: this.#nodeName,
        version: 'v1',
      };
      const { client } = this.#deps;
      const { allowedKnownMs, deniedKnownMs } = this.#options;
      const answer = await reviewAccess(client, user, { resourceAttributes }, { signal });
      return { answer, forMs: answer ? allowedKnownMs : deniedKnownMs };
    });
  }
}

function certifiedUser({ socket }: IncomingMessage): ReviewedUser | undefined {
  // The server is HTTPS, so its sockets are TLS sockets.
  const tls = socket as TLSSocket;
  if (!tls.authorized) return undefined;
  const { CN, O } = tls.getPeerCertificate().subject;
  const name = Array.isArray(CN) ? (CN[0] ?? '') : (CN ?? '');
  const groups = Array.isArray(O) ? O : O === undefined ? [] : [O];
  return { name, groups: [...groups, 'system:authenticated'] };
}

const verbs: Readonly<Record<string, string>> = {
  GET: 'get',
  HEAD: 'get',
  POST: 'create',
  PUT: 'update',
  PATCH: 'patch',
  DELETE: 'delete',
};

/** What of the node a path is about; leave for any of them is enough. */
function subresourcesOf(path: string): readonly string[] {
  const [, first = ''] = path.split('/');
  if (first === 'stats' || first === 'metrics') return [first];
  if (first === 'logs') return ['log'];
  if (first === 'pods' || first === 'runningpods') return ['pods', 'proxy'];
  if (first === 'healthz' || first === 'configz') return [first, 'proxy'];
  return ['proxy'];
}

/** Answers that are believed for a while; of many the oldest are forgotten. */
class Answers<T> {
  readonly #clock: Clock;
  readonly #known = new Map<string, { readonly answer: T; readonly untilMs: number }>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  async get(
    key: string,
    ask: () => Promise<{ readonly answer: T; readonly forMs: number }>,
  ): Promise<T> {
    const known = this.#known.get(key);
    if (known !== undefined && known.untilMs > this.#clock.now()) return known.answer;
    const { answer, forMs } = await ask();
    this.#known.delete(key);
    this.#known.set(key, { answer, untilMs: this.#clock.now() + forMs });
    const [oldest] = this.#known.keys();
    if (this.#known.size > limits.answersMax && oldest !== undefined) this.#known.delete(oldest);
    return answer;
  }
}
