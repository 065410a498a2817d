import {
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import {
  type JsonlLogOptions,
  openJsonlLog,
} from "../../../../src/adapters/event-log/jsonl-log.js";
import { systemClock } from "../../../../src/adapters/system/clock.js";
import type { EventLog } from "../../../../src/app/ports.js";
import { ServiceError } from "../../../../src/core/error.js";

type Numbered = { readonly n: number };

let root: string;
let directory: string;
let opened: EventLog<Numbered>[];
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), "weir-log-"));
  directory = join(root, "logs");
  opened = [];
});
afterEach(async () => {
  await Promise.all(opened.map((log) => log.close()));
  rmSync(root, { recursive: true, force: true });
});

function anOpenLog(options: Partial<JsonlLogOptions> = {}) {
  const seen = { written: 0, bytes: 0, dropped: 0, errors: [] as unknown[] };
  const log = openJsonlLog<Numbered>({
    directory,
    prefix: "test",
    clock: systemClock,
    flushIntervalMs: 5,
    closeTimeoutMs: 300,
    onWritten: (lines, bytes) => {
      seen.written += lines;
      seen.bytes += bytes;
    },
    onDrop: (lines) => (seen.dropped += lines),
    onError: (error) => seen.errors.push(error),
    ...options,
  });
  opened.push(log);
  return { log, seen };
}

const segments = () => readdirSync(directory).sort();
const numbersIn = (name: string) =>
  readFileSync(join(directory, name), "utf8")
    .split("\n")
    .filter((line) => line !== "")
    .map((line) => (JSON.parse(line) as Numbered).n);
const upTo = (count: number) => Array.from({ length: count }, (_, n) => n);
const until = (claim: () => void) => vi.waitFor(claim, { timeout: 5000, interval: 5 });

test("a line reaches the disk within the flush interval, and nothing is made before the first", async () => {
  const { log, seen } = anOpenLog();
  expect(segments()).toEqual([]);
  log.append({ n: 0 });
  await until(() => {
    expect(seen.written).toBe(1);
  });
  expect(segments()).toHaveLength(1);
  expect(segments()[0]).toMatch(new RegExp(`^test-\\d{8}T\\d{6}Z-${process.pid}-0000\\.jsonl$`));
  expect(numbersIn(segments()[0]!)).toEqual([0]);
});

test("segments and their directory are closed to others", async () => {
  const { log } = anOpenLog();
  log.append({ n: 0 });
  await log.close();
  expect(statSync(directory).mode & 0o777).toBe(0o750);
  expect(statSync(join(directory, segments()[0]!)).mode & 0o777).toBe(0o640);
});

test("close writes every line that was appended, in order, over segments of the size asked for", async () => {
  const { log, seen } = anOpenLog({ segmentMaxBytes: 1000, flushIntervalMs: 60_000 });
  for (const n of upTo(1000)) log.append({ n });
  await log.close();
  expect(segments().flatMap(numbersIn)).toEqual(upTo(1000));
  expect(segments().length).toBeGreaterThan(9);
  for (const name of segments()) {
    expect(statSync(join(directory, name)).size).toBeLessThanOrEqual(1000);
  }
  expect(seen).toMatchObject({ written: 1000, dropped: 0, errors: [] });
  const sizes = segments().map((name) => statSync(join(directory, name)).size);
  expect(seen.bytes).toBe(sizes.reduce((sum, size) => sum + size, 0));
});

test("a segment over its age is followed by another", async () => {
  let nowMs = 0;
  const clock = {
    nowMs: () => Date.UTC(2026, 10, 22, 10, 11, 12) + nowMs,
    monotonicMs: () => nowMs,
  };
  const { log, seen } = anOpenLog({ clock, segmentMaxMs: 3_600_000 });
  for (const [n, atMs] of [0, 3_599_999, 3_600_000].entries()) {
    nowMs = atMs;
    log.append({ n });
    await until(() => {
      expect(seen.written).toBe(n + 1);
    });
  }
  expect(segments()).toEqual([
    `test-20261122T101112Z-${process.pid}-0000.jsonl`,
    `test-20261122T111112Z-${process.pid}-0001.jsonl`,
  ]);
  expect(segments().map(numbersIn)).toEqual([[0, 1], [2]]);
});

test("two logs that would use the same names never share a segment", async () => {
  const clock = { nowMs: () => 0, monotonicMs: () => performance.now() };
  const [one, two] = [anOpenLog({ clock }), anOpenLog({ clock })];
  one.log.append({ n: 1 });
  await one.log.close();
  two.log.append({ n: 2 });
  await two.log.close();
  expect(segments().map(numbersIn)).toEqual([[1], [2]]);
});

test("a directory that vanishes is made again, and only lines that were deleted are lost", async () => {
  const { log, seen } = anOpenLog();
  log.append({ n: 0 });
  await until(() => {
    expect(seen.written).toBe(1);
  });
  rmSync(directory, { recursive: true });
  log.append({ n: 1 });
  await until(() => {
    expect(seen.written).toBe(2);
  });
  expect(segments().flatMap(numbersIn)).toEqual([1]);
  expect(seen.errors).toEqual([]);
});

test("while the disk refuses, lines wait up to the bound, the rest is counted, and all that waited is written", async () => {
  const { log, seen } = anOpenLog({ maxBufferedBytes: 80 });
  renameSync(directory, join(root, "away"));
  writeFileSync(directory, "a file where the directory was");
  for (const n of upTo(100)) log.append({ n });
  await until(() => {
    expect(seen.errors.length).toBeGreaterThan(0);
  });
  expect(seen.dropped).toBe(90);
  expect(String(seen.errors[0])).toMatch(/EEXIST|ENOTDIR/);
  rmSync(directory);
  await until(() => {
    expect(seen.written).toBe(10);
  });
  expect(segments().flatMap(numbersIn)).toEqual(upTo(10));
  log.append({ n: 100 });
  await log.close();
  expect(segments().flatMap(numbersIn)).toEqual([...upTo(10), 100]);
});

test("close gives up on a disk that keeps refusing, and counts what was lost", async () => {
  const { log, seen } = anOpenLog();
  rmSync(directory, { recursive: true });
  writeFileSync(directory, "");
  for (const n of upTo(7)) log.append({ n });
  await log.close();
  expect(seen).toMatchObject({ written: 0, dropped: 7 });
});

test("a directory that cannot be made is refused at the start, by name", () => {
  writeFileSync(directory, "");
  expect(() => anOpenLog()).toThrow(ServiceError);
  expect(() => anOpenLog()).toThrow(`log directory ${JSON.stringify(directory)} cannot be written`);
});
