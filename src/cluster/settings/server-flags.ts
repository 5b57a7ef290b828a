/**
 * The flags of upstream's kube-apiserver v1.36 that `up` and `server` take besides their own, by
 * name, with what their values are. `server-settings.ts` says what those mean that mean something
 * here, and refuses those without which the cluster would be less than what was asked for; the
 * others are accepted, and told of in the log.
 */
import { type Command, Option } from '#kit/command-line.ts';
import type { FlagSort } from './flag-values.ts';

/** In the help; all others are known without standing there. */
const help: Readonly<Record<string, string>> = {
  'advertise-address': 'address that the Service kubernetes leads to (default: of the node)',
  'allow-privileged': 'whether containers may be privileged (default true)',
  'anonymous-auth': 'whether who shows nothing may ask for health and version (default true)',
  'default-not-ready-toleration-seconds': 'that pods stay on a node that is not ready (300)',
  'default-unreachable-toleration-seconds': 'that pods stay on a node out of reach (300)',
  'disable-admission-plugins': 'admission plugins that are off',
  'enable-admission-plugins': 'admission plugins that are on besides those that always are',
  'event-ttl': 'how long Events are kept (1h)',
  'feature-gates': "upstream's, as Name=true,Other=false",
  'goaway-chance': 'share of HTTP/2 requests that end their connection, up to 0.02 (0)',
  'http2-max-streams-per-connection': 'requests at a time on one connection (1000)',
  'max-mutating-requests-inflight': 'writes at a time, 0 for any number (0)',
  'max-requests-inflight': 'reads at a time, 0 for any number (0)',
  'min-request-timeout': 'shortest life of a watch, in seconds (1800)',
  'secure-port': 'the same as --api-port',
  'token-auth-file': 'who is believed by which token: token,user,uid,"groups"',
  'service-cluster-ip-range': 'the same as --service-cidr',
};

const bySort: Readonly<Record<FlagSort, string>> = {
  text: `
    advertise-address external-hostname feature-gates etcd-cafile
    etcd-certfile etcd-keyfile etcd-prefix storage-backend storage-media-type cert-dir
    tls-cert-file tls-min-version tls-private-key-file tls-sni-cert-key audit-log-format
    audit-log-mode audit-log-path audit-log-version audit-policy-file audit-webhook-config-file
    audit-webhook-mode audit-webhook-version debug-socket-path authentication-config
    authentication-token-webhook-config-file authentication-token-webhook-version client-ca-file
    oidc-ca-file oidc-client-id oidc-groups-claim oidc-groups-prefix oidc-issuer-url
    oidc-required-claim oidc-username-claim oidc-username-prefix requestheader-client-ca-file
    service-account-issuer service-account-jwks-uri service-account-key-file token-auth-file
    authorization-config authorization-policy-file authorization-webhook-config-file
    authorization-webhook-version egress-selector-config-file admission-control-config-file
    allow-metric-labels allow-metric-labels-manifest show-hidden-metrics-for-version
    log-json-info-buffer-size log-text-info-buffer-size logging-format vmodule
    tracing-config-file endpoint-reconciler-type kubelet-certificate-authority
    kubelet-client-certificate kubelet-client-key peer-advertise-ip peer-advertise-port
    peer-ca-file proxy-client-cert-file proxy-client-key-file service-account-signing-endpoint
    service-account-signing-key-file service-cluster-ip-range`,
  list: `
    cors-allowed-origins emulated-version min-compatibility-version
    strict-transport-security-directives etcd-servers etcd-servers-overrides watch-cache-sizes
    tls-cipher-suites tls-curve-preferences api-audiences oidc-signing-algs
    requestheader-allowed-names requestheader-extra-headers-prefix requestheader-group-headers
    requestheader-uid-headers requestheader-username-headers authorization-mode
    admission-control disable-admission-plugins enable-admission-plugins disabled-metrics
    kubelet-preferred-address-types`,
  boolean: `
    emulation-forward-compatible runtime-config-emulation-forward-compatible
    send-retry-after-while-not-ready-once shutdown-send-retry-after enable-garbage-collector
    watch-cache disable-http2-serving
    permit-address-sharing permit-port-sharing audit-log-batch-throttle-enable
    audit-log-compress audit-log-truncate-enabled audit-webhook-batch-throttle-enable
    audit-webhook-truncate-enabled contention-profiling enable-priority-and-fairness profiling
    anonymous-auth enable-bootstrap-token-auth service-account-extend-token-expiration
    service-account-lookup log-json-split-stream log-text-split-stream
    aggregator-reject-forwarding-redirect allow-privileged enable-aggregator-routing
    enable-logs-handler`,
  float: 'goaway-chance audit-log-batch-throttle-qps audit-webhook-batch-throttle-qps',
  duration: `
    livez-grace-period request-timeout shutdown-watch-termination-grace-period
    storage-initialization-timeout etcd-compaction-interval etcd-count-metric-poll-period
    etcd-db-metric-poll-interval etcd-healthcheck-timeout etcd-readycheck-timeout
    audit-log-batch-max-wait audit-webhook-batch-max-wait audit-webhook-initial-backoff
    audit-webhook-batch-initial-backoff
    authentication-token-webhook-cache-ttl service-account-max-token-expiration
    authorization-webhook-cache-authorized-ttl authorization-webhook-cache-unauthorized-ttl
    log-flush-frequency coordinated-leadership-lease-duration
    coordinated-leadership-renew-deadline coordinated-leadership-retry-period event-ttl
    kubelet-timeout`,
  integer: `
    max-mutating-requests-inflight max-requests-inflight min-request-timeout
    delete-collection-workers lease-reuse-duration-seconds http2-max-streams-per-connection
    secure-port audit-log-batch-buffer-size audit-log-batch-max-size
    audit-log-batch-throttle-burst audit-log-maxage audit-log-maxbackup audit-log-maxsize
    audit-log-truncate-max-batch-size audit-log-truncate-max-event-size
    audit-webhook-batch-buffer-size audit-webhook-batch-max-size
    audit-webhook-batch-throttle-burst audit-webhook-truncate-max-batch-size
    audit-webhook-truncate-max-event-size default-not-ready-toleration-seconds
    default-unreachable-toleration-seconds kubernetes-service-node-port kubelet-port
    kubelet-read-only-port apiserver-count default-watch-cache-size
    max-connection-bytes-per-sec`,
};

/** What the value of a flag is; undefined of what is none of these flags. */
export function serverFlagSort(flag: string): FlagSort | undefined {
  // The keys of the table are the sorts.
  const sorts = Object.keys(bySort) as FlagSort[];
  return sorts.find((sort) => bySort[sort].split(/\s+/).includes(flag));
}

/** Those of the help, and of the others only those that are given: they are many. */
export function addServerFlags(command: Command, args: readonly string[]): Command {
  const given = args.map((arg) => /^--([^=]+)/.exec(arg)?.[1] ?? '').filter((flag) => flag !== '');
  for (const flag of new Set([...Object.keys(help), ...given])) {
    const sort = serverFlagSort(flag);
    if (sort === undefined) continue;
    // As upstream's: a boolean flag alone means true.
    const value = sort === 'boolean' ? '[bool]' : `<${sort}>`;
    const option = new Option(`--${flag} ${value}`, help[flag] ?? '');
    command.addOption(help[flag] === undefined ? option.hideHelp() : option);
  }
  return command;
}
