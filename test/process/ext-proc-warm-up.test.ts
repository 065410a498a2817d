import { mkdtemp, readdir, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { POLICY_TEXT } from "../support/policy-text.js";
import { startWeir, type WeirProcess } from "../support/weir-process.js";

let folder: string;
let extproc: WeirProcess;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "weir-warm-up-"));
  await writeFile(join(folder, "policy.yaml"), POLICY_TEXT);
  // A proxy of the environment that is not there must not stand in the way.
  process.env["http_proxy"] = "http://127.0.0.1:9";
  extproc = await startWeir("extproc", [
    ...["-p", join(folder, "policy.yaml"), "--log-dir", join(folder, "log"), "--drain-ms", "0"],
  ]);
  delete process.env["http_proxy"];
});
afterAll(async () => {
  await extproc.stop();
  await rm(folder, { recursive: true });
});

test("extproc warms up before it is ready, as its log says", () => {
  const messages = extproc
    .log()
    .trimEnd()
    .split("\n")
    .map((line) => (JSON.parse(line) as { readonly msg: string }).msg);
  expect(messages.filter((message) => /warm|serving/.test(message))).toEqual([
    "warmed up",
    "ext_proc is serving",
  ]);
});

test("neither metrics nor the event log know of it", async () => {
  const metrics = await extproc.metrics();
  const counted = [...metrics].filter(
    ([name, value]) =>
      value !== 0 && /^weir_(?!policy_(info|loads)|build)/.test(name) && !name.includes("le="),
  );
  expect(counted).toEqual([]);
  expect(await readdir(join(folder, "log"))).toEqual([]);
});
