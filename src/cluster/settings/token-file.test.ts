/** Tokens that somebody wrote down. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseTokenFile } from './token-file.ts';

test('a line for each token; groups in quotes', () => {
  const text =
    'secret,ann,1\r\nother,"bob ""b"" brown",2,"one,two"\n,nobody,3\nsecret,carl,4,one\n';
  const { tokens, notes } = parseTokenFile('f.csv', text);
  assert.deepEqual(Object.fromEntries(tokens), {
    secret: { name: 'carl', uid: '4', groups: ['one'] },
    other: { name: 'bob "b" brown', uid: '2', groups: ['one', 'two'] },
  });
  assert.deepEqual(notes, [
    "empty token has been found in token file 'f.csv', record number '3'",
    "duplicate token has been found in token file 'f.csv', record number '4'",
  ]);
  assert.equal(parseTokenFile('/dev/null', '').tokens.size, 0);
});

test('what is no such file is refused', () => {
  const cases: readonly (readonly [string, RegExp])[] = [
    [
      'token,ann',
      /^token file 'f\.csv' must have at least 3 columns \(token, user name, user uid\), found 2$/,
    ],
    ['a,"b,c', /^record on line 1: extraneous or missing " in quoted-field$/],
  ];
  for (const [text, message] of cases) {
    assert.throws(
      () => parseTokenFile('f.csv', text),
      (error: Error) => message.test(error.message),
    );
  }
});
