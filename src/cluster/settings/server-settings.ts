/**
 * What upstream's flags of the API server mean for a cluster of ours, with upstream's limits and
 * words. Three sorts: those that do here what they do there; those that are refused, since who
 * gives them counts on something that is not here (another store, an audit log, authenticators);
 * and the rest, tuning for the most part, which is passed over and told of in the log.
 *
 * Called by `config.ts`; the table of flags is in `server-flags.ts`.
 */
import { createRequire } from 'node:module';
import { isIP } from 'node:net';
import { readPlugins } from '#api/admission-plugins.ts';
import type { ApiServerOptions } from '#apiserver';
import { ConfigError } from './config-error.ts';
import { type FlagSort, type FlagTable, type FlagTexts, FlagValues } from './flag-values.ts';
import { serverFlagSort } from './server-flags.ts';
import { checkStoreFlags } from './store-flags.ts';
import { readTokenFile } from './token-file.ts';

/** Settings of the API server that come from its flags alone. */
export interface ServerSettings
  extends Pick<
    ApiServerOptions,
    | 'admissionPlugins'
    | 'allowPrivileged'
    | 'anonymous'
    | 'eventTTLMs'
    | 'goawayChance'
    | 'inFlight'
    | 'kubeletAddressTypes'
    | 'kubeletPort'
    | 'minRequestTimeoutMs'
    | 'staticTokens'
    | 'streamsMax'
    | 'tolerationSeconds'
  > {
  readonly advertiseAddress: string | undefined;
  readonly securePort: number | undefined;
  readonly serviceRange: string | undefined;
  /** What the log says of flags that change nothing. */
  readonly notes: readonly string[];
}

const ownStore = 'objects are kept in the store of the cluster itself';
const ownCertificates = 'the cluster makes its certificates and keys itself';
const ownAuthorizer = 'who may do what is not chosen by flags yet';
const ownAuthenticators = 'certificates, service-account and bootstrap tokens are what is believed';
const noAudit = 'requests are not audited yet';

/** Flags that are refused, and why. */
const refused: Readonly<Record<string, string>> = {
  'etcd-servers': ownStore,
  'etcd-servers-overrides': ownStore,
  'cert-dir': ownCertificates,
  'tls-cert-file': `${ownCertificates}; --tls-san adds names`,
  'tls-private-key-file': ownCertificates,
  'tls-sni-cert-key': ownCertificates,
  'tls-min-version': 'TLS 1.2 and 1.3 are spoken',
  'tls-cipher-suites': 'those of the runtime are offered',
  'client-ca-file': ownCertificates,
  'service-account-key-file': ownCertificates,
  'service-account-signing-key-file': ownCertificates,
  'service-account-signing-endpoint': ownCertificates,
  'kubelet-certificate-authority': `${ownCertificates}; kubelets are held to them`,
  'kubelet-client-certificate': ownCertificates,
  'kubelet-client-key': ownCertificates,
  'authorization-mode': ownAuthorizer,
  'authorization-config': ownAuthorizer,
  'authorization-policy-file': ownAuthorizer,
  'authorization-webhook-config-file': ownAuthorizer,
  'authentication-config': ownAuthenticators,
  'authentication-token-webhook-config-file': ownAuthenticators,
  'oidc-issuer-url': ownAuthenticators,
  'requestheader-client-ca-file': ownAuthenticators,
  'audit-policy-file': noAudit,
  'audit-log-path': noAudit,
  'audit-webhook-config-file': noAudit,
  'admission-control-config-file': 'admission plugins take no files yet',
  'egress-selector-config-file': 'kubelets and pods are reached without proxies',
  'cors-allowed-origins': 'pages of other origins are not let in',
};

export function readServerSettings(texts: FlagTexts): ServerSettings {
  const values = new FlagValues(tableOf(texts), texts);
  for (const [flag, why] of Object.entries(refused)) {
    if (values.text(flag) !== undefined) throw new ConfigError(`--${flag}: ${why}`);
  }
  checkStoreFlags(values);
  const file = values.text('token-auth-file');
  const tokens = file === undefined ? undefined : readTokenFile(file);
  const settings = {
    advertiseAddress: address(values),
    securePort: securePort(values),
    serviceRange: values.text('service-cluster-ip-range'),
    admissionPlugins: admissionPlugins(values),
    allowPrivileged: values.boolean('allow-privileged'),
    anonymous: values.boolean('anonymous-auth'),
    eventTTLMs: values.durationMs('event-ttl'),
    goawayChance: chance(values),
    inFlight: inFlight(values),
    kubeletAddressTypes: values.list('kubelet-preferred-address-types'),
    kubeletPort: natural(values, 'kubelet-port') || undefined,
    minRequestTimeoutMs: thousandfold(natural(values, 'min-request-timeout')),
    staticTokens: tokens?.tokens,
    streamsMax: natural(values, 'http2-max-streams-per-connection') || undefined,
    tolerationSeconds: tolerationSeconds(values),
  };
  const gates = featureGates(values);
  const idle = values.unread.map((flag) => `flag without effect: --${flag}`);
  return { ...settings, notes: [...(tokens?.notes ?? []), ...gates, ...idle] };
}

/** Those of the flags that are given; other texts are of flags of ours. */
function tableOf(texts: FlagTexts): FlagTable {
  const table: Record<string, FlagSort> = {};
  for (const name of Object.keys(texts)) {
    const flag = name.replaceAll(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);
    const sort = serverFlagSort(flag);
    if (sort !== undefined) table[flag] = sort;
  }
  return table;
}

function address(values: FlagValues): string | undefined {
  const text = values.text('advertise-address');
  if (text === undefined || isIP(text) > 0) return text;
  throw new ConfigError(
    `invalid argument "${text}" for "--advertise-address" flag: failed to parse IP: "${text}"`,
  );
}

function securePort(values: FlagValues): number | undefined {
  const port = values.number('secure-port');
  if (port === undefined || (port >= 1 && port <= 65_535)) return port;
  throw new ConfigError(
    `--secure-port ${port} must be between 1 and 65535, inclusive. It cannot be turned off with 0`,
  );
}

function chance(values: FlagValues): number | undefined {
  const share = values.number('goaway-chance');
  if (share === undefined || (share >= 0 && share <= 0.02)) return share;
  throw new ConfigError('--goaway-chance can not be less than 0 or greater than 0.02');
}

function natural(values: FlagValues, flag: string): number | undefined {
  const number = values.number(flag);
  if (number === undefined || number >= 0) return number;
  throw new ConfigError(`--${flag} can not be negative value`);
}

function thousandfold(number: number | undefined): number | undefined {
  return number === undefined ? undefined : number * 1000;
}

function inFlight(values: FlagValues): ServerSettings['inFlight'] {
  const reading = natural(values, 'max-requests-inflight');
  const writing = natural(values, 'max-mutating-requests-inflight');
  if (reading === undefined && writing === undefined) return undefined;
  return { reading: reading ?? 0, writing: writing ?? 0 };
}

const stayDefaultSeconds = 300;

function tolerationSeconds(values: FlagValues): ServerSettings['tolerationSeconds'] {
  const notReady = values.number('default-not-ready-toleration-seconds');
  const unreachable = values.number('default-unreachable-toleration-seconds');
  if (notReady === undefined && unreachable === undefined) return undefined;
  return {
    notReady: notReady ?? stayDefaultSeconds,
    unreachable: unreachable ?? stayDefaultSeconds,
  };
}

function admissionPlugins(values: FlagValues): ServerSettings['admissionPlugins'] {
  const flags = {
    enable: values.list('enable-admission-plugins'),
    disable: values.list('disable-admission-plugins'),
    only: values.list('admission-control'),
  };
  if (Object.values(flags).every((names) => names === undefined)) return undefined;
  const read = readPlugins(flags);
  if (read.ok) return read.plugins;
  throw new ConfigError(read.problem);
}

/** Few clusters are given any, and only they load the list. */
function featureGates(values: FlagValues): readonly string[] {
  const text = values.text('feature-gates');
  if (text === undefined) return [];
  const require = createRequire(import.meta.url);
  const { readFeatureGates } = require('./feature-gates.ts') as typeof import('./feature-gates.ts');
  const read = readFeatureGates(text);
  if (read.ok) return read.notes;
  throw new ConfigError(read.problem);
}
