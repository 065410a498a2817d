import { spawnSync } from "node:child_process";
import { expect, test } from "vitest";

const LOGGER = new URL("../../dist/adapters/system/logger.js", import.meta.url).href;

test("what was logged just before a crash is on stderr, whole, and stdout stays free", () => {
  const script = `
    const { makeLogger } = await import(${JSON.stringify(LOGGER)});
    const logger = makeLogger({ name: "t", level: "info" });
    for (let n = 0; n < 5000; n += 1) logger.info({ n }, "line");
    process.exit(70);
  `;
  const args = ["--input-type=module", "-e", script];
  const { status, stdout, stderr } = spawnSync(process.execPath, args, {
    encoding: "utf8",
    maxBuffer: 16 * 1024 * 1024,
  });
  expect([status, stdout]).toEqual([70, ""]);
  const lines = stderr.trimEnd().split("\n");
  expect(lines.map((line) => (JSON.parse(line) as { n: number }).n)).toEqual(
    Array.from({ length: 5000 }, (_, n) => n),
  );
});
