/**
 * What upstream's API server wrote can be read, by every cipher and length of key, and what we
 * write is of the same form; whatever was changed, cut or moved is refused.
 */
import { deepEqual, equal, notDeepEqual } from 'node:assert/strict';
import { test } from 'node:test';
import { present } from '#kit/assert.ts';
import { seededRandom } from '#kit/random.ts';
import { openCipher } from './ciphers.ts';

const key = '/registry/secrets/default/secret1';
const secret = Buffer.from('0123456789abcdef0123456789abcdef');

type Kind = 'aescbc' | 'aesgcm' | 'secretbox';

/** Written for that key by upstream's own code (v1.36): cipher, bytes of the secret, text, kept. */
const written: readonly (readonly [Kind, number, string, string])[] = [
  ['aescbc', 16, '', 'NTWURCpG60AKR7cYg/QelzWEwoVLRDIZ50fRBMGT0+M='],
  [
    'aescbc',
    16,
    '{"kind":"Secret","apiVersion":"v1"}',
    'yPoFkjqV3Bicm3N1lWwxhXNC7gWbBv1ldWaM4miwqDa9mJfXB473g2NlkmFfAUOPL52NC2tZcWmAcHPrX7fGzA==',
  ],
  [
    'aescbc',
    16,
    '0123456789abcdef',
    'Ea8TrjNMP9Dx5ZXr2m/jNRNqq60ztIfkDe+2PWMwG3rU3ie+JPDtygoKxJ0tY1XA',
  ],
  ['aesgcm', 16, '', 'WxfbfIpQR54W0G3RCre1eSEPbVRvYRuH+C5RNA=='],
  [
    'aesgcm',
    16,
    '{"kind":"Secret","apiVersion":"v1"}',
    'JiPKBX2qVnosv8ptsuXjW6ZFHfSESB7R9lbTUiMsm/R3JHWmvuDDchuhyqfiOfSWf6U1gJ/EHxl2uskHlYZP',
  ],
  [
    'aesgcm',
    16,
    '0123456789abcdef',
    'MagcPxeZ5sSs/Avi2N0sgPjkcHTDSn9XRBsB57W4cMoE+5+tX8zp7lNX88Y=',
  ],
  ['aescbc', 24, '', 'KEz3suAsoV4ip27XEK7fDE4TgD6Huz8Qpa+AySSPl/U='],
  [
    'aescbc',
    24,
    '{"kind":"Secret","apiVersion":"v1"}',
    'vvYlt4BrJRQUV1II92O441v0VdKm+9IieWW+Zn+e802ghmE25r3c+qZuzYwKF0HpxQYEHCIC89nQzXtmUSlKpg==',
  ],
  [
    'aescbc',
    24,
    '0123456789abcdef',
    'sQ6x9DIuizxtCXCHNohZDzIJ5rTwxasMg2x/t47CRLneSRmLJ8Cvd/BY4XZtrKmb',
  ],
  ['aesgcm', 24, '', 'FksJs8D4JvJopEa1cLA/4K5h6EFdIqjXr5Kx+A=='],
  [
    'aesgcm',
    24,
    '{"kind":"Secret","apiVersion":"v1"}',
    'FOXt61Gj2fWoC6RSu4r1xCprDaMVTJR4EQ3xAjqq6QkuPkK+FmsPQt/j82fCXcZjVlei7yXbQHljAJQBrUeS',
  ],
  [
    'aesgcm',
    24,
    '0123456789abcdef',
    '9m8w4LT4Lz/2MAdMXBHareX/lQwid5aHBIlXgk6oa1ZD4azD8qBE1J436KI=',
  ],
  ['aescbc', 32, '', 'ZsHmsY/pyO6sVA65t1PUs2jY4Bi4/q8R01Wxo9yaQv4='],
  [
    'aescbc',
    32,
    '{"kind":"Secret","apiVersion":"v1"}',
    'Ti2vH/EMrue/KVcA8rjoTT02Dn53ttqd9CMvdVpo85bxGBaDb3QB1zmWANgqhzJIZoj5krLg2xq5kTV8n2uHAQ==',
  ],
  [
    'aescbc',
    32,
    '0123456789abcdef',
    'ETiIkdx1JcnFkovY7wLx5xwP0Gfn3jGpM7AOuvE7zEGcOHVHPz/rgOb5RB5lazyV',
  ],
  ['aesgcm', 32, '', 'gYe5dkXnLNkFVl5f4jLZmp01ANmCAe48/8uQxA=='],
  [
    'aesgcm',
    32,
    '{"kind":"Secret","apiVersion":"v1"}',
    '6J9QpeEszl3ucIFqb5xne/Z+5mSgUMiUbN8IdmG/85+ewfIxCoj0m7K8FlI//juLfAvJ7WUPLsG02mIBtZB0',
  ],
  [
    'aesgcm',
    32,
    '0123456789abcdef',
    'CwsyRIUtoF6gtvXFdj3vNFZtva3sk11luMe4xqprIM0IkDcCEMXVHoS4cAQ=',
  ],
  ['secretbox', 32, '', 'U+9UmnUJfQAiydnFULtebyeAkO+AChF/MpRsDpDwL2UNTy+Mqjxfhg=='],
  [
    'secretbox',
    32,
    '{"kind":"Secret","apiVersion":"v1"}',
    'WPrSTTeza7sTSWEVnna1k4+WgRvI/OomKIWW9OHOefgsUMfHfSUEvB0TBaoDDCJd5o7wxmTqNKwjNDah1E6zjdZqn2fDcspCUu6M',
  ],
  [
    'secretbox',
    32,
    '0123456789abcdef',
    'LetisYRbZpHVCITq9Ft9G3cZzps+D1DeDGMtJfL5KIWR2r9kmgO4Cekf1h56H9RKrpLk916MSh8=',
  ],
];

const open = (kind: Kind, length = 32) =>
  openCipher({ random: seededRandom(7) }, { kind, secret: secret.subarray(0, length) });

test('what upstream wrote is read', () => {
  for (const [kind, length, text, kept] of written) {
    const read = open(kind, length).decrypt(key, Buffer.from(kept, 'base64'));
    equal(read.ok && Buffer.from(read.value).toString(), text, `${kind} ${length}`);
  }
});

test("what is written is read, is as long as upstream's, and never twice the same", () => {
  for (const [kind, length, text, kept] of written) {
    const cipher = open(kind, length);
    const sealed = cipher.encrypt(key, Buffer.from(text));
    equal(sealed.byteLength, Buffer.from(kept, 'base64').byteLength);
    notDeepEqual(cipher.encrypt(key, Buffer.from(text)), sealed);
    const read = cipher.decrypt(key, sealed);
    equal(read.ok && Buffer.from(read.value).toString(), text);
  }
});

const why = (kind: Kind, sealed: Uint8Array, at = key): string => {
  const read = open(kind).decrypt(at, sealed);
  return read.ok ? 'read' : read.why;
};

test("what was changed, cut or moved is refused with upstream's words", () => {
  const sealed = (kind: Kind): Uint8Array => open(kind).encrypt(key, Buffer.from('a text'));
  const flipped = (bytes: Uint8Array): Uint8Array =>
    bytes.map((byte, index) => (index === bytes.length - 1 ? byte ^ 1 : byte));
  const short = 'the stored data was shorter than the required size';
  equal(why('aesgcm', flipped(sealed('aesgcm'))), 'cipher: message authentication failed');
  equal(why('aesgcm', sealed('aesgcm').subarray(0, 20)), 'cipher: message authentication failed');
  equal(why('aesgcm', new Uint8Array(11)), short);
  // Bound to its place; the other two are not.
  const elsewhere = '/registry/secrets/default/secret2';
  equal(why('aesgcm', sealed('aesgcm'), elsewhere), 'cipher: message authentication failed');
  deepEqual([why('aescbc', sealed('aescbc'), elsewhere)], ['read']);
  equal(why('secretbox', new Uint8Array(39)), short);
  const box = 'output array was not large enough for encryption';
  equal(why('secretbox', flipped(sealed('secretbox'))), box);
  equal(why('aescbc', new Uint8Array(15)), short);
  equal(why('aescbc', new Uint8Array(16)), 'invalid PKCS7 data (empty or not padded)');
  equal(why('aescbc', new Uint8Array(33)), 'the stored data is not a multiple of the block size');
  // The vector is turned on the text: its last byte says how much is padding.
  const padded = (byte: number): Uint8Array => {
    const vector = open('aescbc').encrypt(key, Buffer.from('0123456789abcde'));
    const change = (present(vector[15], 'a byte of the vector') ^ 1 ^ byte) & 0xff;
    return vector.map((each, index) => (index === 15 ? change : each));
  };
  equal(why('aescbc', padded(0)), 'invalid PKCS7 data (empty or not padded)');
  equal(why('aescbc', padded(17)), 'invalid PKCS7 data (empty or not padded)');
  equal(why('aescbc', padded(2)), 'invalid padding on input');
  equal(why('aescbc', padded(1)), 'read');
});
