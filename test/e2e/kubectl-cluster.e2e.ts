/**
 * The walkthroughs of the documents about workloads, typed with the real kubectl at a whole
 * cluster: what is printed is what upstream's control plane prints over the same hollow nodes, and
 * what the documents print, but for what has changed since (`test/kubectl/cluster/*.session` say
 * it).
 *
 * Each session has a cluster of its own, whose time runs some twenty times faster than ours.
 */
import assert from 'node:assert/strict';
import { globSync } from 'node:fs';
import { basename } from 'node:path';
import { describe, test } from 'node:test';
import {
  claimRows,
  type Differences,
  findKubectl,
  playSession,
} from '#test/kubectl-transcripts.ts';
import { startCluster } from '#testing';

/** Beginnings of commands whose output differs, and the reason. */
const different: Differences = [];

/** As in the recorded cluster: four nodes, and these images are nowhere. */
const names = ['hollow-0', 'hollow-1', 'hollow-2', 'hollow-3'];
const missingImages = ['nginx:1.91', 'nginx:sometag', 'nginx:typo'];

describe('kubectl prints for a whole cluster what it prints for upstream', {
  concurrency: 3,
}, () => {
  const kubectl = findKubectl();
  for (const path of globSync('test/kubectl/cluster/*.session').sort()) {
    test(basename(path, '.session'), { timeout: 480_000 }, async () => {
      claimRows(path);
      const nodes = names.map((name) => ({ name, failures: { missingImages } }));
      await using cluster = await startCluster({ clock: 'virtual', startTime: new Date(), nodes });
      const kubeconfig = await cluster.kubeconfig();
      let ended = false;
      const played = playSession({ path, kubeconfig, kubectl, different, works: true }).finally(
        () => {
          ended = true;
        },
      );
      const [, result] = await Promise.allSettled([
        cluster.until('the end of the session', () => ended, { limit: '6h' }),
        played,
      ]);
      if (result.status === 'rejected') throw result.reason;
      assert.ok(ended);
    });
  }
});
