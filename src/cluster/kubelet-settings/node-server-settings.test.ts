/** Flags and fields about the node's server and the kubelet's requests, with upstream's words. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { kubeletFlags } from './kubelet-flags.ts';
import { readKubeletConfig } from './kubelet-settings.ts';
import { nodeServerSettings } from './node-server-settings.ts';
import { tlsSettings } from './tls-settings.ts';

const read = (options: Record<string, string | true>) => readKubeletConfig(kubeletFlags(options));
const problemOf = (options: Record<string, string | true>): string => {
  try {
    read(options);
    return '';
  } catch (error) {
    return error instanceof Error ? error.message : '';
  }
};

test('without a word nobody unknown is let in, and requests are upstream’s', () => {
  const { serves, rates, runtimeRequestTimeoutMs } = read({}).server;
  assert.deepEqual(serves, {
    access: { anonymous: false, tokens: true, authorizes: true },
    debugging: true,
    systemLogs: true,
    logQueries: false,
    readOnlyPort: 0,
  });
  assert.deepEqual(rates, {
    requests: { perSecond: 50, burst: 100 },
    events: { perSecond: 50, burst: 100 },
  });
  assert.equal(runtimeRequestTimeoutMs, undefined);
});

test('flags are acted on', () => {
  const { server, unused, imageSocket } = read({
    ...{
      anonymousAuth: true,
      authenticationTokenWebhook: 'false',
      authorizationMode: 'AlwaysAllow',
    },
    ...{ authenticationTokenWebhookCacheTtl: '30s', authorizationWebhookCacheAuthorizedTtl: '1m' },
    ...{ authorizationWebhookCacheUnauthorizedTtl: '5s', readOnlyPort: '10255' },
    ...{ enableDebuggingHandlers: 'false', streamingConnectionIdleTimeout: '1h' },
    ...{ tlsMinVersion: 'VersionTLS13', kubeApiQps: '7', kubeApiBurst: '8' },
    ...{ eventQps: '0', eventBurst: '3', runtimeRequestTimeout: '15m' },
    ...{ imageServiceEndpoint: 'unix:///run/images.sock', protectKernelDefaults: true },
  });
  assert.deepEqual(server, {
    serves: {
      access: {
        ...{ anonymous: true, tokens: false, authorizes: false },
        ...{ tokenKnownMs: 30_000, allowedKnownMs: 60_000, deniedKnownMs: 5000 },
      },
      debugging: false,
      systemLogs: true,
      logQueries: false,
      tls: { minVersion: 'TLSv1.3' },
      streamIdleMs: 3_600_000,
      readOnlyPort: 10_255,
    },
    rates: { requests: { perSecond: 7, burst: 8 }, events: { perSecond: 0, burst: 3 } },
    runtimeRequestTimeoutMs: 900_000,
  });
  assert.equal(imageSocket, '/run/images.sock');
  assert.deepEqual(unused, []);
});

test('what cannot be is refused', () => {
  assert.equal(nodeServerSettings({ enableSystemLogQuery: true }).serves.logQueries, true);
  assert.throws(
    () => nodeServerSettings({ enableSystemLogQuery: true, enableSystemLogHandler: false }),
    {
      message: 'invalid configuration: enableSystemLogHandler is required for enableSystemLogQuery',
    },
  );
  const invalid = 'invalid configuration:';
  assert.equal(
    problemOf({ readOnlyPort: '70000' }),
    `${invalid} readOnlyPort (--read-only-port) 70000 must be between 0 and 65535, inclusive`,
  );
  assert.equal(
    problemOf({ eventQps: '-1' }),
    `${invalid} eventRecordQPS (--event-qps) -1 must not be a negative number`,
  );
  assert.equal(
    problemOf({ kubeApiBurst: '-2' }),
    `${invalid} kubeAPIBurst (--kube-api-burst) -2 must not be a negative number`,
  );
  assert.equal(problemOf({ authorizationMode: 'RBAC' }), 'unknown authorization mode RBAC');
  assert.equal(problemOf({ tlsMinVersion: 'TLS13' }), 'unknown tls version "TLS13"');
  assert.equal(
    problemOf({ runonce: true }),
    `${invalid} runOnce (--runOnce) true, Runonce mode has been deprecated and should not be set`,
  );
});

test('ciphers and curves by the names that Go gives them', () => {
  const tlsCipherSuites = [
    'TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256',
    'TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256',
    'TLS_RSA_WITH_AES_256_CBC_SHA',
    'TLS_AES_128_GCM_SHA256',
  ];
  const { ciphers, ecdhCurve } =
    tlsSettings({ tlsCipherSuites, tlsCurvePreferences: [29, 23] }) ?? {};
  assert.equal(
    ciphers,
    'TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256:' +
      'ECDHE-RSA-AES128-GCM-SHA256:ECDHE-ECDSA-CHACHA20-POLY1305:AES256-SHA',
  );
  assert.equal(ecdhCurve, 'X25519:P-256');
  assert.throws(
    () => tlsSettings({ tlsCipherSuites: ['TLS_NULL'] }),
    /^ConfigError: Cipher suite TLS_NULL not supported or doesn't exist$/,
  );
  assert.throws(() => tlsSettings({ tlsCurvePreferences: [23, 23] }), /duplicate curve preference/);
  assert.throws(() => tlsSettings({ tlsCurvePreferences: [0] }), /0 is out of range/);
  assert.throws(() => tlsSettings({ tlsCurvePreferences: [99] }), /preference 99 is not supported/);
});
