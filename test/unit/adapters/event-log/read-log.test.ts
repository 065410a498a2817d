import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { type LoggedLine, readJsonlLog } from "../../../../src/adapters/event-log/read-log.js";
import { PREDICTION_SCHEMA, type PredictionEvent } from "../../../../src/schema/events.js";

let root: string;
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), "weir-log-"));
});
afterEach(() => {
  rmSync(root, { recursive: true });
});

const aPrediction = (changes: Partial<PredictionEvent> = {}): PredictionEvent => ({
  schema: PREDICTION_SCHEMA,
  at: "2026-11-22T10:11:12.000Z",
  decision: "01JD",
  policy: "p1",
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
  outputs: { label: "größe ☃" },
  ...changes,
});
const lineOf = (event: unknown) => `${JSON.stringify(event)}\n`;

function written(name: string, text: string | Buffer): string {
  const path = join(root, name);
  writeFileSync(path, text);
  return path;
}

async function read(...paths: string[]): Promise<LoggedLine[]> {
  const lines: LoggedLine[] = [];
  for await (const line of readJsonlLog(paths)) lines.push(line);
  return lines;
}

test("every line comes with its event, its text and its place", async () => {
  const file = written("a.jsonl", lineOf(aPrediction()) + lineOf(aPrediction({ attempt: 2 })));
  const event = aPrediction({ attempt: 2 });
  expect((await read(file))[1]).toEqual({
    kind: "event",
    file,
    lineNumber: 2,
    line: JSON.stringify(event),
    event,
  });
});

test("a directory gives its .jsonl files by name, and a file that is named twice is read once", async () => {
  const second = written("b.jsonl", lineOf(aPrediction({ decision: "2" })));
  written("a.jsonl", lineOf(aPrediction({ decision: "1" })));
  written("notes.txt", "not a log");
  mkdirSync(join(root, "empty"));
  const lines = await read(root, second, join(root, "empty"));
  expect(lines.map((line) => line.kind === "event" && line.event.decision)).toEqual(["1", "2"]);
});

test("characters that are cut by a read boundary are put together again", async () => {
  const events = Array.from({ length: 2000 }, (_, n) =>
    aPrediction({ outputs: { text: "☃".repeat(n % 97) } }),
  );
  const lines = await read(written("a.jsonl", events.map(lineOf).join("")));
  expect(lines.map((line) => line.kind === "event" && line.event)).toEqual(events);
});

test.each([
  { name: "half a line", cut: 40, kind: "torn" },
  { name: "a line without its last brace", cut: -2, kind: "torn" },
  { name: "a whole line without its newline", cut: -1, kind: "event" },
  { name: "a whole line", cut: undefined, kind: "event" },
])("a segment that ends in $name ends in a line of kind $kind", async ({ cut, kind }) => {
  const file = written("a.jsonl", lineOf(aPrediction()) + lineOf(aPrediction()).slice(0, cut));
  expect((await read(file)).map((line) => line.kind)).toEqual(["event", kind]);
});

test.each([
  {
    name: "a schema of another version",
    line: { ...aPrediction(), schema: "weir.prediction/2" },
    issue:
      'schema "weir.prediction/2" is unknown: this version of Weir reads weir.assignment/1 and weir.prediction/1',
  },
  { name: "no schema", line: {}, issue: "schema undefined is unknown" },
  { name: "JSON that is no object", line: [1], issue: "schema undefined is unknown" },
  { name: "a field of another type", line: aPrediction({ status: 2.5 }), issue: "status: " },
])("$name is reported with its line, and reading goes on", async ({ line, issue }) => {
  const file = written("a.jsonl", lineOf(line) + lineOf(aPrediction()));
  const [bad, good] = await read(file);
  expect(bad).toMatchObject({ kind: "invalid", file, lineNumber: 1 });
  expect(bad?.kind === "invalid" && bad.issue).toContain(issue);
  expect(good).toMatchObject({ kind: "event", lineNumber: 2 });
});

test("text that is not JSON in the middle is invalid, and empty lines are skipped", async () => {
  const file = written("a.jsonl", `\n\0\0\0\n${lineOf(aPrediction())}`);
  expect(await read(file)).toMatchObject([
    { kind: "invalid", lineNumber: 2, issue: "the line is not JSON" },
    { kind: "event", lineNumber: 3 },
  ]);
});

test("an empty segment has no lines", async () => {
  expect(await read(written("a.jsonl", ""))).toEqual([]);
});

test("a path that is not there is an error that names it, and why", async () => {
  const missing = join(root, "missing");
  const message = `log ${JSON.stringify(missing)} cannot be read: ENOENT`;
  await expect(read(missing)).rejects.toThrow(message);
});

test("a file without lines is refused before it fills the memory", async () => {
  const file = written("a.jsonl", Buffer.alloc(5 * 1024 * 1024, 0x20));
  await expect(read(file)).rejects.toThrow("this is no event log");
});
