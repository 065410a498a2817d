import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { mkdtemp, readdir, rm } from "node:fs/promises";
import { constants, tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { afterEach, beforeEach, expect, test } from "vitest";
import { systemClock } from "../../src/adapters/system/clock.js";
import { setStage } from "../../src/demo/stage.js";
import { eventually } from "../support/envoy-process.js";

const CLI = fileURLToPath(new URL("../../dist/processes/cli.js", import.meta.url));
/** Far less than a pod takes to load its model, and to drain. */
const PROMPT_MS = 4000;

let temporary: string;
beforeEach(async () => {
  temporary = await mkdtemp(join(tmpdir(), "weir-demo-stop-"));
});
afterEach(() => rm(temporary, { recursive: true }));

/** Starts the demo as the leader of a process group, and waits for a line that holds the text. */
async function demoUntil(text: string) {
  const child = spawn(process.execPath, [CLI, "demo"], {
    detached: true,
    stdio: ["ignore", "pipe", "pipe"],
    env: { ...process.env, TMPDIR: temporary },
  });
  const pid = child.pid!;
  let stderr = "";
  child.stderr.setEncoding("utf8").on("data", (part: string) => (stderr += part));
  const exited = once(child, "exit") as Promise<[number | null]>;
  const said = new Promise<void>((resolve) => {
    createInterface(child.stdout).on("line", (line) => {
      if (line.includes(text)) resolve();
    });
  });
  await Promise.race([said, exited.then(() => Promise.reject(new Error(stderr)))]);
  return { pid, child, exited, stderr: () => stderr };
}

/** No process of the group is left, and no folder of the demo. */
async function nothingRemains(group: number) {
  await eventually("the end of every process of the demo", () => {
    try {
      process.kill(-group, 0);
      return undefined;
    } catch {
      return true;
    }
  });
  expect(await readdir(temporary)).toEqual([]);
}

test.each([
  { at: "inference pods", signal: "SIGINT", to: "group", times: 1 },
  { at: "inference pods", signal: "SIGTERM", to: "demo", times: 1 },
  { at: "inference pods", signal: "SIGHUP", to: "group", times: 2 },
  { at: "starting weir extproc", signal: "SIGINT", to: "demo", times: 2 },
  { at: "starting Envoy", signal: "SIGTERM", to: "group", times: 2 },
  { at: "sending", signal: "SIGINT", to: "group", times: 2 },
  { at: "300 of 1200", signal: "SIGHUP", to: "demo", times: 1 },
] as const)("$signal to the $to at '$at', $times times", async ({ at, signal, to, times }) => {
  const demo = await demoUntil(at);
  const startedMs = systemClock.monotonicMs();
  for (let n = 0; n < times; n += 1) process.kill(to === "group" ? -demo.pid : demo.pid, signal);
  const [code] = await demo.exited;
  expect(systemClock.monotonicMs() - startedMs).toBeLessThan(PROMPT_MS);
  expect([code, demo.stderr()]).toEqual([128 + constants.signals[signal], "demo stopped\n"]);
  await nothingRemains(demo.pid);
});

test("Ctrl-C after the claims is how the demo ends: exit code 0", async () => {
  const demo = await demoUntil("It stays up until Ctrl-C");
  process.kill(-demo.pid, "SIGINT");
  expect([(await demo.exited)[0], demo.stderr()]).toEqual([0, ""]);
  await nothingRemains(demo.pid);
});

test("what is written while the processes are being killed goes with the folder", async () => {
  const write = `
    const { writeFileSync } = require("node:fs");
    for (let n = 0; ; n++) try { writeFileSync(process.pid + "-" + n, "") } catch { /* removed */ }`;
  for (let round = 0; round < 5; round += 1) {
    const stage = setStage();
    for (let n = 0; n < 3; n += 1) stage.start(process.execPath, ["-e", write], stage.folder);
    await eventually("files", async () => (await readdir(stage.folder)).length > 100 || undefined);
    stage.strike();
    expect(existsSync(stage.folder)).toBe(false);
  }
});

test("a reader that goes away takes the demo with it", async () => {
  const demo = await demoUntil("starting weir extproc");
  demo.child.stdout.destroy();
  await demo.exited;
  await nothingRemains(demo.pid);
});
