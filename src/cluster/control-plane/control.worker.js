// Worker `control`: controllers and scheduler beside the API server, not inside its event loop.
import { enableCompileCache } from 'node:module';

enableCompileCache(process.env.CORACLE_COMPILE_CACHE);
const { runControlWorker } = await import('./control-worker.ts');
await runControlWorker();
