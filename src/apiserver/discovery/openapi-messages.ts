/**
 * What the messages of both editions of OpenAPI are made of, when they are written from the JSON
 * documents: texts, flags, blocks, entries of maps. Whatever has no field of its own travels as
 * YAML text, of which JSON is a part.
 *
 * `openapi-v2-protobuf.ts` and `openapi-v3-protobuf.ts` know the fields.
 */
import { Writer } from '#kit/protobuf-wire.ts';

/** A value out of the JSON document. */
export type Json = unknown;
export type JsonObject = Readonly<Record<string, Json>>;

export function extensions(writer: Writer, number: number, facts: JsonObject): void {
  for (const [name, value] of Object.entries(facts)) {
    if (name.startsWith('x-')) named(writer, number, name, () => text(writer, 2, yaml(value)));
  }
}

export function yaml(value: Json): string {
  return `${JSON.stringify(value)}\n`;
}

/** An entry of a map: its name, and a message for its value. */
export function named(writer: Writer, number: number, name: string, value: () => void): void {
  block(writer, number, () => {
    text(writer, 1, name);
    block(writer, 2, value);
  });
}

export function block(writer: Writer, number: number, body: () => void): void {
  writer.tag(number, 2);
  writer.nested(body);
}

export function text(writer: Writer, number: number, value: Json): void {
  if (typeof value !== 'string') return;
  writer.tag(number, 2);
  writer.text(value);
}

export function texts(writer: Writer, number: number, list: Json): void {
  for (const one of listOf(list)) text(writer, number, one);
}

export function flag(writer: Writer, number: number, value: Json): void {
  if (value !== true) return;
  writer.tag(number, 0);
  writer.whole(1);
}

export function message(body: (writer: Writer) => void): Uint8Array {
  const writer = new Writer(1024);
  body(writer);
  return writer.finish();
}

export function objectOf(value: Json): JsonObject {
  // Parse boundary: our own document, where these places hold objects.
  return (value ?? {}) as JsonObject;
}

export function entriesOf(value: Json): readonly (readonly [string, Json])[] {
  return Object.entries(objectOf(value));
}

export function listOf(value: Json): readonly Json[] {
  return Array.isArray(value) ? value : [];
}
