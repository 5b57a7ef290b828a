/**
 * Numbers and types of the protobuf fields of the API's types, as upstream publishes them.
 *
 * The file has one package a line; a package is parsed when one of its messages is first needed,
 * and the file is not even opened by a server that nobody speaks protobuf to. `scripts/generate.ts`
 * writes it; the server's reader of protobuf bodies uses it.
 */
import { readFileSync } from 'node:fs';

/** Field → number and type: `string`, `repeated Container`, `map<string,.k8s.io.….Quantity>`. */
export type ProtobufFields = Readonly<Record<string, readonly [number: number, type: string]>>;
export type ProtobufPackage = Readonly<Record<string, ProtobufFields>>;

export interface ProtobufFacts {
  /** Messages of `k8s.io.api.core.v1`, or undefined when there is no such package. */
  package(name: string): ProtobufPackage | undefined;
}

export function openProtobufFacts(): ProtobufFacts {
  const text = readFileSync(new URL('./openapi/protobuf-v1.36.json', import.meta.url), 'latin1');
  const lines = new Map<string, string>();
  for (const line of text.split('\n')) {
    const match = /^ {2}"([^"]+)": /.exec(line);
    if (match?.[1] !== undefined)
      lines.set(match[1], line.slice(match[0].length).replace(/,$/, ''));
  }
  const parsed = new Map<string, ProtobufPackage>();
  return {
    package(name) {
      const known = parsed.get(name);
      if (known !== undefined) return known;
      const line = lines.get(name);
      if (line === undefined) return undefined;
      // Our own generated file, checked by `npm run generate -- … --check`.
      const messages = JSON.parse(line) as ProtobufPackage;
      parsed.set(name, messages);
      return messages;
    },
  };
}
