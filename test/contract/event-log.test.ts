import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { openJsonlLog } from "../../src/adapters/event-log/jsonl-log.js";
import { systemClock } from "../../src/adapters/system/clock.js";
import type { EventLog } from "../../src/app/ports.js";

type Opened = {
  readonly log: EventLog<unknown>;
  readonly dropped: () => number;
  /** What was recorded; after close only. Removes the log. */
  readonly recorded: () => readonly unknown[];
};

function openJsonl(): Opened {
  const directory = mkdtempSync(join(tmpdir(), "weir-log-"));
  let dropped = 0;
  const log = openJsonlLog<unknown>({
    directory,
    prefix: "contract",
    clock: systemClock,
    onWritten: () => undefined,
    onDrop: (lines) => (dropped += lines),
    onError: () => undefined,
  });
  const recorded = () => {
    const text = readdirSync(directory).map((name) => readFileSync(join(directory, name), "utf8"));
    rmSync(directory, { recursive: true });
    const lines = text.join("").split("\n").slice(0, -1);
    return lines.map((line) => JSON.parse(line) as unknown);
  };
  return { log, dropped: () => dropped, recorded };
}

describe.each([{ name: "JSON Lines segments", open: openJsonl }])(
  "event log: $name",
  ({ open }) => {
    test("records every event once, in the order of append", async () => {
      const { log, recorded, dropped } = open();
      const events = Array.from({ length: 5000 }, (_, n) => ({ n, text: `line\n${n} ☃ \u2028 "` }));
      for (const event of events) log.append(event);
      await log.close();
      expect(recorded()).toEqual(events);
      expect(dropped()).toBe(0);
    });

    test("records the event as it was when it was appended", async () => {
      const { log, recorded } = open();
      const event = { n: 1 };
      log.append(event);
      event.n = 2;
      await log.close();
      expect(recorded()).toEqual([{ n: 1 }]);
    });

    test("an event that cannot be written is dropped and counted, and append does not throw", async () => {
      const { log, recorded, dropped } = open();
      const cycle: Record<string, unknown> = {};
      cycle["self"] = cycle;
      for (const event of [cycle, { n: 1n }, undefined, { n: 2 }]) log.append(event);
      await log.close();
      expect(recorded()).toEqual([{ n: 2 }]);
      expect(dropped()).toBe(3);
    });

    test("close may be called twice, and an append after it is counted as dropped", async () => {
      const { log, recorded, dropped } = open();
      log.append({ n: 1 });
      await Promise.all([log.close(), log.close()]);
      log.append({ n: 2 });
      await log.close();
      expect(recorded()).toEqual([{ n: 1 }]);
      expect(dropped()).toBe(1);
    });
  },
);
