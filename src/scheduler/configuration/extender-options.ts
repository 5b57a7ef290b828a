/**
 * The `extenders` of a configuration or policy file: where they are, and what they are asked.
 * The policy file spells some fields in its own way and gives times in nanoseconds.
 */
import { type FieldError, invalid, required } from '#api/field-error.ts';
import { parseDuration } from '#kit/duration.ts';
import {
  checkShape,
  flag,
  integer,
  part,
  parts,
  type Shape,
  text,
  type Values,
} from './strict-reader.ts';

export interface ExtenderOptions {
  readonly urlPrefix: string;
  readonly filterVerb: string;
  readonly preemptVerb: string;
  readonly prioritizeVerb: string;
  readonly bindVerb: string;
  readonly weight: number;
  readonly timeoutMs: number;
  /** It knows the nodes: names are enough. */
  readonly nodeCacheCapable: boolean;
  /** Only pods that ask for one of these concern it; empty: all. */
  readonly managedResources: readonly string[];
  /** Of these, what the scheduler itself does not look at. */
  readonly ignoredResources: readonly string[];
  /** Its failure does not keep pods from being scheduled. */
  readonly ignorable: boolean;
  readonly tls: ExtenderTls;
}

export interface ExtenderTls {
  /** Whoever answers is believed. */
  readonly insecure: boolean;
  readonly serverName: string | undefined;
  readonly ca: Pem | undefined;
  readonly cert: Pem | undefined;
  readonly key: Pem | undefined;
}

export type Pem = { readonly text: string } | { readonly file: string };

const shape: Shape = {
  fields: {
    urlPrefix: 'string',
    filterVerb: 'string',
    preemptVerb: 'string',
    prioritizeVerb: 'string',
    weight: 'integer',
    bindVerb: 'string',
    enableHTTPS: 'boolean',
    // The policy file's spelling.
    enableHttps: 'boolean',
    tlsConfig: {
      fields: {
        insecure: 'boolean',
        serverName: 'string',
        certFile: 'string',
        keyFile: 'string',
        caFile: 'string',
        certData: 'string',
        keyData: 'string',
        caData: 'string',
      },
    },
    httpTimeout: 'any',
    nodeCacheCapable: 'boolean',
    managedResources: { list: { fields: { name: 'string', ignoredByScheduler: 'boolean' } } },
    ignorable: 'boolean',
  },
};

export function readExtenders(values: Values): {
  readonly extenders: readonly ExtenderOptions[];
  readonly errors: readonly FieldError[];
} {
  const errors: FieldError[] = [];
  let binders = 0;
  const extenders = parts(values, 'extenders').map((one, index) => {
    const path = `extenders[${index}]`;
    checkShape(one, shape, 'Extender');
    const extender = optionsOf(one);
    if (extender.urlPrefix === '') errors.push(required(`${path}.urlPrefix`));
    if (extender.prioritizeVerb !== '' && extender.weight <= 0) {
      const detail = 'must have a positive weight applied to it';
      errors.push(invalid(`${path}.weight`, extender.weight, detail));
    }
    if (extender.bindVerb !== '') binders += 1;
    return extender;
  });
  if (binders > 1) {
    errors.push(invalid('extenders', `found ${binders} extenders implementing bind`, 'only one'));
  }
  return { extenders, errors };
}

function optionsOf(values: Values): ExtenderOptions {
  const managed = parts(values, 'managedResources');
  return {
    urlPrefix: text(values, 'urlPrefix') ?? '',
    filterVerb: text(values, 'filterVerb') ?? '',
    preemptVerb: text(values, 'preemptVerb') ?? '',
    prioritizeVerb: text(values, 'prioritizeVerb') ?? '',
    bindVerb: text(values, 'bindVerb') ?? '',
    weight: integer(values, 'weight') ?? 0,
    timeoutMs: timeoutOf(values['httpTimeout']),
    nodeCacheCapable: flag(values, 'nodeCacheCapable') ?? false,
    managedResources: managed.map((one) => text(one, 'name') ?? ''),
    ignoredResources: managed
      .filter((one) => flag(one, 'ignoredByScheduler') === true)
      .map((one) => text(one, 'name') ?? ''),
    ignorable: flag(values, 'ignorable') ?? false,
    tls: tlsOf(values),
  };
}

/** As upstream: with `enableHTTPS` and no authority to believe, anybody is believed. */
function tlsOf(values: Values): ExtenderTls {
  const tls = part(values, 'tlsConfig');
  const pem = (name: string): Pem | undefined => {
    const [data, file] = [text(tls, `${name}Data`), text(tls, `${name}File`)];
    if (data) return { text: Buffer.from(data, 'base64').toString('utf8') };
    return file ? { file } : undefined;
  };
  const ca = pem('ca');
  const isEnabled = flag(values, 'enableHTTPS') ?? flag(values, 'enableHttps') ?? false;
  const insecure = (flag(tls, 'insecure') ?? false) || (isEnabled && ca === undefined);
  const serverName = text(tls, 'serverName');
  return { insecure, serverName, ca, cert: pem('cert'), key: pem('key') };
}

/** Text, or nanoseconds as the policy file had them; five seconds where nothing is said. */
function timeoutOf(value: Values[string]): number {
  if (typeof value === 'number') return value / 1e6 || 5_000;
  return (typeof value === 'string' ? parseDuration(value) : undefined) || 5_000;
}
