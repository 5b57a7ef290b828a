/**
 * The protobuf wire format, driven by tables instead of generated code.
 *
 * A table says for each message which field has which number and type, in the words of a .proto
 * file: `{ Pod: { id: [1, 'string'], ports: [2, 'repeated int32'], labels: [3,
 * 'map<string,string>'] } }`. A type that is none of the scalars names another message of the
 * table, or an enum (`'enum State'`: `{ READY: 0 }`), which is written and read by its names. The
 * table is also the type: `Message<T, N>` is what `decode` returns and `MessageInput<T, N>` what
 * `encode` takes, checked by the compiler.
 *
 * 64-bit integers become JavaScript numbers: exact up to 2^53, and beyond that (times in
 * nanoseconds) rounded to the nearest number, 256 ns off at most in this century.
 * Unknown fields are skipped. The gRPC calls of `#cri` use it first.
 */
import { assert, present } from './assert.ts';
import { Reader, Writer } from './protobuf-wire.ts';

type Field = readonly [number: number, type: string];
type Fields = Readonly<Record<string, Field>>;
type Enum = Readonly<Record<string, number>>;
export type MessageTable = Readonly<Record<string, Fields | Enum>>;

type Whole = 'int32' | 'int64' | 'uint32' | 'uint64' | 'sint32' | 'sint64';
type Fixed = 'fixed32' | 'fixed64' | 'double' | 'float';

type ValueOf<T, F> = F extends Whole | Fixed
  ? number
  : F extends 'string'
    ? string
    : F extends 'bool'
      ? boolean
      : F extends 'bytes'
        ? Uint8Array
        : F extends string
          ? `enum ${F}` extends keyof T
            ? keyof T[`enum ${F}`]
            : never
          : never;

type Decoded<T, F> = F extends `repeated ${infer Item}`
  ? readonly Decoded<T, Item>[]
  : F extends `map<string,${infer Item}>`
    ? Readonly<Record<string, Decoded<T, Item>>>
    : F extends keyof T
      ? Message<T, F>
      : ValueOf<T, F>;

type Input<T, F> = F extends `repeated ${infer Item}`
  ? readonly Input<T, Item>[]
  : F extends `map<string,${infer Item}>`
    ? Readonly<Record<string, Input<T, Item>>>
    : F extends keyof T
      ? MessageInput<T, F>
      : ValueOf<T, F>;

type TypeOf<F> = F extends readonly [number, infer Type] ? Type : never;

/** Names of a message's fields that hold one other message, and so may be absent. */
type Single<T, N extends keyof T> = {
  [K in keyof T[N]]: TypeOf<T[N][K]> extends keyof T ? K : never;
}[keyof T[N]];

/** A decoded message: scalars, lists and maps have their default when absent from the wire. */
export type Message<T, N extends keyof T> = {
  readonly [K in Exclude<keyof T[N], Single<T, N>>]: Decoded<T, TypeOf<T[N][K]>>;
} & {
  readonly [K in Single<T, N>]?: Decoded<T, TypeOf<T[N][K]>> | undefined;
};

export type MessageInput<T, N extends keyof T> = {
  readonly [K in keyof T[N]]?: Input<T, TypeOf<T[N][K]>> | undefined;
};

/** Deepest nesting read; a message that goes deeper is not from an honest peer. */
const depthMax = 100;

interface Kind {
  readonly shape: 'scalar' | 'enum' | 'message';
  readonly type: string;
}

interface Plan {
  readonly name: string;
  readonly number: number;
  readonly form: 'single' | 'repeated' | 'map';
  readonly kind: Kind;
}

interface MessagePlan {
  readonly fields: readonly Plan[];
  readonly byNumber: ReadonlyMap<number, Plan>;
}

export class ProtobufCodec<const T extends MessageTable> {
  readonly #table: T;
  readonly #plans = new Map<string, MessagePlan>();
  readonly #enumNames = new Map<string, ReadonlyMap<number, string>>();

  constructor(table: T) {
    this.#table = table;
  }

  encode<N extends keyof T & string>(name: N, message: MessageInput<T, N>): Uint8Array {
    const writer = new Writer();
    // The type says the same; the walk below looks fields up by name.
    this.#write(writer, name, message as Readonly<Record<string, unknown>>);
    return writer.finish();
  }

  decode<N extends keyof T & string>(name: N, bytes: Uint8Array): Message<T, N> {
    const reader = new Reader(bytes);
    // The table decides the shape, and `Message` is computed from the same table.
    return this.#read(reader, name, bytes.length, 0) as unknown as Message<T, N>;
  }

  #planOf(name: string): MessagePlan {
    const known = this.#plans.get(name);
    if (known !== undefined) return known;
    const table = present(this.#table[name], `there is no message ${name}`);
    const fields = Object.entries(table).map(([field, entry]): Plan => {
      assert(typeof entry !== 'number', `${name} is an enum`);
      const [number, type] = entry;
      const [form, inner] = formOf(type);
      return { name: field, number, form, kind: this.#kindOf(inner) };
    });
    const plan = { fields, byNumber: new Map(fields.map((field) => [field.number, field])) };
    this.#plans.set(name, plan);
    return plan;
  }

  #kindOf(type: string): Kind {
    if (`enum ${type}` in this.#table) return { shape: 'enum', type };
    return { shape: type in this.#table ? 'message' : 'scalar', type };
  }

  #enumValue(type: string, name: unknown): number {
    const values = this.#table[`enum ${type}`];
    const value = values?.[String(name)];
    assert(typeof value === 'number', `${String(name)} is not a value of enum ${type}`);
    return value;
  }

  #enumName(type: string, value: number): string {
    let names = this.#enumNames.get(type);
    if (names === undefined) {
      const entries = Object.entries(this.#table[`enum ${type}`] ?? {});
      names = new Map(entries.map(([name, number]) => [Number(number), name]));
      this.#enumNames.set(type, names);
    }
    return names.get(value) ?? String(value);
  }

  #write(writer: Writer, name: string, message: Readonly<Record<string, unknown>>): void {
    for (const plan of this.#planOf(name).fields) {
      const value = message[plan.name];
      if (value === undefined || value === null) continue;
      if (plan.form === 'single') this.#writeOne(writer, plan, value, 'sparse');
      else if (plan.form === 'repeated') this.#writeRepeated(writer, plan, value);
      else this.#writeMap(writer, plan, value);
    }
  }

  #writeRepeated(writer: Writer, plan: Plan, value: unknown): void {
    assert(Array.isArray(value), `${plan.name} is a list`);
    for (const item of value) this.#writeOne(writer, plan, item, 'always');
  }

  #writeMap(writer: Writer, plan: Plan, value: unknown): void {
    assert(typeof value === 'object' && value !== null, `${plan.name} is a map`);
    for (const [key, item] of Object.entries(value)) {
      writer.tag(plan.number, 2);
      writer.nested(() => {
        writer.tag(1, 2);
        writer.text(key);
        this.#writeOne(writer, { ...plan, number: 2 }, item, 'always');
      });
    }
  }

  #writeOne(writer: Writer, plan: Plan, value: unknown, zero: 'sparse' | 'always'): void {
    const { shape, type } = plan.kind;
    if (shape === 'message') {
      writer.tag(plan.number, 2);
      // Checked by the caller's type; see encode.
      writer.nested(() => this.#write(writer, type, value as Readonly<Record<string, unknown>>));
      return;
    }
    const plain = shape === 'enum' ? this.#enumValue(type, value) : value;
    if (zero === 'sparse' && isZero(plain)) return;
    writeScalar(writer, plan.number, shape === 'enum' ? 'int32' : type, plain);
  }

  #read(reader: Reader, name: string, end: number, depth: number): Record<string, unknown> {
    assert(depth < depthMax, `${name} is nested too deeply`);
    const plan = this.#planOf(name);
    const message: Record<string, unknown> = {};
    for (const field of plan.fields) {
      if (field.form === 'repeated') message[field.name] = [];
      else if (field.form === 'map') message[field.name] = {};
      else if (field.kind.shape !== 'message') message[field.name] = this.#zero(field.kind);
    }
    while (reader.offset < end) {
      const tag = reader.whole();
      const field = plan.byNumber.get(Math.floor(tag / 8));
      if (field === undefined) reader.skip(tag & 7);
      else this.#readField(reader, field, tag & 7, message, depth);
    }
    return message;
  }

  #zero(kind: Kind): unknown {
    if (kind.shape === 'enum') return this.#enumName(kind.type, 0);
    if (kind.type === 'string') return '';
    if (kind.type === 'bool') return false;
    return kind.type === 'bytes' ? new Uint8Array(0) : 0;
  }

  #readField(
    reader: Reader,
    field: Plan,
    wire: number,
    message: Record<string, unknown>,
    depth: number,
  ): void {
    if (field.form === 'map') {
      this.#readEntry(reader, field, message, depth);
      return;
    }
    const list = message[field.name];
    if (!Array.isArray(list)) {
      message[field.name] = this.#readOne(reader, field.kind, depth);
    } else if (wire === 2 && isPackable(field.kind)) {
      const end = reader.block();
      while (reader.offset < end) list.push(this.#readOne(reader, field.kind, depth));
    } else {
      list.push(this.#readOne(reader, field.kind, depth));
    }
  }

  #readEntry(reader: Reader, field: Plan, message: Record<string, unknown>, depth: number): void {
    const end = reader.block();
    let key = '';
    let value = field.kind.shape === 'message' ? {} : this.#zero(field.kind);
    while (reader.offset < end) {
      const tag = reader.whole();
      const number = Math.floor(tag / 8);
      if (number === 1) key = reader.text();
      else if (number === 2) value = this.#readOne(reader, field.kind, depth);
      else reader.skip(tag & 7);
    }
    const map = message[field.name];
    assert(typeof map === 'object' && map !== null, `${field.name} is a map`);
    Object.defineProperty(map, key, {
      value,
      enumerable: true,
      configurable: true,
      writable: true,
    });
  }

  #readOne(reader: Reader, kind: Kind, depth: number): unknown {
    if (kind.shape === 'enum') return this.#enumName(kind.type, reader.whole());
    if (kind.shape === 'scalar') return readScalar(reader, kind.type);
    return this.#read(reader, kind.type, reader.block(), depth + 1);
  }
}

function formOf(type: string): readonly [Plan['form'], string] {
  if (type.startsWith('repeated ')) return ['repeated', type.slice('repeated '.length)];
  const map = /^map<string,(.+)>$/.exec(type);
  return map?.[1] === undefined ? ['single', type] : ['map', map[1]];
}

function isZero(value: unknown): boolean {
  return (
    value === 0 ||
    value === '' ||
    value === false ||
    (value instanceof Uint8Array && value.length === 0)
  );
}

function isPackable(kind: Kind): boolean {
  return (
    kind.shape === 'enum' ||
    (kind.shape === 'scalar' && kind.type !== 'string' && kind.type !== 'bytes')
  );
}

function writeScalar(writer: Writer, number: number, type: string, value: unknown): void {
  if (type === 'string' || type === 'bytes') {
    writer.tag(number, 2);
    if (value instanceof Uint8Array) writer.bytes(value);
    else writer.text(String(value));
    return;
  }
  if (type === 'double' || type === 'fixed64') {
    writer.tag(number, 1);
    if (type === 'double') writer.double(Number(value));
    else writer.fixed64(BigInt(Number(value)));
    return;
  }
  if (type === 'float' || type === 'fixed32') {
    writer.tag(number, 5);
    if (type === 'float') writer.float(Number(value));
    else writer.fixed32(Number(value));
    return;
  }
  const whole = Number(value);
  assert(Number.isInteger(whole), `field ${number} of type ${type} takes a whole number`);
  writer.tag(number, 0);
  writer.whole(type.startsWith('sint') ? zigzag(whole) : whole);
}

function zigzag(value: number): number {
  return value < 0 ? -value * 2 - 1 : value * 2;
}

function readScalar(reader: Reader, type: string): unknown {
  switch (type) {
    case 'string':
      return reader.text();
    case 'bytes':
      return reader.bytes();
    case 'bool':
      return reader.whole() !== 0;
    case 'double':
      return reader.double();
    case 'float':
      return reader.float();
    case 'fixed32':
      return reader.fixed32();
    case 'fixed64':
      return Number(reader.fixed64());
    case 'uint32':
    case 'uint64':
      return reader.whole('unsigned');
    case 'sint32':
    case 'sint64': {
      const value = reader.whole('unsigned');
      return value % 2 === 1 ? -(value + 1) / 2 : value / 2;
    }
    default:
      assert(type === 'int32' || type === 'int64', `${type} is not a scalar`);
      return reader.whole();
  }
}
