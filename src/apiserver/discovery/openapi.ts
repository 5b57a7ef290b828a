/**
 * The published documents of the API: OpenAPI v3, one for each group version, and v2, one for all.
 *
 * Made from the catalog when first asked for, in slices of a few milliseconds, and then kept
 * compressed (a tenth of their size) until the catalog changes. Each is named by a hash of its
 * content: clients that have it already are told so with 304, and v3 with the hash in its address
 * may be kept for good.
 *
 * `openapi-answer.ts` asks. The writers, `openapi-v3.ts` and `openapi-v2.ts`, are loaded only then.
 */
import { createHash } from 'node:crypto';
import { promisify } from 'node:util';
import { gzip } from 'node:zlib';
import type { Catalog } from '#api/catalog.ts';
import { formatGroupVersion, type GroupVersion } from '#api/object.ts';
import type { Clock } from '#kit/clock.ts';
import { nextTurn, sliceMs } from '../output/list-body.ts';
import type { Discovery } from './discovery.ts';
import type { SchemaWriter } from './openapi-schemas.ts';

// Protobuf is asked for with an @, which media types must not have: Go's parser refuses it in an
// answer.
export const openApiV2Types = {
  protobuf: 'application/com.github.proto-openapi.spec.v2.v1.0+protobuf',
  json: 'application/json',
} as const;

export const openApiV3Types = {
  protobuf: 'application/com.github.proto-openapi.spec.v3.v1.0+protobuf',
  json: 'application/json',
} as const;

export type OpenApiForm = 'protobuf' | 'json';

export interface Published {
  readonly type: string;
  /** Hash of the content, in capital hexadecimal digits. */
  readonly hash: string;
  /** The document, compressed. */
  readonly packed: Uint8Array;
}

export interface OpenApiDeps {
  readonly catalog: Catalog;
  readonly discovery: Discovery;
  readonly clock: Pick<Clock, 'monotonic'>;
}

const pack = promisify<Uint8Array, { level: number }, Buffer>(gzip);
const packOptions = { level: 6 } as const;

export class OpenApi {
  readonly #deps: OpenApiDeps;
  readonly #version: string;
  #generation = -1;
  #documents = new Map<string, Promise<Published>>();

  constructor(deps: OpenApiDeps, { version }: { readonly version: string }) {
    this.#deps = deps;
    this.#version = version;
  }

  /** `/openapi/v3`. */
  async index(): Promise<object> {
    const paths: Record<string, object> = {};
    for (const { group, version } of this.#deps.discovery.groupVersions()) {
      const path = group === '' ? `api/${version}` : `apis/${group}/${version}`;
      const hash = (await this.group({ group, version }, 'json'))?.hash ?? '';
      paths[path] = { serverRelativeURL: `/openapi/v3/${path}?hash=${hash}` };
    }
    return { paths };
  }

  /** `/openapi/v3/api/v1`, `/openapi/v3/apis/G/V`; undefined where there is no such version. */
  async group(at: GroupVersion, form: OpenApiForm): Promise<Published | undefined> {
    const group = this.#deps.discovery.groupVersions().find((candidate) => {
      return candidate.group === at.group && candidate.version === at.version;
    });
    if (group === undefined) return undefined;
    const key = `v3 ${form} ${formatGroupVersion(group)}`;
    const document = await this.#document(key, openApiV3Types[form], async (facts) => {
      const { openApiV3 } = await import('./openapi-v3.ts');
      const writer = { ...facts, edition: 'v3' } as const;
      return openApiV3({ writer, group, version: this.#version, form });
    });
    // The index names the content by one hash, whatever the form.
    if (form === 'json') return document;
    const named = await this.group(at, 'json');
    return named && { ...document, hash: named.hash };
  }

  /** `/openapi/v2`. */
  v2(form: OpenApiForm): Promise<Published> {
    const groups = this.#deps.discovery.groupVersions();
    return this.#document(`v2 ${form}`, openApiV2Types[form], async (facts) => {
      const { openApiV2 } = await import('./openapi-v2.ts');
      const writer = { ...facts, edition: 'v2' } as const;
      return openApiV2({ writer, groups, version: this.#version, form });
    });
  }

  #document(key: string, type: string, write: Write): Promise<Published> {
    const { catalog } = this.#deps;
    if (this.#generation !== catalog.generation) {
      this.#documents = new Map();
      this.#generation = catalog.generation;
    }
    let document = this.#documents.get(key);
    if (document === undefined) {
      document = this.#publish(type, write);
      this.#documents.set(key, document);
    }
    return document;
  }

  /** The texts are read anew for every document and not kept: it is asked for seldom. */
  async #publish(type: string, write: Write): Promise<Published> {
    const { catalog, clock } = this.#deps;
    const { openExplanations } = await import('#resources/explanations.ts');
    const explanations = openExplanations();
    return await publish(clock, type, await write({ definitions: catalog, explanations }));
  }
}

type Write = (facts: Omit<SchemaWriter, 'edition'>) => Promise<Iterable<Uint8Array>>;

async function publish(
  clock: OpenApiDeps['clock'],
  type: string,
  pieces: Iterable<Uint8Array>,
): Promise<Published> {
  const parts: Uint8Array[] = [];
  let startedMs = clock.monotonic();
  for (const piece of pieces) {
    parts.push(piece);
    if (clock.monotonic() - startedMs < sliceMs) continue;
    await nextTurn();
    startedMs = clock.monotonic();
  }
  const whole = Buffer.concat(parts);
  const hash = createHash('sha512').update(whole).digest('hex').toUpperCase();
  return { type, hash, packed: await pack(whole, packOptions) };
}
