/** Logs of the machine's services: from the journal those that it knows, else from their files. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { systemClock } from '#kit/clock.ts';
import { readLogQuery } from './log-query.ts';
import { answerLogQuery } from './node-logs.ts';

const { signal } = new AbortController();

/** A machine with a journal that knows one service and shows what it was asked. */
async function open(context: TestContext) {
  const folder = mkdtempSync(join(tmpdir(), 'coracle-logs-'));
  context.after(() => rmSync(folder, { recursive: true }));
  const root = join(folder, 'log');
  mkdirSync(join(root, 'db'), { recursive: true });
  writeFileSync(join(root, 'web.log'), 'of the web\n');
  writeFileSync(join(root, 'db', 'db.log'), 'of the database\n');
  writeFileSync(join(folder, 'secret.log'), 'secret');
  symlinkSync(join(folder, 'secret.log'), join(root, 'linked.log'));
  const journal = '#!/bin/sh\n[ "$1" = --field ] && echo kubelet.service && exit\necho "$@"\n';
  writeFileSync(join(folder, 'journalctl'), journal, { mode: 0o755 });
  const path = process.env['PATH'];
  process.env['PATH'] = `${folder}:${path}`;
  const server = createServer((request, response) => {
    const { searchParams } = new URL(request.url ?? '', 'http://node');
    const question = readLogQuery(searchParams);
    if (question?.do !== 'answer') return response.writeHead(500).end();
    const gzip = request.headers['accept-encoding'] === 'gzip';
    return void answerLogQuery(question, response, { gzip, root, clock: systemClock(), signal });
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  context.after(() => {
    process.env['PATH'] = path;
    server.closeAllConnections();
    server.close();
  });
  const { port } = server.address() as AddressInfo;
  return async (query: string, headers: Record<string, string> = { 'accept-encoding': 'x' }) => {
    const answer = await fetch(`http://127.0.0.1:${port}/?${query}`, { headers });
    return `${answer.status} ${await answer.text()}`;
  };
}

test('each service is found where it logs', async (context) => {
  const ask = await open(context);
  const journal = '200 --utc --no-pager --output=short-precise --unit=kubelet\n';
  assert.equal(await ask('query=kubelet'), journal);
  assert.equal(await ask('query=kubelet', { 'accept-encoding': 'gzip' }), journal);
  assert.match(await ask('query=kubelet&tailLines=2'), /--pager-end --lines=2 /);
  assert.equal(await ask('query=web'), '200 of the web\n');
  assert.equal(await ask('query=web&query=db'), '200 of the web\nof the database\n');
  assert.equal(await ask('query=nobody'), '200 \nlog not found for nobody\n');
  assert.equal(await ask('query=linked'), '200 \nlog not found for linked\n', 'not outside');
  assert.equal(
    await ask('query=web&tailLines=2'),
    '200 \noptions present and query resolved to log files for [web]\n' +
      'try without specifying options\n',
  );
  assert.equal(await ask('query=/db/db.log'), '200 of the database\n');
  assert.match(await ask('query=/../secret.log'), /^404 /);
});
