/**
 * A key management service (KMS v2), by its plugin on a Unix socket.
 *
 * The plugin never sees an object. The server makes a seed, lets the plugin encrypt it, and keeps
 * it so beside every value; from the seed and random bytes of each value comes the key for that
 * value. So values are written without asking anybody, for as long as the plugin was well three
 * minutes ago; to read, a seed that is not known yet is given to the plugin once. The plugin is
 * looked at now and then: when it names another key there is a new seed, and what has the old one
 * is stale.
 *
 * Behaviour: kubernetes.io, Using a KMS provider for data encryption; bytes and words as upstream.
 */
import { createHash, createHmac } from 'node:crypto';
import { type Clock, formatTime } from '#kit/clock.ts';
import { messageOf } from '#kit/error-message.ts';
import { type GrpcChannel, GrpcError, type Method, openGrpcChannel } from '#kit/grpc.ts';
import type { Logger } from '#kit/log.ts';
import type { Random } from '#kit/random.ts';
import { type Decrypted, openCipher, type ValueCipher } from './ciphers.ts';
import {
  calls,
  decodeEncryptedObject,
  type EncryptedObject,
  encodeEncryptedObject,
  sourceTypes,
} from './kms-messages.ts';

export interface KmsSettings {
  readonly name: string;
  /** `unix:///path`. */
  readonly endpoint: string;
  readonly timeoutMs: number;
}

export interface KmsDeps {
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Logger;
}

export const limits = {
  /** For which a seed is written with after the plugin was last seen well. */
  seedMs: 180_000,
  keyIDBytesMax: 1024,
  sourceBytesMax: 1024,
  annotationsBytesMax: 32 * 1024,
} as const;

const infoBytes = 32;
const seedBytes = 32;

interface WriteState {
  readonly seed: Uint8Array;
  readonly object: Omit<EncryptedObject, 'encryptedData'>;
  /** By the monotonic clock, and as people are told. */
  readonly expiresMs: number;
  readonly expires: string;
}

export class KmsProvider implements ValueCipher, Disposable {
  readonly settings: KmsSettings;
  readonly #deps: KmsDeps;
  #channel: Promise<GrpcChannel> | undefined;
  #state: WriteState | undefined;
  #version: string | undefined;
  /** Plaintexts of sources, and why one could not be had. */
  readonly #sources = new Map<string, Uint8Array>();
  readonly #failures = new Map<string, string>();
  isHealthy = false;

  constructor(deps: KmsDeps, settings: KmsSettings) {
    this.#deps = deps;
    this.settings = settings;
  }

  /** Of the key that the plugin uses now; undefined until it was reached once. */
  get keyID(): string | undefined {
    return this.#state?.object.keyID;
  }

  /** Why nothing can be written at the moment. */
  refusal(): string | undefined {
    if (this.#state === undefined) return noState;
    const { clock } = this.#deps;
    if (clock.monotonic() <= this.#state.expiresMs) return undefined;
    const { object, expires } = this.#state;
    const now = formatTime(clock.now());
    return `encryptedDEKSource with keyID hash ${JSON.stringify(hashOf(object.keyID))} expired at ${expires} (current time is ${now})`;
  }

  encrypt(place: string, value: Uint8Array): Uint8Array {
    // Whoever writes asked for a refusal first; one that has come since does not hold up the write.
    if (this.#state === undefined) throw new Error(noState);
    const { seed, object } = this.#state;
    const info = Buffer.from(this.#deps.random.bytes(infoBytes));
    const encrypted = this.#cipher(keyFor(seed, info)).encrypt(place, value);
    const encryptedData = Buffer.concat([info, encrypted]);
    return encodeEncryptedObject({ ...object, encryptedData });
  }

  /** By what is known already; `prepare` comes first. */
  decrypt(place: string, stored: Uint8Array): Decrypted {
    const object = decodeObject(stored);
    if (typeof object === 'string') return { ok: false, why: object };
    if (this.#state === undefined) return { ok: false, why: noState };
    const source = this.#sources.get(sourceKey(object));
    if (source === undefined) {
      const why = this.#failures.get(sourceKey(object)) ?? 'it was not asked for';
      return { ok: false, why: `failed to decrypt DEK, error: ${why}` };
    }
    const read = this.#open(object, source, place);
    if (!read.ok) return read;
    const { keyID, encryptedDEKSourceType } = this.#state.object;
    const stale =
      object.keyID !== keyID || object.encryptedDEKSourceType !== encryptedDEKSourceType;
    return { ...read, stale };
  }

  /** Asks the plugin for what is needed to read these values and is not known. */
  async prepare(stored: readonly Uint8Array[], signal: AbortSignal): Promise<void> {
    // Not reached yet: nothing is read anyway, and each question would wait in vain.
    if (this.#state === undefined) return;
    const wanted = new Map<string, EncryptedObject>();
    for (const bytes of stored) {
      const object = decodeObject(bytes);
      if (typeof object === 'string') continue;
      const key = sourceKey(object);
      if (!this.#sources.has(key)) wanted.set(key, object);
    }
    for (const [key, { encryptedDEKSource, keyID, annotations }] of wanted) {
      const uid = this.#deps.random.uuid();
      try {
        const request = { ciphertext: encryptedDEKSource, uid, keyID, annotations };
        const { plaintext } = await this.#ask(calls.decrypt.client, request, signal);
        this.#sources.set(key, plaintext);
        this.#failures.delete(key);
      } catch (error) {
        signal.throwIfAborted();
        this.#failures.set(key, wordsOf(error));
      }
    }
  }

  /** Looks whether the plugin is well and which key it uses; with another one comes a new seed. */
  async check(signal: AbortSignal): Promise<void> {
    const { log } = this.#deps;
    const problem = await this.#problem(signal);
    const isNews = this.isHealthy !== (problem === undefined);
    this.isHealthy = problem === undefined;
    if (problem !== undefined) log.warn('kms plugin failed health check probe', { problem });
    else if (isNews) log.info('kms plugin is well', { name: this.settings.name });
  }

  [Symbol.dispose](): void {
    this.#channel?.then((channel) => channel[Symbol.dispose]()).catch(() => {});
  }

  async #problem(signal: AbortSignal): Promise<string | undefined> {
    const { name } = this.settings;
    const { clock } = this.#deps;
    const expiry = {
      expiresMs: clock.monotonic() + limits.seedMs,
      expires: formatTime(clock.now() + limits.seedMs),
    };
    try {
      const status = await this.#ask(calls.status.client, {}, signal);
      const problems = this.#problemsOf(status);
      const wrongID = keyIDProblem(status.keyID);
      if (wrongID === undefined) {
        const problem = await this.#rotate(status.keyID, expiry, signal);
        if (problem !== undefined) problems.push(problem);
      } else {
        const hash = JSON.stringify(hashOf(status.keyID));
        problems.push(`got invalid KMSv2 KeyID hash ${hash}: ${wrongID}`);
      }
      if (problems.length === 0) return undefined;
      const all = problems.length === 1 ? problems[0] : `[${problems.join(', ')}]`;
      return `kmsv2 Provider ${name} is not healthy, error: ${all}`;
    } catch (error) {
      signal.throwIfAborted();
      const check = 'failed to perform status section of the healthz check for KMS Provider';
      return `${check} ${name}, error: ${wordsOf(error)}`;
    }
  }

  #problemsOf(status: { readonly version: string; readonly healthz: string }): string[] {
    const { version, healthz } = status;
    const problems: string[] = [];
    if (healthz !== 'ok') problems.push(`got unexpected healthz status: ${healthz}`);
    if (version !== 'v2' && version !== 'v2beta1') {
      return [...problems, `expected KMSv2 API version v2, got ${version}`];
    }
    this.#version ??= version;
    if (this.#version === version) return problems;
    const change = 'KMSv2 API version should not change after the initial status response version';
    return [...problems, `${change} ${this.#version}, got ${version}`];
  }

  /** The same key: the seed holds on. Another: a new seed, if the plugin encrypts it with that. */
  async #rotate(
    keyID: string,
    expiry: Pick<WriteState, 'expiresMs' | 'expires'>,
    signal: AbortSignal,
  ): Promise<string | undefined> {
    if (this.#state?.object.keyID === keyID) {
      this.#state = { ...this.#state, ...expiry };
      return undefined;
    }
    const { random } = this.#deps;
    const seed = Buffer.from(random.bytes(seedBytes));
    const request = { plaintext: seed, uid: random.uuid() };
    let why: string | undefined;
    try {
      const made = await this.#ask(calls.encrypt.client, request, signal);
      const object = {
        keyID: made.keyID,
        encryptedDEKSource: made.ciphertext,
        annotations: made.annotations,
        encryptedDEKSourceType: sourceTypes.seed,
      };
      why = objectProblem({ ...object, encryptedData: new Uint8Array(1) });
      if (why === undefined && made.keyID === keyID) {
        this.#state = { seed, object, ...expiry };
        this.#sources.set(sourceKey(object), seed);
        return undefined;
      }
      why ??= `it was encrypted with keyID hash ${JSON.stringify(hashOf(made.keyID))}`;
    } catch (error) {
      signal.throwIfAborted();
      why = `failed to encrypt DEK, error: ${wordsOf(error)}`;
    }
    return `failed to rotate DEK, errGen=${why}, statusKeyIDHash=${JSON.stringify(hashOf(keyID))}`;
  }

  async #ask<Request, Response>(
    method: Method<Request, Response>,
    request: Request,
    signal: AbortSignal,
  ): Promise<Response> {
    this.#channel ??= openGrpcChannel(this.#deps, this.settings.endpoint);
    const channel = await this.#channel;
    return await channel.unary(method, request, { signal, timeoutMs: this.settings.timeoutMs });
  }

  #open(object: EncryptedObject, source: Uint8Array, place: string): Decrypted {
    const { encryptedData, encryptedDEKSourceType } = object;
    if (encryptedDEKSourceType === sourceTypes.key) {
      const { byteLength } = source;
      const isKey = byteLength === 16 || byteLength === 24 || byteLength === 32;
      if (!isKey) return { ok: false, why: `crypto/aes: invalid key size ${byteLength}` };
      return this.#cipher(source).decrypt(place, encryptedData);
    }
    if (encryptedData.byteLength < infoBytes) {
      return { ok: false, why: 'the stored data was shorter than the required size' };
    }
    if (source.byteLength < seedBytes) {
      return { ok: false, why: `invalid seed length ${source.byteLength} used for key generation` };
    }
    const key = keyFor(source, encryptedData.subarray(0, infoBytes));
    return this.#cipher(key).decrypt(place, encryptedData.subarray(infoBytes));
  }

  #cipher(secret: Uint8Array): ValueCipher {
    return openCipher(this.#deps, { kind: 'aesgcm', secret });
  }
}

const noState = 'got unexpected nil transformer';

/** HKDF's expansion by SHA-256, of which the first block is all that a key takes. */
function keyFor(seed: Uint8Array, info: Uint8Array): Uint8Array {
  return createHmac('sha256', seed)
    .update(info)
    .update(Buffer.from([1]))
    .digest();
}

function hashOf(keyID: string): string {
  return keyID === '' ? '' : `sha256:${createHash('sha256').update(keyID).digest('hex')}`;
}

/** Equal for values that one answer of the plugin opens. */
function sourceKey(object: Omit<EncryptedObject, 'encryptedData'>): string {
  const { encryptedDEKSourceType: type, encryptedDEKSource: source, keyID, annotations } = object;
  const hash = createHash('sha256');
  const parts = Object.entries(annotations).sort(([a], [b]) => (a < b ? -1 : 1));
  const texts = [String(type), keyID, Buffer.from(source).toString('hex')];
  for (const [name, value] of parts) texts.push(name, Buffer.from(value).toString('hex'));
  return hash.update(JSON.stringify(texts)).digest('hex');
}

/** Or what is wrong with it. */
function decodeObject(stored: Uint8Array): EncryptedObject | string {
  let object: EncryptedObject;
  try {
    object = decodeEncryptedObject(stored);
  } catch (error) {
    return error instanceof Error ? `proto: ${error.message}` : String(error);
  }
  return objectProblem(object) ?? object;
}

function objectProblem(object: EncryptedObject): string | undefined {
  const { encryptedDEKSourceType: type, encryptedData, encryptedDEKSource: source } = object;
  if (type !== sourceTypes.key && type !== sourceTypes.seed) {
    return `unknown encryptedDEKSourceType: ${type}`;
  }
  if (encryptedData.byteLength === 0) return 'encrypted data is empty';
  const { sourceBytesMax, annotationsBytesMax } = limits;
  const inSource = 'failed to validate encrypted DEK source: encrypted DEK source is';
  if (source.byteLength === 0) return `${inSource} empty`;
  if (source.byteLength > sourceBytesMax) {
    return `${inSource} ${source.byteLength} bytes, which exceeds the max size of ${sourceBytesMax}`;
  }
  const wrongID = keyIDProblem(object.keyID);
  if (wrongID !== undefined) return `failed to validate key id: ${wrongID}`;
  const inAnnotations = 'failed to validate annotations:';
  const entries = Object.entries(object.annotations);
  const wrong = entries.find(([name]) => !isDomainName(name));
  if (wrong !== undefined) {
    const rule = 'should be a domain with at least two segments separated by dots';
    return `${inAnnotations} annotations: Invalid value: ${JSON.stringify(wrong[0])}: ${rule}`;
  }
  const bytes = entries.reduce((sum, [name, value]) => sum + name.length + value.byteLength, 0);
  if (bytes <= annotationsBytesMax) return undefined;
  const size = `total size of annotations is ${bytes}`;
  return `${inAnnotations} ${size}, which exceeds the max size of ${annotationsBytesMax}`;
}

function keyIDProblem(keyID: string): string | undefined {
  if (keyID === '') return 'keyID is empty';
  const bytes = Buffer.byteLength(keyID);
  if (bytes <= limits.keyIDBytesMax) return undefined;
  return `keyID is ${bytes} bytes, which exceeds the max size of ${limits.keyIDBytesMax}`;
}

function isDomainName(name: string): boolean {
  return /^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)+$/.test(name);
}

/** As upstream's library prints the error of a call. */
function wordsOf(error: unknown): string {
  if (!(error instanceof GrpcError)) return messageOf(error);
  const words = error.code.toLowerCase().split('_');
  const code = words.map((word) => word.charAt(0).toUpperCase() + word.slice(1)).join('');
  return `rpc error: code = ${code} desc = ${error.message}`;
}
