/**
 * The fields of a `KubeletConfiguration` about the node's server and the kubelet's own requests:
 * who is let in, TLS, what is switched off, how often it may ask. What cannot be used is refused
 * with upstream's words. Pure. `kubelet-settings.ts` calls this.
 *
 * Where upstream's flags alone (without a file) would let everybody in, this keeps to what a file
 * means: nobody unknown, and the API server is asked.
 */
import type { RequestRates } from '#client';
import type { Serving } from '#kubelet';
import { ConfigError } from '../settings/config-error.ts';
import { durationMs, invalid } from './placement-settings.ts';
import { type TlsNames, tlsSettings } from './tls-settings.ts';

export interface NodeServerFields extends TlsNames {
  readonly authentication?: {
    readonly x509?: { readonly clientCAFile?: string };
    readonly webhook?: { readonly enabled?: boolean; readonly cacheTTL?: string };
    readonly anonymous?: { readonly enabled?: boolean };
  };
  readonly authorization?: {
    readonly mode?: string;
    readonly webhook?: {
      readonly cacheAuthorizedTTL?: string;
      readonly cacheUnauthorizedTTL?: string;
    };
  };
  readonly enableDebuggingHandlers?: boolean;
  readonly enableSystemLogHandler?: boolean;
  readonly enableSystemLogQuery?: boolean;
  readonly streamingConnectionIdleTimeout?: string;
  readonly readOnlyPort?: number;
  readonly kubeAPIQPS?: number;
  readonly kubeAPIBurst?: number;
  readonly eventRecordQPS?: number;
  readonly eventBurst?: number;
  readonly runtimeRequestTimeout?: string;
}

export const nodeServerFields =
  'authentication authorization tlsCipherSuites tlsMinVersion tlsCurvePreferences ' +
  'enableDebuggingHandlers enableSystemLogHandler enableSystemLogQuery streamingConnectionIdleTimeout readOnlyPort ' +
  'kubeAPIQPS kubeAPIBurst eventRecordQPS eventBurst runtimeRequestTimeout';

export interface NodeServerSettings {
  readonly serves: Serving;
  readonly rates: RequestRates;
  readonly runtimeRequestTimeoutMs: number | undefined;
}

export function nodeServerSettings(fields: NodeServerFields): NodeServerSettings {
  const { readOnlyPort = 0, streamingConnectionIdleTimeout: idle } = fields;
  if (readOnlyPort < 0 || readOnlyPort > 65_535) {
    throw invalid(
      `readOnlyPort (--read-only-port) ${readOnlyPort} must be between 0 and 65535, inclusive`,
    );
  }
  if (fields.enableSystemLogQuery === true && fields.enableSystemLogHandler === false) {
    throw invalid('enableSystemLogHandler is required for enableSystemLogQuery');
  }
  const tls = tlsSettings(fields);
  const streamIdleMs = durationMs('streamingConnectionIdleTimeout', idle, 0);
  const timeout = durationMs('runtimeRequestTimeout', fields.runtimeRequestTimeout, 0);
  return {
    serves: {
      access: accessOf(fields),
      debugging: fields.enableDebuggingHandlers ?? true,
      systemLogs: fields.enableSystemLogHandler ?? true,
      logQueries: fields.enableSystemLogQuery ?? false,
      ...(tls === undefined ? {} : { tls }),
      // Upstream cannot tell 0 from nothing here.
      ...(streamIdleMs === 0 ? {} : { streamIdleMs }),
      readOnlyPort,
    },
    rates: ratesOf(fields),
    runtimeRequestTimeoutMs: timeout || undefined,
  };
}

function accessOf({ authentication = {}, authorization = {} }: NodeServerFields) {
  const { webhook = {}, anonymous } = authentication;
  const { mode = 'Webhook', webhook: caches = {} } = authorization;
  if (mode === '') throw new ConfigError('no authorization mode specified');
  if (mode !== 'Webhook' && mode !== 'AlwaysAllow') {
    throw new ConfigError(`unknown authorization mode ${mode}`);
  }
  const times = {
    tokenKnownMs: durationMs('authentication.webhook.cacheTTL', webhook.cacheTTL, 0),
    allowedKnownMs: durationMs(
      'authorization.webhook.cacheAuthorizedTTL',
      caches.cacheAuthorizedTTL,
      0,
    ),
    deniedKnownMs: durationMs(
      'authorization.webhook.cacheUnauthorizedTTL',
      caches.cacheUnauthorizedTTL,
      0,
    ),
  };
  return {
    anonymous: anonymous?.enabled ?? false,
    tokens: webhook.enabled ?? true,
    authorizes: mode === 'Webhook',
    ...Object.fromEntries(Object.entries(times).filter(([, ms]) => ms !== 0)),
  };
}

/** For 0 requests upstream's library takes its own numbers; 0 events are any number. */
function ratesOf(fields: NodeServerFields): RequestRates {
  const flags = {
    kubeAPIQPS: '--kube-api-qps',
    kubeAPIBurst: '--kube-api-burst',
    eventRecordQPS: '--event-qps',
    eventBurst: '--event-burst',
  } as const;
  for (const [name, flag] of Object.entries(flags)) {
    // The keys are names of fields.
    const value = fields[name as keyof typeof flags] ?? 0;
    if (value < 0) throw invalid(`${name} (${flag}) ${value} must not be a negative number`);
  }
  const { kubeAPIQPS = 50, kubeAPIBurst, eventRecordQPS = 50, eventBurst } = fields;
  return {
    requests: { perSecond: kubeAPIQPS || 5, burst: kubeAPIBurst || 100 },
    events: { perSecond: eventRecordQPS, burst: eventBurst || 100 },
  };
}
