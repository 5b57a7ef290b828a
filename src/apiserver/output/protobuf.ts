/**
 * JSON → `application/vnd.kubernetes.protobuf`, along the published numbers of the fields.
 *
 * The first object of a kind compiles a plan for its message: which JSON field goes under which
 * number, and how it is written. What JSON spells simpler than protobuf (times, quantities, ports
 * that may be names) is spelled back; what JSON shows in its holder and Go keeps in an embedded
 * struct is taken from the holder. Fields that JSON does not have are left out, which means zero.
 *
 * Respond, lists and watches call this; `../protobuf-body.ts` is the other direction. The
 * encodings of stored objects are kept, so that many readers share one: within a limit, and for as
 * long as somebody holds the stored bytes (`encodings.ts`).
 */
import type { Served } from '#api/catalog.ts';
import { formatGroupVersion } from '#api/object.ts';
import type { Definitions } from '#api/schema.ts';
import { parseDuration } from '#kit/duration.ts';
import { Writer } from '#kit/protobuf-wire.ts';
import { openProtobufFacts, type ProtobufFacts } from '#resources/protobuf-facts.ts';
import { jsonNames, magic, metaPackage, packageOf } from '../protobuf-body.ts';
import { decodeStored, viewObject } from '../registry.ts';
import { Encodings } from './encodings.ts';
import { partialObject } from './table.ts';

export const protobufType = 'application/vnd.kubernetes.protobuf';

type JsonObject = Readonly<Record<string, unknown>>;
/** Writes a value under its number, tag included. */
type WriteField = (writer: Writer, value: unknown) => void;

interface Plan {
  readonly fields: readonly {
    /** Undefined: an embedded struct, whose fields are the holder's in JSON. */
    readonly key: string | undefined;
    readonly write: WriteField;
  }[];
}

export class ProtobufOutput {
  readonly #definitions: Definitions;
  readonly #plans = new Map<string, Plan | undefined>();
  readonly #encodings = new Encodings();
  #opened: ProtobufFacts | undefined;

  constructor(definitions: Definitions) {
    this.#definitions = definitions;
  }

  /** Whether objects of this kind have a form in protobuf; custom resources have none. */
  knows(apiVersion: string, kind: string): boolean {
    return this.#planOf(packageOf(apiVersion, kind), kind) !== undefined;
  }

  /** A whole answer: the envelope with the kind, and the message in it. Undefined as in `knows`. */
  object(value: JsonObject): Uint8Array | undefined {
    const { apiVersion, kind } = value;
    if (typeof apiVersion !== 'string' || typeof kind !== 'string') return undefined;
    const plan = this.#planOf(packageOf(apiVersion, kind), kind);
    if (plan === undefined) return undefined;
    return envelope(apiVersion, kind, this.#encode(plan, value));
  }

  /** The message of a stored object, without envelope. */
  message(served: Served, value: Uint8Array, revision: number): Uint8Array {
    const apiVersion = formatGroupVersion(served.view);
    const cached = this.#encodings.get(value);
    if (cached?.revision === revision && cached.view === apiVersion) return cached.bytes;
    const { kind } = served.resource;
    const object = viewObject(served, decodeStored(value, revision));
    const bytes = this.#encode(this.#plan(packageOf(apiVersion, kind), kind), object);
    this.#encodings.keep(value, { revision, view: apiVersion, bytes });
    return bytes;
  }

  /** The message of an object's metadata alone. */
  partialMessage(value: Uint8Array, revision: number): Uint8Array {
    const object = partialObject(decodeStored(value, revision));
    return this.#encode(this.#plan(metaPackage, 'PartialObjectMetadata'), object);
  }

  /** The message of the metadata of a list. */
  listMeta(metadata: object): Uint8Array {
    return this.#encode(this.#plan(metaPackage, 'ListMeta'), metadata);
  }

  #encode(plan: Plan, object: object): Uint8Array {
    const writer = new Writer();
    // Parse boundary: what has a plan is an object of named fields.
    writeMessage(plan, writer, object as JsonObject);
    return writer.finish();
  }

  #plan(packageName: string, name: string): Plan {
    const plan = this.#planOf(packageName, name);
    if (plan === undefined) throw new Error(`${packageName}.${name} has no form in protobuf`);
    return plan;
  }

  #planOf(packageName: string, name: string): Plan | undefined {
    const key = `${packageName}.${name}`;
    if (this.#plans.has(key)) return this.#plans.get(key);
    this.#opened ??= openProtobufFacts();
    const facts = this.#opened.package(packageName)?.[name];
    if (facts === undefined) {
      this.#plans.set(key, undefined);
      return undefined;
    }
    const fields: Plan['fields'][number][] = [];
    // Known before its fields are, because messages may hold their like.
    this.#plans.set(key, { fields });
    const jsonName = jsonNames(this.#definitions, packageName, name);
    const numbered = Object.entries(facts).sort(([, [a]], [, [b]]) => a - b);
    for (const [field, [number, type]] of numbered) {
      const found = jsonName(field);
      const isEmbedded = found === undefined && isMessage(type);
      if (found === undefined && !isEmbedded) continue;
      fields.push({ key: found, write: this.#field(number, type, packageName) });
    }
    return { fields };
  }

  #field(number: number, type: string, packageName: string): WriteField {
    if (type.startsWith('repeated ')) {
      const write = this.#single(number, type.slice('repeated '.length), packageName);
      return (writer, value) => {
        if (Array.isArray(value)) for (const item of value) write(writer, item);
      };
    }
    const values = /^map<string,(.*)>$/.exec(type)?.[1];
    if (values === undefined) return this.#single(number, type, packageName);
    const write = this.#single(2, values, packageName);
    return (writer, value) => {
      // Parse boundary: the schema says that this is a map.
      for (const [key, item] of Object.entries(value as JsonObject).sort(byKey)) {
        writer.tag(number, 2);
        writer.nested(() => {
          writer.tag(1, 2);
          writer.text(key);
          write(writer, item);
        });
      }
    };
  }

  #single(number: number, type: string, packageName: string): WriteField {
    const scalar = scalars[type];
    if (scalar !== undefined) {
      return (writer, value) => {
        writer.tag(number, scalar.wire);
        scalar.write(writer, value);
      };
    }
    const dot = type.lastIndexOf('.');
    const owner = dot < 0 ? packageName : type.slice(1, dot);
    const name = type.slice(dot + 1);
    const spelling = spellings[`${owner}.${name}`];
    // Looked up when it is first needed, so that only what occurs is compiled.
    let plan: Plan | undefined;
    return (writer, value) => {
      writer.tag(number, 2);
      writer.nested(() => {
        if (spelling !== undefined) {
          spelling(writer, value);
          return;
        }
        plan ??= this.#plan(owner, name);
        // A list that is a message of its own in protobuf, as the values of `extra`.
        const object = Array.isArray(value) ? { items: value } : value;
        // Parse boundary: the schema says that this is an object.
        writeMessage(plan, writer, (object ?? {}) as JsonObject);
      });
    };
  }
}

function writeMessage({ fields }: Plan, writer: Writer, object: JsonObject): void {
  for (const { key, write } of fields) {
    const value = key === undefined ? object : object[key];
    if (value !== undefined && value !== null) write(writer, value);
  }
}

function isMessage(type: string): boolean {
  return scalars[type] === undefined && !type.startsWith('repeated ') && !type.startsWith('map<');
}

function byKey([a]: readonly [string, unknown], [b]: readonly [string, unknown]): number {
  return a < b ? -1 : 1;
}

interface Scalar {
  readonly wire: number;
  write(writer: Writer, value: unknown): void;
}

const whole: Scalar = { wire: 0, write: (writer, value) => writer.whole(Number(value)) };

const scalars: Readonly<Record<string, Scalar>> = {
  string: { wire: 2, write: (writer, value) => writer.text(String(value)) },
  bool: { wire: 0, write: (writer, value) => writer.whole(value === true ? 1 : 0) },
  int32: whole,
  int64: whole,
  uint32: whole,
  uint64: whole,
  double: { wire: 1, write: (writer, value) => writer.double(Number(value)) },
  bytes: { wire: 2, write: (writer, value) => writer.bytes(fromBase64(value)) },
};

function fromBase64(value: unknown): Uint8Array {
  return Buffer.from(String(value ?? ''), 'base64');
}

/** Messages that JSON spells as something simpler: what is inside of them. */
const spellings: Readonly<Record<string, WriteField>> = {
  'k8s.io.apimachinery.pkg.api.resource.Quantity': (writer, value) => {
    writer.tag(1, 2);
    writer.text(String(value));
  },
  [`${metaPackage}.Time`]: (writer, value) => writeTime(writer, String(value), 0),
  [`${metaPackage}.MicroTime`]: (writer, value) => {
    const [, fraction = ''] = /\.(\d+)/.exec(String(value)) ?? [];
    writeTime(writer, String(value), Number(fraction.slice(0, 9).padEnd(9, '0')));
  },
  [`${metaPackage}.Duration`]: (writer, value) => {
    writer.tag(1, 0);
    writer.whole(Math.round((parseDuration(String(value)) ?? 0) * 1e6));
  },
  'k8s.io.apimachinery.pkg.util.intstr.IntOrString': (writer, value) => {
    const isText = typeof value === 'string';
    writer.tag(1, 0);
    writer.whole(isText ? 1 : 0);
    writer.tag(isText ? 3 : 2, isText ? 2 : 0);
    if (isText) writer.text(value);
    else writer.whole(Number(value));
  },
  'k8s.io.apimachinery.pkg.runtime.RawExtension': writeJson,
  [`${metaPackage}.FieldsV1`]: writeJson,
};

function writeJson(writer: Writer, value: unknown): void {
  writer.tag(1, 2);
  writer.text(JSON.stringify(value));
}

function writeTime(writer: Writer, text: string, nanos: number): void {
  const ms = Date.parse(text);
  if (Number.isNaN(ms)) return;
  writer.tag(1, 0);
  writer.whole(Math.floor(ms / 1000));
  writer.tag(2, 0);
  writer.whole(nanos);
}

/** What stands around the message of a whole answer: how it begins, and how it ends. */
export function envelopeEnds(
  apiVersion: string,
  kind: string,
  length: number,
): { readonly head: Uint8Array; readonly tail: Uint8Array } {
  const head = new Writer();
  head.tag(1, 2);
  head.nested(() => {
    head.tag(1, 2);
    head.text(apiVersion);
    head.tag(2, 2);
    head.text(kind);
  });
  head.tag(2, 2);
  head.whole(length);
  const tail = new Writer();
  // Neither a content encoding nor a content type: the message is protobuf, as it is.
  for (const number of [3, 4]) {
    tail.tag(number, 2);
    tail.whole(0);
  }
  return { head: Buffer.concat([magic, head.finish()]), tail: tail.finish() };
}

export function envelope(apiVersion: string, kind: string, message: Uint8Array): Uint8Array {
  const { head, tail } = envelopeEnds(apiVersion, kind, message.length);
  return Buffer.concat([head, message, tail]);
}
