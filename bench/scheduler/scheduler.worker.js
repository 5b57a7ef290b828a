// The scheduler beside the API server, as in production: a thread of its own, requests by port.
const { runSchedulerWorker } = await import('./server.ts');
await runSchedulerWorker();
