/**
 * In the place of an API server where there is none: every list is empty and stays so, everything
 * else waits until whoever asks gives up. A kubelet over it runs the static pods of its folder.
 * Called by `kubelet-command.ts`.
 */
import type { HttpConnections } from '#client';
import { aborted } from '#kit/aborted.ts';

const emptyList = Buffer.from(JSON.stringify({ metadata: { resourceVersion: '1' }, items: [] }));
const listPath = /^\/(api\/v1|apis\/[^/]+\/[^/]+)(\/namespaces\/[^/]+)?\/[a-z]+$/;
const headers = { 'content-type': 'application/json' } as const;

export function noServer(): HttpConnections {
  return {
    send: async ({ method, path }, { signal }) => {
      const { pathname, searchParams } = new URL(path, 'http://none');
      if (method === 'GET' && listPath.test(pathname)) {
        const isWatch = ['1', 'true'].includes(searchParams.get('watch') ?? '');
        return { status: 200, headers, body: isWatch ? silence(signal) : emptyList };
      }
      await aborted(signal);
      throw signal.reason;
    },
    useCertificate: () => {},
    [Symbol.dispose]: () => {},
  };
}

// biome-ignore lint/correctness/useYield: nothing ever happens.
async function* silence(signal: AbortSignal): AsyncGenerator<Uint8Array> {
  await aborted(signal);
  throw signal.reason;
}
