import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { type LoggedLine, readJsonlLog } from "../../src/adapters/event-log/read-log.js";

const WRITER = join(import.meta.dirname, "event-log-writer.mjs");

let directory: string;
let writer: ChildProcess | undefined;
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), "weir-log-"));
});
afterEach(() => {
  writer?.kill("SIGKILL");
  rmSync(directory, { recursive: true });
});

/** Starts a writer and gathers what it prints. */
function started(flushIntervalMs: number, ...count: string[]) {
  const child = spawn(process.execPath, [WRITER, directory, String(flushIntervalMs), ...count], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  writer = child;
  const output = { text: "" };
  child.stdout.setEncoding("utf8").on("data", (text: string) => (output.text += text));
  const ended = once(child, "close");
  return { child, output, ended };
}

async function linesRead(): Promise<LoggedLine[]> {
  const lines: LoggedLine[] = [];
  for await (const line of readJsonlLog([directory])) lines.push(line);
  return lines;
}
const decisionsOf = (lines: readonly LoggedLine[]) =>
  lines.flatMap((line) => (line.kind === "event" ? [Number(line.event.decision)] : []));
const upTo = (count: number) => Array.from({ length: count }, (_, n) => n);

test("after SIGTERM all of 100,000 lines are there, once and in order", async () => {
  const { child, output, ended } = started(60_000, "100000");
  await vi.waitFor(
    () => {
      expect(output.text).toContain("100000\n");
    },
    { timeout: 30_000 },
  );
  child.kill("SIGTERM");
  expect(await ended).toEqual([0, null]);
  expect(output.text).toBe("100000\n");
  expect(decisionsOf(await linesRead())).toEqual(upTo(100_000));
});

test("after SIGKILL at most the last flush interval is missing, and the rest is whole", async () => {
  const flushIntervalMs = 100;
  const { child, output, ended } = started(flushIntervalMs);
  await vi.waitFor(
    () => {
      expect(output.text.split("\n").length).toBeGreaterThan(4000);
    },
    {
      timeout: 30_000,
    },
  );
  child.kill("SIGKILL");
  expect(await ended).toEqual([null, "SIGKILL"]);

  const lines = await linesRead();
  const decisions = decisionsOf(lines);
  expect(decisions).toEqual(upTo(decisions.length));
  expect(lines.filter(({ kind }) => kind === "invalid")).toEqual([]);

  const reports = output.text
    .trimEnd()
    .split("\n")
    .map((line) => line.split(" ").map(Number));
  const lastAtMs = reports.at(-1)![1]!;
  // A busy machine may be late with the timer and hang in the write: many intervals, not one.
  const oldEnough = reports.filter(([, atMs]) => atMs! < lastAtMs - 20 * flushIntervalMs);
  expect(oldEnough.length).toBeGreaterThan(0);
  expect(decisions.length).toBeGreaterThanOrEqual(oldEnough.at(-1)![0]!);
});
