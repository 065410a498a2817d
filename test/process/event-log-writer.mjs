/**
 * Appends numbered prediction events: COUNT of them at once, then closes on SIGTERM; or, without
 * COUNT, ten every millisecond until it is killed. Reports on stdout what it has appended.
 */
import process from "node:process";
import { clearInterval, setInterval } from "node:timers";
import { openJsonlLog } from "../../dist/adapters/event-log/jsonl-log.js";
import { systemClock } from "../../dist/adapters/system/clock.js";

const [directory, flushIntervalMs, count] = process.argv.slice(2);
const log = openJsonlLog({
  directory,
  prefix: "predictions",
  clock: systemClock,
  flushIntervalMs: Number(flushIntervalMs),
  segmentMaxBytes: 8 * 1024 * 1024,
  onWritten: () => undefined,
  onDrop: (lines) => process.stdout.write(`dropped ${lines}\n`),
  onError: (error) => process.stdout.write(`error ${error}\n`),
});

let appended = 0;
function append() {
  log.append({
    schema: "weir.prediction/1",
    at: new Date().toISOString(),
    decision: String(appended),
    policy: null,
    model: "magika",
    version: "v3",
    role: "primary",
    arms: null,
    status: 200,
    attempt: 1,
    requestId: null,
    durationMs: 3.5,
    queueMs: 1,
    batchSize: 4,
    outputs: { label: "x".repeat(appended % 200) },
  });
  appended += 1;
}

if (count === undefined) {
  setInterval(() => {
    for (let i = 0; i < 10; i += 1) append();
    process.stdout.write(`${appended} ${Date.now()}\n`);
  }, 1);
} else {
  const alive = setInterval(() => undefined, 1000);
  process.once("SIGTERM", () => {
    clearInterval(alive);
    void log.close();
  });
  for (let i = 0; i < Number(count); i += 1) append();
  process.stdout.write(`${appended}\n`);
}
