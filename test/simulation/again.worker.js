// Runs the seeds that it is given and tells each result (scripts/sim.ts, under load).
import { parentPort, workerData } from 'node:worker_threads';

const { simulate } = await import('./simulation.ts');
for (const seed of workerData) parentPort.postMessage(await simulate(seed));
