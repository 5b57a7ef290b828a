/**
 * Names that Go gives to versions, ciphers and curves of TLS, as Node takes them; what is unknown
 * is refused with upstream's words. As there, ciphers are chosen up to TLS 1.2 only: those of 1.3
 * are always on. Pure. Read by the settings of servers (`node-server-settings.ts`).
 */
import type { Serving } from '#kubelet';
import { ConfigError } from '../settings/config-error.ts';

export interface TlsNames {
  readonly tlsMinVersion?: string;
  readonly tlsCipherSuites?: readonly string[];
  readonly tlsCurvePreferences?: readonly number[];
}

type Tls = NonNullable<Serving['tls']>;

const versions = {
  VersionTLS10: 'TLSv1',
  VersionTLS11: 'TLSv1.1',
  VersionTLS12: 'TLSv1.2',
  VersionTLS13: 'TLSv1.3',
} as const;

const always = ['TLS_AES_128_GCM_SHA256', 'TLS_AES_256_GCM_SHA384', 'TLS_CHACHA20_POLY1305_SHA256'];

/** `TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA` is `ECDHE-RSA-AES128-SHA` here. */
const ciphers: Readonly<Record<string, string>> = Object.fromEntries(
  ['RSA', 'ECDHE_RSA', 'ECDHE_ECDSA'].flatMap((exchange) => {
    const prefix = exchange === 'RSA' ? '' : `${exchange.replace('_', '-')}-`;
    const names = [
      ['AES_128_CBC_SHA', 'AES128-SHA'],
      ['AES_256_CBC_SHA', 'AES256-SHA'],
      ['AES_128_CBC_SHA256', 'AES128-SHA256'],
      ['AES_128_GCM_SHA256', 'AES128-GCM-SHA256'],
      ['AES_256_GCM_SHA384', 'AES256-GCM-SHA384'],
      // The last two have two names each.
      ['CHACHA20_POLY1305', 'CHACHA20-POLY1305'],
      ['CHACHA20_POLY1305_SHA256', 'CHACHA20-POLY1305'],
    ] as const;
    return names
      .filter(([name]) => exchange !== 'RSA' || !name.startsWith('CHACHA20'))
      .map(([name, here]) => [`TLS_${exchange}_WITH_${name}`, prefix + here]);
  }),
);

const curves: Readonly<Record<number, string>> = {
  23: 'P-256',
  24: 'P-384',
  25: 'P-521',
  29: 'X25519',
  4588: 'X25519MLKEM768',
};

export function tlsSettings(names: TlsNames): Tls | undefined {
  const minVersion = versionOf(names.tlsMinVersion);
  const chosen = (names.tlsCipherSuites ?? []).map(cipherOf);
  const preferred = curvesOf(names.tlsCurvePreferences ?? []);
  const tls: Tls = {
    ...(minVersion === undefined ? {} : { minVersion }),
    ...(chosen.length === 0 ? {} : { ciphers: [...new Set([...always, ...chosen])].join(':') }),
    ...(preferred.length === 0 ? {} : { ecdhCurve: preferred.join(':') }),
  };
  return Object.keys(tls).length === 0 ? undefined : tls;
}

function versionOf(name = ''): Tls['minVersion'] {
  if (name === '') return undefined;
  for (const [known, version] of Object.entries(versions)) if (known === name) return version;
  throw new ConfigError(`unknown tls version "${name}"`);
}

function cipherOf(name: string): string {
  const cipher = always.includes(name) ? name : ciphers[name];
  if (cipher !== undefined) return cipher;
  throw new ConfigError(`Cipher suite ${name} not supported or doesn't exist`);
}

function curvesOf(ids: readonly number[]): readonly string[] {
  return ids.map((id, index) => {
    if (id <= 0 || id > 65_535) {
      throw new ConfigError(`curve preference ${id} is out of range (must be 1-65535)`);
    }
    if (ids.indexOf(id) !== index) throw new ConfigError(`duplicate curve preference ${id}`);
    const curve = curves[id];
    if (curve === undefined) throw new ConfigError(`curve preference ${id} is not supported`);
    return curve;
  });
}
