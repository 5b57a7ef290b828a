/** Every text and every word of an enum belongs to a field that there is. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { openDefinitions } from './definitions.ts';
import { openExplanations } from './explanations.ts';

const scalar = /\.(Quantity|IntOrString)$/;

test('texts are of definitions and fields that exist', () => {
  const definitions = openDefinitions();
  const explanations = openExplanations();
  const names = explanations.names();
  assert.ok(names.length > 600, `${names.length} texts`);
  for (const { definition, field } of names) {
    if (scalar.test(definition)) continue;
    const schema = definitions.get(definition);
    assert.ok(schema, definition);
    if (field !== '') assert.ok(schema.fields?.[field], `${definition}.${field}`);
    assert.match(explanations.of(definition, field) ?? '', /^[A-Z$r].*\.$/);
  }
});

test('words are of fields that exist, and of those only', () => {
  const definitions = openDefinitions();
  const path = new URL('./openapi/enums-v1.36.json', import.meta.url);
  const enums: Record<string, Record<string, string[]>> = JSON.parse(readFileSync(path, 'utf8'));
  for (const [definition, fields] of Object.entries(enums)) {
    for (const field of Object.keys(fields)) {
      assert.ok(definitions.get(definition)?.fields?.[field], `${definition}.${field}`);
    }
  }
  const explanations = openExplanations();
  assert.deepEqual(explanations.enumOf('io.k8s.api.core.v1.ServicePort', 'protocol'), [
    'SCTP',
    'TCP',
    'UDP',
  ]);
  assert.equal(explanations.enumOf('io.k8s.api.core.v1.ServicePort', 'toString'), undefined);
});
