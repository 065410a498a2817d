import { expect, test } from "vitest";
import { type LogLevel, makeLogger } from "../../../../src/adapters/system/logger.js";

const UNIT = "unit-7f3a-of-a-person";
const SECRET = "hunter2-the-token";

function loggedAt(level: LogLevel) {
  const lines: string[] = [];
  const logger = makeLogger({ name: "weir test", level }, { write: (line) => lines.push(line) });
  return { logger, lines };
}

test.each([
  {
    shape: "request headers",
    fields: { req: { headers: { "x-user-id": UNIT, authorization: SECRET } } },
  },
  { shape: "facts", fields: { facts: { headers: { cookie: UNIT }, principal: SECRET } } },
  { shape: "headers", fields: { headers: { "x-weir-override-token": SECRET, uid: UNIT } } },
  { shape: "a unit", fields: { unit: UNIT, unitId: UNIT, userId: UNIT } },
  { shape: "units by name", fields: { decision: { units: { user: UNIT } } } },
  { shape: "a limit's key", fields: { charge: { limit: "per-tenant", key: UNIT } } },
  {
    shape: "tokens",
    fields: { token: SECRET, override: { token: SECRET }, a: { b: { token: SECRET } } },
  },
  {
    shape: "an error that carries its request",
    fields: { err: Object.assign(new Error("boom"), { headers: { uid: UNIT }, token: SECRET }) },
  },
])("$shape: neither the unit nor the secret is in the log", ({ fields }) => {
  const { logger, lines } = loggedAt("debug");
  logger.info(fields, "constant message");
  logger.child(fields).debug("constant message");
  expect(lines).toHaveLength(2);
  for (const line of lines) {
    expect(line).not.toContain(UNIT);
    expect(line).not.toContain(SECRET);
    expect(line).toContain("[redacted]");
  }
});

test("a line is one JSON object with time, level, name and facts", () => {
  const { logger, lines } = loggedAt("info");
  logger.warn({ model: "magika", err: new Error("boom") }, "reload refused");
  expect(JSON.parse(lines[0]!)).toMatchObject({
    level: "warn",
    time: expect.stringMatching(/^\d{4}-\d\d-\d\dT[\d:.]+Z$/) as unknown,
    name: "weir test",
    model: "magika",
    err: { type: "Error", message: "boom" },
    msg: "reload refused",
  });
});

test("below its level nothing is written", () => {
  const { logger, lines } = loggedAt("warn");
  logger.info("started");
  expect(lines).toEqual([]);
});
