/** Texts that are no JSON, and what Go's decoder says of them (as upstream's server answered). */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { jsonProblem } from './json-syntax.ts';

const problems: Readonly<Record<string, string>> = {
  '': 'unexpected end of JSON input',
  '{"a":1': 'unexpected end of JSON input',
  '{"a":"x': 'unexpected end of JSON input',
  '{nonsense': "invalid character 'n' looking for beginning of object key string",
  '{"a":1,}': "invalid character '}' looking for beginning of object key string",
  '{"a":tru}': "invalid character '}' in literal true (expecting 'e')",
  nonsense: "invalid character 'o' in literal null (expecting 'u')",
  '{"a" 1}': "invalid character '1' after object key",
  '{"a":1}}': "invalid character '}' after top-level value",
  '[1,,2]': "invalid character ',' looking for beginning of value",
  '[1 2]': "invalid character '2' after array element",
  '{"a":01}': "invalid character '1' after object key:value pair",
  '{"a":"\\q"}': "invalid character 'q' in string escape code",
  '{"a":1 "b":2}': `invalid character '"' after object key:value pair`,
  '{"a":"x\ny"}': "invalid character '\\n' in string literal",
  '{"a":-}': "invalid character '}' in numeric literal",
};

test('a text that is no JSON is refused in the words of Go', () => {
  for (const [text, problem] of Object.entries(problems)) {
    assert.throws(() => JSON.parse(text), SyntaxError, text);
    assert.equal(jsonProblem(text), problem, text);
  }
});
