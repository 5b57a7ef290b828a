/**
 * A container that means harm, as far as it can: in a folder of its own, a folder and a link to
 * somewhere else take turns at one name, `a`, as fast as a process can exchange them.
 *
 * Tests of whatever the node opens in volumes of pods run beside it.
 */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';

export interface ExchangedLinks {
  /** Where both take turns. */
  readonly volume: string;
  /** The folder in it that is exchanged. */
  readonly own: string;
  /** Where the link leads. */
  readonly outside: string;
}

/** Exchanges them until it is disposed of. */
export async function exchangeLinks({
  volume,
  own,
  outside,
}: ExchangedLinks): Promise<AsyncDisposable> {
  const script = `
    const fs = require('node:fs');
    const own = ${JSON.stringify(own)};
    process.chdir(${JSON.stringify(volume)});
    fs.symlinkSync(${JSON.stringify(outside)}, 'link');
    process.stdout.write('.');
    for (;;) {
      fs.renameSync(own, 'a'); fs.renameSync('a', own);
      fs.renameSync('link', 'a'); fs.renameSync('a', 'link');
    }`;
  const child = spawn(process.execPath, ['-e', script], { stdio: ['ignore', 'pipe', 'inherit'] });
  const ended = once(child, 'exit');
  await Promise.race([once(child.stdout, 'data'), ended]);
  assert.equal(child.exitCode, null, 'the process that exchanges them has ended');
  return {
    [Symbol.asyncDispose]: async () => {
      child.kill('SIGKILL');
      await ended;
    },
  };
}
