/**
 * Turns the published facts of the Kubernetes API into the dull files nobody should write by hand:
 * `src/resources/openapi/v1.36.json` (every definition, as the compact `Schema` of
 * `src/api/schema.ts`), `src/resources/types/<group>-<version>.ts` (the same as TypeScript) and
 * `src/resources/openapi/protobuf-v1.36.json` (numbers and types of protobuf fields, a package a
 * line).
 *
 * Run with `npm run generate -- FOLDER`, where FOLDER holds `openapi-definitions-v1.36.json` and
 * `protobuf-fields-v1.36.json`. `npm run generate -- kinds` writes what servers know of each kind
 * before they load its descriptor (`src/resources/openapi/kinds.json`).
 * `--check` writes nothing and fails when the files differ. Behaviour is never generated.
 */
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { formatKindFacts } from '#resources/kind-facts.ts';
import { loadDescriptors } from '#resources/resources.ts';

interface Definition {
  readonly type?: string;
  readonly format?: string;
  readonly $ref?: string;
  readonly properties?: Readonly<Record<string, Definition>>;
  readonly additionalProperties?: Definition;
  readonly items?: Definition;
  readonly required?: readonly string[];
  readonly enum?: readonly string[];
  readonly 'x-kubernetes-list-type'?: string;
  readonly 'x-kubernetes-list-map-keys'?: readonly string[];
  readonly 'x-kubernetes-map-type'?: string;
  readonly 'x-kubernetes-patch-merge-key'?: string;
  readonly 'x-kubernetes-patch-strategy'?: string;
  readonly 'x-kubernetes-group-version-kind'?: readonly unknown[];
}

const quantity = 'io.k8s.apimachinery.pkg.api.resource.Quantity';
const time = 'io.k8s.apimachinery.pkg.apis.meta.v1.Time';
const microTime = 'io.k8s.apimachinery.pkg.apis.meta.v1.MicroTime';
const intOrString = 'io.k8s.apimachinery.pkg.util.intstr.IntOrString';
/** Objects whose content Kubernetes does not describe: kept as they come. */
const opaque = new Set([
  'io.k8s.apimachinery.pkg.runtime.RawExtension',
  'io.k8s.apimachinery.pkg.apis.meta.v1.FieldsV1',
  'io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.JSON',
]);
/** Definitions that are a scalar with a format: written in place, never as a reference. */
const scalars: Readonly<Record<string, { type: string; format: string }>> = {
  [quantity]: { type: 'string', format: 'quantity' },
  [time]: { type: 'string', format: 'date-time' },
  [microTime]: { type: 'string', format: 'micro-time' },
  [intOrString]: { type: 'string', format: 'int-or-string' },
};

function compact(definition: Definition): Record<string, unknown> {
  if (definition.$ref !== undefined) return reference(definition);
  const schema: Record<string, unknown> = {};
  if (definition.type !== undefined) schema['type'] = definition.type;
  if (definition.format !== undefined) schema['format'] = definition.format;
  if (definition.properties !== undefined) {
    schema['type'] = 'object';
    schema['fields'] = Object.fromEntries(
      Object.entries(definition.properties).map(([name, field]) => [name, compact(field)]),
    );
  }
  if (definition.additionalProperties) schema['values'] = compact(definition.additionalProperties);
  if (definition.items !== undefined) schema['items'] = compact(definition.items);
  if (definition.required?.length) schema['required'] = definition.required;
  return Object.assign(schema, merging(definition));
}

function reference(definition: Definition): Record<string, unknown> {
  const name = (definition.$ref ?? '').replace('#/definitions/', '');
  const target =
    scalars[name] ?? (opaque.has(name) ? { type: 'object', opaque: true } : { ref: name });
  return { ...target, ...merging(definition) };
}

function merging(definition: Definition): Record<string, unknown> {
  const schema: Record<string, unknown> = {};
  const copy: readonly [keyof Definition, string][] = [
    ['x-kubernetes-list-type', 'listType'],
    ['x-kubernetes-list-map-keys', 'listMapKeys'],
    ['x-kubernetes-map-type', 'mapType'],
    ['x-kubernetes-patch-merge-key', 'patchMergeKey'],
    ['x-kubernetes-patch-strategy', 'patchStrategy'],
  ];
  for (const [from, to] of copy) {
    if (definition[from] !== undefined) schema[to] = definition[from];
  }
  return schema;
}

/** `io.k8s.api.core.v1.Pod` → file `core-v1`, type `Pod`. */
function place(name: string): { file: string; type: string } {
  const parts = name.split('.');
  const type = (parts.pop() ?? '').replaceAll('-', '');
  const version = parts.pop() ?? '';
  const group = parts.pop() ?? '';
  return { file: `${group}-${version}`, type };
}

function typeText(definition: Definition, file: string, imports: Map<string, Set<string>>): string {
  if (definition.$ref !== undefined) {
    const name = definition.$ref.replace('#/definitions/', '');
    if (name === intOrString) return 'number | string';
    if (scalars[name] !== undefined) return 'string';
    if (opaque.has(name)) return 'unknown';
    const target = place(name);
    if (target.file !== file) {
      const set = imports.get(target.file) ?? new Set();
      imports.set(target.file, set.add(target.type));
    }
    return target.type;
  }
  if (definition.items !== undefined) {
    const item = typeText(definition.items, file, imports);
    return `readonly ${item.includes('|') || item.startsWith('readonly') ? `(${item})` : item}[]`;
  }
  if (definition.additionalProperties !== undefined) {
    return `Readonly<Record<string, ${typeText(definition.additionalProperties, file, imports)}>>`;
  }
  switch (definition.type) {
    case 'string':
      return 'string';
    case 'boolean':
      return 'boolean';
    case 'integer':
    case 'number':
      return 'number';
    default:
      return 'unknown';
  }
}

function interfaceText(
  name: string,
  definition: Definition,
  file: string,
  imports: Map<string, Set<string>>,
): string {
  const { type } = place(name);
  if (definition.properties === undefined) {
    return `export type ${type} = ${typeText(definition, file, imports)};\n`;
  }
  const isKind = definition['x-kubernetes-group-version-kind'] !== undefined;
  const lines = Object.entries(definition.properties).map(([field, value]) => {
    const needed =
      (definition.required?.includes(field) ?? false) ||
      (isKind && (field === 'metadata' || field === 'apiVersion' || field === 'kind'));
    const key = /^[A-Za-z_][A-Za-z0-9_]*$/.test(field) ? field : `'${field}'`;
    const text = typeText(value, file, imports);
    return `  readonly ${key}${needed ? `: ${text}` : `?: ${text} | undefined`};`;
  });
  return `export interface ${type} {\n${lines.join('\n')}\n}\n`;
}

function typeFiles(definitions: Readonly<Record<string, Definition>>): Map<string, string> {
  const bodies = new Map<string, string[]>();
  const imports = new Map<string, Map<string, Set<string>>>();
  for (const [name, definition] of Object.entries(definitions)) {
    if (scalars[name] !== undefined || opaque.has(name)) continue;
    const { file } = place(name);
    const fileImports = imports.get(file) ?? new Map<string, Set<string>>();
    imports.set(file, fileImports);
    const body = bodies.get(file) ?? [];
    bodies.set(file, body);
    body.push(interfaceText(name, definition, file, fileImports));
  }
  const files = new Map<string, string>();
  for (const [file, body] of bodies) {
    const head = [`/** Types of the API, generated by \`scripts/generate.ts\`. Do not edit. */`];
    for (const [from, names] of [...(imports.get(file) ?? [])].sort()) {
      head.push(`import type { ${[...names].sort().join(', ')} } from './${from}.ts';`);
    }
    files.set(`src/resources/types/${file}.ts`, `${head.join('\n')}\n\n${body.join('\n')}`);
  }
  return files;
}

/**
 * The packages of the API itself, one a line, so that a reader can parse just the lines it needs.
 */
function protobufText(folder: string): string {
  const source = join(folder, 'protobuf-fields-v1.36.json');
  const packages: Record<string, unknown> = JSON.parse(readFileSync(source, 'utf8'));
  const lines = Object.entries(packages)
    .filter(([name]) => name.startsWith('k8s.io.'))
    .map(([name, messages]) => `  ${JSON.stringify(name)}: ${JSON.stringify(messages)}`);
  return `{\n${lines.join(',\n')}\n}\n`;
}

/**
 * The words that fields take, definition → field → words, out of a server's `/openapi/v2`. The
 * definitions alone do not say them.
 */
function enumText(source: string): string {
  const { definitions }: { definitions: Record<string, Definition> } = JSON.parse(
    readFileSync(source, 'utf8'),
  );
  const lines: string[] = [];
  for (const [name, { properties = {} }] of Object.entries(definitions).sort()) {
    const fields = Object.entries(properties).flatMap(([field, value]) => {
      const words = value.enum ?? value.items?.enum;
      return words === undefined ? [] : [[field, words]];
    });
    if (fields.length === 0) continue;
    lines.push(`  ${JSON.stringify(name)}: ${JSON.stringify(Object.fromEntries(fields))}`);
  }
  return `{\n${lines.join(',\n')}\n}\n`;
}

function main(): void {
  const [folder, flag] = process.argv.slice(2);
  if (folder === 'kinds') {
    write(
      new Map([['src/resources/openapi/kinds.json', formatKindFacts(loadDescriptors())]]),
      flag,
    );
    return;
  }
  const source = join(folder ?? '.', 'openapi-definitions-v1.36.json');
  if (folder === undefined || !existsSync(source)) {
    console.error(
      'usage: npm run generate -- FOLDER|kinds [--check]  (no openapi-definitions-v1.36.json there)',
    );
    process.exit(2);
  }
  const definitions: Record<string, Definition> = JSON.parse(readFileSync(source, 'utf8'));
  const files = typeFiles(definitions);
  const entries = Object.entries(definitions)
    .filter(([name]) => scalars[name] === undefined && !opaque.has(name))
    .map(
      ([name, definition]) => `  ${JSON.stringify(name)}: ${JSON.stringify(compact(definition))}`,
    );
  files.set('src/resources/openapi/v1.36.json', `{\n${entries.join(',\n')}\n}\n`);
  files.set('src/resources/openapi/protobuf-v1.36.json', protobufText(folder));
  const swagger = join(folder, 'swagger-v1.36.json');
  if (existsSync(swagger)) files.set('src/resources/openapi/enums-v1.36.json', enumText(swagger));
  write(files, flag);
}

function write(files: ReadonlyMap<string, string>, flag: string | undefined): void {
  let stale = 0;
  for (const [path, text] of files) {
    if (existsSync(path) && readFileSync(path, 'utf8') === text) continue;
    stale += 1;
    if (flag === '--check') console.error(`differs: ${path}`);
    else {
      mkdirSync(join(path, '..'), { recursive: true });
      writeFileSync(path, text);
    }
  }
  console.log(`${files.size} files, ${stale} ${flag === '--check' ? 'differ' : 'written'}`);
  if (flag === '--check' && stale > 0) process.exit(1);
}

main();
