/** `coracle token` on a running server: the first token, further ones, their end. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { covers } from '#test/covers.ts';
import { ServerProcess } from '#test/server-process.ts';
import { parseJoinToken, tokenPath, tokenSecret } from '../credentials/join-token.ts';
import { formatTokens } from './token-command.ts';

test('tokens are printed, made, listed and deleted', { timeout: 300_000 }, async () => {
  covers('AUT-012');
  await using server = await ServerProcess.open();
  await server.start();
  const said = async (...args: string[]): Promise<string> => {
    const { code, stdout, stderr } = await server.coracle('token', ...args);
    assert.equal(code, 0, stderr);
    return stdout.trim();
  };
  assert.equal(await said(), readFileSync(tokenPath(server.dataDir), 'utf8').trim());
  const made = parseJoinToken(await said('create', '--ttl', '2h', '--description', 'one more'));
  const text = `${made.id}.${made.secret}`;
  assert.match(await said('list'), new RegExp(`${text} +1h +.* +authentication,signing +one more`));
  // It lets its holder in until it is deleted.
  const ask = async (): Promise<number> => {
    const url = `https://127.0.0.1:${server.port}/apis/certificates.k8s.io/v1/certificatesigningrequests`;
    const { request } = await import('node:https');
    return new Promise((resolve, reject) => {
      const headers = { authorization: `Bearer ${text}` };
      // Who the server is does not matter here.
      const sent = request(url, { headers, rejectUnauthorized: false, agent: false }, (answer) => {
        answer.resume();
        resolve(answer.statusCode ?? 0);
      });
      sent.once('error', reject);
      sent.end();
    });
  };
  assert.equal(await ask(), 200);
  assert.equal(await said('delete', made.id), `bootstrap token "${made.id}" deleted`);
  assert.equal(await ask(), 401);
  assert.ok(!(await said('list')).includes(made.id));
  const wrong = await server.coracle('token', 'delete', 'x');
  assert.match(wrong.stderr, /neither a token nor the id of one/);
});

test('a list of tokens says how long they hold', () => {
  const token = { id: 'abcdef', secret: '0123456789abcdef' };
  const at = (expiresAtMs?: number) =>
    formatTokens([tokenSecret(token, { description: 'd', expiresAtMs })], 0).split('\n')[1];
  assert.match(at() ?? '', /<forever> +<never> +authentication,signing +d$/);
  assert.match(at(90 * 60_000) ?? '', / 1h +1970-01-01T01:30:00Z /);
  assert.match(at(-1) ?? '', /<expired>/);
});
