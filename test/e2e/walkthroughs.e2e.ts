/**
 * The walkthroughs of the documents that configure pods and containers, as a user types them: the
 * real kubectl, real containers of local images, one cluster for all. They run side by side, so
 * that their waiting overlaps; `test/support/watched-cluster.ts` is what they share.
 */
import { after, before, describe, test } from 'node:test';
import { type Walkthroughs, WatchedCluster } from '#test/watched-cluster.ts';
import { collectors } from './walkthroughs/collectors.ts';
import { commands } from './walkthroughs/commands.ts';
import { configuration } from './walkthroughs/configuration.ts';
import { kept } from './walkthroughs/kept.ts';
import { lifecycle } from './walkthroughs/lifecycle.ts';
import { probes } from './walkthroughs/probes.ts';
import { resources } from './walkthroughs/resources.ts';
import { security } from './walkthroughs/security.ts';
import { talking } from './walkthroughs/talking.ts';
import { terminal } from './walkthroughs/terminal.ts';
import { volumes } from './walkthroughs/volumes.ts';

const all: Walkthroughs = {
  ...collectors,
  ...commands,
  ...configuration,
  ...kept,
  ...lifecycle,
  ...probes,
  ...resources,
  ...security,
  ...talking,
  ...terminal,
  ...volumes,
};

describe('walkthroughs', { concurrency: 12 }, () => {
  let walk: WatchedCluster;
  before(async () => {
    walk = await WatchedCluster.open();
  });
  after(async () => {
    await walk?.[Symbol.asyncDispose]();
  });
  const wanted = process.env['CORACLE_WALKTHROUGH'];
  for (const [name, run] of Object.entries(all)) {
    if (wanted !== undefined && !new RegExp(wanted).test(name)) continue;
    test(name, { timeout: 480_000 }, () => run(walk));
  }
});
