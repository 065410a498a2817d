/* global console, performance, setImmediate, setTimeout, clearImmediate, clearTimeout */
import process from "node:process";
import { servedQueue } from "../dist/app/served-queue.js";

/**
 * What the queue of a model costs a request: callers in a closed loop, and an instance that answers at
 * the end of the turn, asked through the queue and directly. Rounds take turns; medians count.
 */
const ROUNDS = Number(process.env["ROUNDS"] ?? 7);
const REQUESTS = Number(process.env["REQUESTS"] ?? 100_000);
const CALLERS = [1, 32, 512];

const clock = { nowMs: () => performance.now(), monotonicMs: () => performance.now() };
const none = () => undefined;
const metrics = { answered: none, waited: none, ran: none, queued: none };
const timer = (delayMs, run) => {
  const handle = delayMs === 0 ? setImmediate(run) : setTimeout(run, delayMs);
  return () => (delayMs === 0 ? clearImmediate(handle) : clearTimeout(handle));
};

function instance() {
  let isIdle = true;
  let changed = none;
  return {
    idle: () => (isIdle ? 1 : 0),
    state: () => "ready",
    onChange: (listener) => (changed = listener),
    close: () => Promise.resolve(),
    run: (inputs) => {
      isIdle = false;
      return new Promise((resolve) => {
        setImmediate(() => {
          isIdle = true;
          resolve(inputs.map(() => new Map()));
          changed();
        });
      });
    },
  };
}

function queueOf(sloMs) {
  const profile = [1, 2, 4, 8, 16, 32].map((items) => {
    return { items, length: 1, ms: 0.02 + items / 1000 };
  });
  const settings = { maxQueued: 4096, maxQueueDelayMs: 0, coalesce: false, sloMs };
  const spec = { name: "m", version: "1", maxBatchSize: 32 };
  const loaded = { spec, instances: instance(), profile, ...settings };
  return servedQueue(loaded, { clock, timer, metrics });
}

const input = { kind: "tensors", tensors: new Map() };
const facts = { items: 1, shapeKey: "x", length: 1, priority: 0, isRetry: false, input };

function throughQueue({ budgetMs, tenants }) {
  const queue = queueOf();
  let sent = 0;
  return () => {
    const tenant = tenants === 1 ? "" : `t${(sent += 1) % tenants}`;
    return queue.submit({ ...facts, tenant, deadlineAtMs: performance.now() + budgetMs });
  };
}

const SETUPS = {
  "no queue": () => () => new Promise((resolve) => setImmediate(resolve)),
  queue: () => throughQueue({ budgetMs: Infinity, tenants: 1 }),
  "with deadlines": () => throughQueue({ budgetMs: 60_000, tenants: 1 }),
  "of 8 tenants": () => throughQueue({ budgetMs: 60_000, tenants: 8 }),
};

async function cpuMicroseconds(ask, callers) {
  let left = REQUESTS;
  const before = process.cpuUsage();
  await Promise.all(
    Array.from({ length: callers }, async () => {
      while ((left -= 1) >= 0) await ask();
    }),
  );
  const { user, system } = process.cpuUsage(before);
  return (user + system) / REQUESTS;
}

for (const callers of CALLERS) {
  const times = Object.fromEntries(Object.keys(SETUPS).map((name) => [name, []]));
  for (let round = -1; round < ROUNDS; round += 1) {
    for (const [name, setUp] of Object.entries(SETUPS)) {
      const us = await cpuMicroseconds(setUp(), callers);
      // The first round warms the compiler up.
      if (round >= 0) times[name].push(us);
    }
  }
  const median = (all) => all.sort((a, b) => a - b)[Math.floor(all.length / 2)];
  const bare = median(times["no queue"]);
  console.log(`${callers} callers:`);
  for (const [name, all] of Object.entries(times)) {
    const us = median(all);
    const ratio = (us / bare).toFixed(2);
    console.log(
      `  ${name.padEnd(16)} ${us.toFixed(2)} us of CPU a request, ${Math.round(1e6 / us)}/s, x ${ratio}`,
    );
  }
}
