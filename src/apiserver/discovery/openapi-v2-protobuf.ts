/**
 * OpenAPI v2 in protobuf: the JSON of `openapi-v2.ts`, piece by piece, in the message format that
 * older clients read (openapiv2.Document of gnostic).
 *
 * Whatever has no field of its own (extensions, words of an enum) travels as YAML text, of which
 * JSON is a part.
 */
import type { Writer } from '#kit/protobuf-wire.ts';
import {
  block,
  entriesOf,
  extensions,
  flag,
  type Json,
  type JsonObject,
  listOf,
  message,
  named,
  objectOf,
  text,
  texts,
  yaml,
} from './openapi-messages.ts';

/** Field numbers of the document. */
const swagger = 1;
const info = 2;
const paths = 8;
const definitions = 9;

export function encodeHead(title: string, version: string): Uint8Array {
  return message((writer) => {
    text(writer, swagger, '2.0');
    block(writer, info, () => {
      text(writer, 1, title);
      text(writer, 2, version);
    });
  });
}

/** Blocks of one field may come in any number: readers put their entries together. */
export function encodePath(path: string, document: object): Uint8Array {
  return message((writer) => {
    block(writer, paths, () => {
      named(writer, 2, path, () => pathItem(writer, entriesOf(document)));
    });
  });
}

export function encodeDefinition(name: string, schema: object): Uint8Array {
  return message((writer) => {
    block(writer, definitions, () => {
      named(writer, 1, name, () => schemaMessage(writer, objectOf(schema)));
    });
  });
}

const methodNumbers: Readonly<Record<string, number>> = {
  get: 2,
  put: 3,
  post: 4,
  delete: 5,
  patch: 8,
};

function pathItem(writer: Writer, entries: readonly (readonly [string, Json])[]): void {
  for (const [name, value] of entries) {
    const number = methodNumbers[name];
    if (number !== undefined) block(writer, number, () => operation(writer, objectOf(value)));
    if (name === 'parameters') parameters(writer, 9, value);
  }
}

function operation(writer: Writer, facts: JsonObject): void {
  texts(writer, 1, facts['tags']);
  text(writer, 5, facts['operationId']);
  texts(writer, 6, facts['produces']);
  texts(writer, 7, facts['consumes']);
  parameters(writer, 8, facts['parameters']);
  block(writer, 9, () => {
    for (const [code, response] of entriesOf(facts['responses'])) {
      named(writer, 1, code, () => block(writer, 1, () => answer(writer, objectOf(response))));
    }
  });
  texts(writer, 10, facts['schemes']);
  extensions(writer, 13, facts);
}

function answer(writer: Writer, { description, schema }: JsonObject): void {
  text(writer, 1, description);
  if (schema === undefined) return;
  block(writer, 2, () => block(writer, 1, () => schemaMessage(writer, objectOf(schema))));
}

function parameters(writer: Writer, number: number, list: Json): void {
  for (const parameter of listOf(list)) {
    const facts = objectOf(parameter);
    block(writer, number, () => block(writer, 1, () => parameterMessage(writer, facts)));
  }
}

function parameterMessage(writer: Writer, facts: JsonObject): void {
  const { name, in: place, required, schema, type } = facts;
  if (place === 'body') {
    block(writer, 1, () => {
      text(writer, 2, name);
      text(writer, 3, place);
      flag(writer, 4, required);
      block(writer, 5, () => schemaMessage(writer, objectOf(schema)));
    });
    return;
  }
  const isPath = place === 'path';
  block(writer, 2, () => {
    block(writer, isPath ? 4 : 3, () => {
      flag(writer, 1, required);
      text(writer, 2, place);
      text(writer, 4, name);
      text(writer, isPath ? 5 : 6, type);
      flag(writer, isPath ? 19 : 20, facts['uniqueItems']);
    });
  });
}

function schemaMessage(writer: Writer, schema: JsonObject): void {
  text(writer, 1, schema['$ref']);
  text(writer, 2, schema['format']);
  text(writer, 4, schema['description']);
  texts(writer, 19, schema['required']);
  for (const word of listOf(schema['enum'])) block(writer, 20, () => text(writer, 2, yaml(word)));
  const { additionalProperties, items, properties, type } = schema;
  if (additionalProperties !== undefined) {
    const values = objectOf(additionalProperties);
    block(writer, 21, () => block(writer, 1, () => schemaMessage(writer, values)));
  }
  if (type !== undefined) block(writer, 22, () => text(writer, 1, type));
  if (items !== undefined) {
    block(writer, 23, () => block(writer, 1, () => schemaMessage(writer, objectOf(items))));
  }
  if (properties !== undefined) {
    block(writer, 25, () => {
      for (const [name, value] of entriesOf(properties)) {
        named(writer, 1, name, () => schemaMessage(writer, objectOf(value)));
      }
    });
  }
  extensions(writer, 31, schema);
}
