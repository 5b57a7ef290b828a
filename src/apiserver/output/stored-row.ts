/**
 * Rows of a Table from stored objects, for lists of many.
 *
 * The metadata of a row is the stored bytes themselves, and the cells are read from the object
 * without its managed fields, which no column shows and which are half of what there is to parse.
 * Where they begin and end is found by counting brackets. What was read is kept while the object
 * stays as it is, so that the next list reads it no more. `list-body.ts` calls it; kinds whose
 * columns or shape are not known beforehand take the long way.
 */
import type { Served } from '#api/catalog.ts';
import type { KubeObject } from '#api/object.ts';
import type { Cell, Column, Resource } from '#api/resource.ts';
import { assert } from '#kit/assert.ts';
import type { Entry } from '#store';
import { decodeEntry, type ItemWriter, metadataStart, textOf } from '../registry.ts';
import { type TableOptions, tableRow } from './table.ts';

/** Rows that are kept, of some 300 bytes each. */
const keptRowsMax = 50_000;

interface Row {
  /** Those that change with time are functions of it. */
  readonly cells: readonly (Cell | ((nowMs: number) => Cell))[];
  readonly metadataEnd: number;
}

/** What was read from objects for their rows; it goes with them. */
export class KeptRows {
  readonly #rowsMax: number;
  #rows = new WeakMap<Resource, WeakMap<Entry, Row>>();
  #count = 0;

  constructor({ rowsMax = keptRowsMax }: { readonly rowsMax?: number } = {}) {
    this.#rowsMax = rowsMax;
  }

  reader(resource: Resource): (entry: Entry) => Row {
    const { columns } = resource;
    const start = metadataStart(resource);
    const isKept = columns.every(({ at, cell }) => at !== undefined || cell.length < 2);
    if (!isKept) return (entry) => readRow(entry, start, columns);
    return (entry) => {
      const known = this.#rowsOf(resource).get(entry);
      if (known !== undefined) return known;
      const row = readRow(entry, start, columns);
      this.#keep(resource, entry, row);
      return row;
    };
  }

  #keep(resource: Resource, entry: Entry, row: Row): void {
    if (this.#count >= this.#rowsMax) {
      this.#rows = new WeakMap();
      this.#count = 0;
    }
    this.#rowsOf(resource).set(entry, row);
    this.#count += 1;
  }

  #rowsOf(resource: Resource): WeakMap<Entry, Row> {
    let rows = this.#rows.get(resource);
    if (rows === undefined) {
      rows = new WeakMap();
      this.#rows.set(resource, rows);
    }
    return rows;
  }
}

export function rowWriter(kept: KeptRows, served: Served, options: TableOptions): ItemWriter {
  const { resource, view } = served;
  const isPlain = view.fromHub === undefined && resource.itemsNameTheirKind !== true;
  if (!isPlain || options.includeObject === 'Object') {
    return (entry, pieces) => {
      pieces.push(Buffer.from(JSON.stringify(tableRow(served, decodeEntry(entry), options))));
    };
  }
  const start = metadataStart(resource);
  const read = kept.reader(resource);
  const { nowMs } = options;
  const withObject = options.includeObject === 'Metadata';
  return (entry, pieces) => {
    const { cells, metadataEnd } = read(entry);
    const shown = JSON.stringify(
      cells.map((cell) => (typeof cell === 'function' ? cell(nowMs) : cell)),
    );
    if (!withObject) {
      pieces.push(Buffer.from(`{"cells":${shown},"object":null}`));
      return;
    }
    const head =
      `{"cells":${shown},"object":{"kind":"PartialObjectMetadata",` +
      `"apiVersion":"meta.k8s.io/v1","metadata":{"resourceVersion":"${entry.revision}",`;
    pieces.push(Buffer.from(head), entry.value.subarray(start, metadataEnd), closing);
  };
}

function readRow(entry: Entry, start: number, columns: readonly Column[]): Row {
  const at = findMetadata(entry.value, start);
  const hub = decodeForCells(entry, start, at);
  const cells = columns.map((column) => {
    if (column.at !== undefined) return column.at(hub);
    if (column.cell.length < 2) return column.cell(hub, 0);
    return (nowMs: number) => column.cell(hub, nowMs);
  });
  return { cells, metadataEnd: at.end };
}

const closing = Buffer.from('}}');

interface MetadataPlace {
  /** Behind its closing bracket. */
  readonly end: number;
  /** Where the managed fields begin (their name) and end, both 0 where there are none. */
  readonly managedFrom: number;
  readonly managedTo: number;
}

function decodeForCells(
  { value, revision }: Entry,
  start: number,
  { managedFrom, managedTo }: MetadataPlace,
): KubeObject {
  // What comes before is left with a comma at its end; the revision, put behind it, needs that.
  const before = textOf(value.subarray(0, managedTo === 0 ? start : managedFrom));
  const after = textOf(value.subarray(managedTo === 0 ? start : managedTo));
  const comma = managedTo === 0 ? ',' : '';
  // Parse boundary: what is stored was validated when it was written.
  return JSON.parse(`${before}"resourceVersion":"${revision}"${comma}${after}`) as KubeObject;
}

const [quote, backslash, colon] = [0x22, 0x5c, 0x3a] as const;
const [openList, closeList, openMap, closeMap] = [0x5b, 0x5d, 0x7b, 0x7d] as const;
const managedFields = 'managedFields';

/** `start` is behind the opening bracket of the metadata. */
function findMetadata(bytes: Uint8Array, start: number): MetadataPlace {
  let [managedFrom, managedTo] = [0, 0];
  let depth = 1;
  let at = start;
  while (at < bytes.length) {
    const byte = bytes[at++];
    if (byte === quote) {
      const from = at;
      at = behindText(bytes, at);
      const isManaged =
        depth === 1 &&
        at - 1 - from === managedFields.length &&
        bytes[at] === colon &&
        bytes[at + 1] === openList &&
        textOf(bytes.subarray(from, at - 1)) === managedFields;
      if (isManaged) managedFrom = from - 1;
    } else if (byte === openMap || byte === openList) depth += 1;
    else if (byte === closeMap || byte === closeList) {
      depth -= 1;
      if (depth === 0) return { end: at, managedFrom, managedTo };
      if (depth === 1 && managedFrom > 0 && managedTo === 0) managedTo = at;
    }
  }
  assert(false, 'a stored object closes its metadata');
}

/** `at` is behind the opening quote of a text. */
function behindText(bytes: Uint8Array, at: number): number {
  let end = at;
  for (; bytes[end] !== quote; end++) {
    if (bytes[end] === backslash) end += 1;
    assert(end < bytes.length, 'a stored text is closed');
  }
  return end + 1;
}
