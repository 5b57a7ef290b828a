// Keeps one processor busy until it is terminated (scripts/sim.ts, under load).
for (;;) Math.sqrt(2);
