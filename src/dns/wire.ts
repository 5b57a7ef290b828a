/**
 * DNS messages as bytes: reading a query or an answer, writing an answer. Pure.
 *
 * Names are compared in lower case but a question is repeated as it came, since clients check its
 * spelling. Written names share their ends by pointers (RFC 1035, 4.1.4). Whatever does not parse
 * makes `undefined`, never an exception: these bytes come from anybody.
 */
export const types = {
  A: 1,
  NS: 2,
  CNAME: 5,
  SOA: 6,
  PTR: 12,
  TXT: 16,
  AAAA: 28,
  SRV: 33,
  OPT: 41,
  ANY: 255,
} as const;

export const codes = {
  ok: 0,
  formatError: 1,
  failure: 2,
  noName: 3,
  notKnown: 4,
  refused: 5,
} as const;

export interface Question {
  /** In lower case, without the closing dot. */
  readonly name: string;
  readonly type: number;
  readonly class: number;
}

export interface Query {
  readonly id: number;
  readonly question: Question;
  readonly recursionDesired: boolean;
  readonly opcode: number;
  /** The largest UDP answer that the client takes; undefined without EDNS. */
  readonly udpBytesMax: number | undefined;
  /** The question section as it came. */
  readonly questionBytes: Uint8Array;
}

export type RecordData =
  | { readonly type: 'A'; readonly address: string }
  | { readonly type: 'AAAA'; readonly bytes: Uint8Array }
  | { readonly type: 'CNAME' | 'PTR' | 'NS'; readonly target: string }
  | { readonly type: 'TXT'; readonly text: string }
  | {
      readonly type: 'SRV';
      readonly priority: number;
      readonly weight: number;
      readonly port: number;
      readonly target: string;
    }
  | {
      readonly type: 'SOA';
      readonly server: string;
      readonly mailbox: string;
      readonly serial: number;
      readonly negativeTtl: number;
    };

export type Record = RecordData & { readonly name: string; readonly ttl: number };

export interface Answer {
  readonly code: number;
  readonly authoritative: boolean;
  readonly answers: readonly Record[];
  readonly authority?: readonly Record[];
  readonly additional?: readonly Record[];
  /** Says that there is more than what follows. */
  readonly truncated?: boolean;
}

const headerBytes = 12;
const nameBytesMax = 255;
const ourUdpBytesMax = 1232;

export function parseQuery(message: Uint8Array): Query | undefined {
  if (message.length < headerBytes) return undefined;
  const view = viewOf(message);
  const flags = view.getUint16(2);
  // An answer, or not exactly one question: nothing to answer.
  if ((flags & 0x8000) !== 0 || view.getUint16(4) !== 1) return undefined;
  const name = readName(message, headerBytes);
  if (name === undefined || name.next + 4 > message.length) return undefined;
  const end = name.next + 4;
  return {
    id: view.getUint16(0),
    opcode: (flags >> 11) & 15,
    recursionDesired: (flags & 0x0100) !== 0,
    question: {
      name: name.text,
      type: view.getUint16(name.next),
      class: view.getUint16(name.next + 2),
    },
    questionBytes: message.subarray(headerBytes, end),
    udpBytesMax: readOption(message, end),
  };
}

/** EDNS: the OPT record's class is the size of answers that the client takes. */
function readOption(message: Uint8Array, start: number): number | undefined {
  const view = viewOf(message);
  const count = view.getUint16(6) + view.getUint16(8) + view.getUint16(10);
  let at = start;
  for (let i = 0; i < count; i++) {
    const name = readName(message, at);
    if (name === undefined || name.next + 10 > message.length) return undefined;
    if (view.getUint16(name.next) === types.OPT) {
      return Math.max(512, Math.min(view.getUint16(name.next + 2), ourUdpBytesMax));
    }
    at = name.next + 10 + view.getUint16(name.next + 8);
  }
  return undefined;
}

export interface RawRecord {
  readonly name: string;
  readonly type: number;
  readonly ttl: number;
  /** Where in the message the four bytes of its time to live are. */
  readonly ttlOffset: number;
  readonly dataOffset: number;
  readonly dataLength: number;
}

/** What is needed of an answer of another server. */
export interface ForeignAnswer {
  readonly id: number;
  readonly code: number;
  readonly truncated: boolean;
  readonly question: Question;
  readonly answers: readonly RawRecord[];
  /** Of all sections, without OPT. */
  readonly records: readonly RawRecord[];
  /** Where the OPT record starts, when it is the last one. */
  readonly optionOffset: number | undefined;
}

export function parseAnswer(message: Uint8Array): ForeignAnswer | undefined {
  if (message.length < headerBytes) return undefined;
  const view = viewOf(message);
  const flags = view.getUint16(2);
  if ((flags & 0x8000) === 0 || view.getUint16(4) !== 1) return undefined;
  const name = readName(message, headerBytes);
  if (name === undefined || name.next + 4 > message.length) return undefined;
  const answerCount = view.getUint16(6);
  const count = answerCount + view.getUint16(8) + view.getUint16(10);
  const records: RawRecord[] = [];
  const answers: RawRecord[] = [];
  let at = name.next + 4;
  let optionOffset: number | undefined;
  for (let i = 0; i < count; i++) {
    const record = readRecord(message, at);
    if (record === undefined) return undefined;
    optionOffset = record.type === types.OPT ? at : undefined;
    if (i < answerCount) answers.push(record);
    if (record.type !== types.OPT) records.push(record);
    at = record.dataOffset + record.dataLength;
  }
  return {
    id: view.getUint16(0),
    code: flags & 15,
    truncated: (flags & 0x0200) !== 0,
    question: {
      name: name.text,
      type: view.getUint16(name.next),
      class: view.getUint16(name.next + 2),
    },
    answers,
    records,
    optionOffset,
  };
}

/** The answer for a client that does not know EDNS. */
export function withoutOption(message: Buffer): Buffer {
  const offset = parseAnswer(message)?.optionOffset;
  if (offset === undefined) return message;
  const copy = Buffer.from(message.subarray(0, offset));
  copy.writeUInt16BE(copy.readUInt16BE(10) - 1, 10);
  return copy;
}

function readRecord(message: Uint8Array, at: number): RawRecord | undefined {
  const name = readName(message, at);
  if (name === undefined || name.next + 10 > message.length) return undefined;
  const view = viewOf(message);
  const dataLength = view.getUint16(name.next + 8);
  const dataOffset = name.next + 10;
  if (dataOffset + dataLength > message.length) return undefined;
  return {
    name: name.text,
    type: view.getUint16(name.next),
    ttl: view.getUint32(name.next + 4),
    ttlOffset: name.next + 4,
    dataOffset,
    dataLength,
  };
}

/** Addresses and aliases of an answer, to be told on; other types are left out. */
export function addressRecords(message: Uint8Array, raw: readonly RawRecord[]): readonly Record[] {
  return raw.flatMap((record): readonly Record[] => {
    const { name, ttl, type, dataOffset, dataLength } = record;
    const data = message.subarray(dataOffset, dataOffset + dataLength);
    if (type === types.A && dataLength === 4) {
      return [{ name, ttl, type: 'A', address: data.join('.') }];
    }
    if (type === types.AAAA && dataLength === 16) return [{ name, ttl, type: 'AAAA', bytes: data }];
    const target = type === types.CNAME ? readName(message, dataOffset) : undefined;
    return target === undefined ? [] : [{ name, ttl, type: 'CNAME', target: target.text }];
  });
}

function readName(
  message: Uint8Array,
  start: number,
): { readonly text: string; readonly next: number } | undefined {
  const labels: string[] = [];
  let at = start;
  let next: number | undefined;
  let bytes = 0;
  for (;;) {
    const length = message[at];
    if (length === undefined) return undefined;
    if (length === 0) break;
    if (length >= 0xc0) {
      const low = message[at + 1];
      const target = ((length & 0x3f) << 8) | (low ?? 0);
      // Pointers only go back, so that they cannot form a ring.
      if (low === undefined || target >= at) return undefined;
      next ??= at + 2;
      at = target;
      bytes += 1;
    } else {
      if (length > 63 || at + 1 + length > message.length) return undefined;
      const label = message.subarray(at + 1, at + 1 + length);
      labels.push(Buffer.from(label).toString('latin1').toLowerCase());
      at += 1 + length;
      bytes += 1 + length;
    }
    if (bytes > nameBytesMax) return undefined;
  }
  return { text: labels.join('.'), next: next ?? at + 1 };
}

/** The whole answer; where it is longer than the limit, only its head with the TC bit. */
export function formatAnswer(
  query: Query,
  answer: Answer,
  options: { readonly bytesMax: number },
): Buffer {
  const whole = writeAnswer(query, answer, answer.truncated ?? false);
  if (whole.length <= options.bytesMax) return whole;
  return writeAnswer(query, { ...answer, answers: [], authority: [], additional: [] }, true);
}

/** How long a UDP answer to this query may be. */
export function udpLimit(query: Query): number {
  return query.udpBytesMax ?? 512;
}

function writeAnswer(query: Query, answer: Answer, truncated: boolean): Buffer {
  const { answers, authority = [], additional = [] } = answer;
  const writer = new Writer();
  let flags = 0x8000 | (query.opcode << 11) | answer.code | 0x0080;
  if (query.recursionDesired) flags |= 0x0100;
  if (answer.authoritative) flags |= 0x0400;
  if (truncated) flags |= 0x0200;
  const hasOption = query.udpBytesMax !== undefined;
  writer.uint16(query.id);
  writer.uint16(flags);
  writer.uint16(1);
  writer.uint16(answers.length);
  writer.uint16(authority.length);
  writer.uint16(additional.length + (hasOption ? 1 : 0));
  writer.bytes(query.questionBytes);
  writer.remember(query.question.name, headerBytes);
  for (const record of [...answers, ...authority, ...additional]) writer.record(record);
  if (hasOption) writer.option(ourUdpBytesMax);
  return writer.finish();
}

/** A question to ask another server; asks for recursion and takes large answers. */
export function formatQuestion(id: number, question: Question): Buffer {
  const writer = new Writer();
  for (const field of [id, 0x0100, 1, 0, 0, 1]) writer.uint16(field);
  writer.name(question.name);
  writer.uint16(question.type);
  writer.uint16(question.class);
  writer.option(ourUdpBytesMax);
  return writer.finish();
}

class Writer {
  #buffer = Buffer.alloc(512);
  #length = 0;
  readonly #offsets = new Map<string, number>();

  finish(): Buffer {
    return this.#buffer.subarray(0, this.#length);
  }

  /** Ends of this name, already written at `offset`, can be pointed to. */
  remember(name: string, offset: number): void {
    const labels = name === '' ? [] : name.split('.');
    let at = offset;
    for (const [index, label] of labels.entries()) {
      this.#offsets.set(labels.slice(index).join('.'), at);
      at += label.length + 1;
    }
  }

  record(record: Record): void {
    this.name(record.name);
    this.uint16(types[record.type]);
    this.uint16(1);
    this.#uint32(record.ttl);
    const start = this.#length;
    this.uint16(0);
    this.#data(record);
    this.#buffer.writeUInt16BE(this.#length - start - 2, start);
  }

  option(udpBytesMax: number): void {
    this.bytes(Uint8Array.of(0));
    this.uint16(types.OPT);
    this.uint16(udpBytesMax);
    this.#uint32(0);
    this.uint16(0);
  }

  name(name: string): void {
    let rest = name;
    while (rest !== '') {
      const known = this.#offsets.get(rest);
      if (known !== undefined) {
        this.uint16(0xc000 | known);
        return;
      }
      if (this.#length < 0x3fff) this.#offsets.set(rest, this.#length);
      const dot = rest.indexOf('.');
      const label = Buffer.from(dot < 0 ? rest : rest.slice(0, dot), 'latin1');
      this.bytes(Uint8Array.of(label.length));
      this.bytes(label);
      rest = dot < 0 ? '' : rest.slice(dot + 1);
    }
    this.bytes(Uint8Array.of(0));
  }

  uint16(value: number): void {
    this.#reserve(2);
    this.#length = this.#buffer.writeUInt16BE(value, this.#length);
  }

  bytes(bytes: Uint8Array): void {
    this.#reserve(bytes.length);
    this.#buffer.set(bytes, this.#length);
    this.#length += bytes.length;
  }

  #data(record: RecordData): void {
    switch (record.type) {
      case 'A':
        this.bytes(Uint8Array.from(record.address.split('.').map(Number)));
        return;
      case 'AAAA':
        this.bytes(record.bytes);
        return;
      case 'TXT':
        this.bytes(Uint8Array.of(record.text.length));
        this.bytes(Buffer.from(record.text, 'latin1'));
        return;
      case 'SRV':
        for (const field of [record.priority, record.weight, record.port]) this.uint16(field);
        // Never shortened in SRV records (RFC 2782): their readers are of many kinds.
        this.#plainName(record.target);
        return;
      case 'SOA':
        this.name(record.server);
        this.name(record.mailbox);
        for (const field of [record.serial, 7200, 1800, 86_400, record.negativeTtl]) {
          this.#uint32(field);
        }
        return;
      case 'CNAME':
      case 'PTR':
      case 'NS':
        this.name(record.target);
        return;
      default:
        record satisfies never;
    }
  }

  #plainName(name: string): void {
    for (const label of name.split('.')) {
      this.bytes(Uint8Array.of(label.length));
      this.bytes(Buffer.from(label, 'latin1'));
    }
    this.bytes(Uint8Array.of(0));
  }

  #uint32(value: number): void {
    this.#reserve(4);
    this.#length = this.#buffer.writeUInt32BE(value >>> 0, this.#length);
  }

  #reserve(bytes: number): void {
    if (this.#length + bytes <= this.#buffer.length) return;
    const larger = Buffer.alloc(Math.max(this.#buffer.length * 2, this.#length + bytes));
    larger.set(this.#buffer);
    this.#buffer = larger;
  }
}

function viewOf(message: Uint8Array): DataView {
  return new DataView(message.buffer, message.byteOffset, message.length);
}
