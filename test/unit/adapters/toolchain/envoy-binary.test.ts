import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { delimiter, join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { envoyBinary } from "../../../../src/adapters/toolchain/envoy-binary.js";

let folder = "";
const at = (path: string) => join(folder, path);

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "weir-envoy-binary-"));
  // One folder holds a file that cannot be run, one a folder of that name, one the real thing.
  for (const name of ["not-executable", "a-folder/envoy", "good", "better"]) {
    await mkdir(at(name), { recursive: true });
  }
  await writeFile(at("not-executable/envoy"), "", { mode: 0o644 });
  await writeFile(at("good/envoy"), "", { mode: 0o755 });
  await writeFile(at("better/envoy-1.40"), "", { mode: 0o755 });
});
afterAll(() => rm(folder, { recursive: true }));

const PATH = () => ["", at("not-executable"), at("a-folder"), at("good")].join(delimiter);

test("the first executable file named envoy on PATH is taken", async () => {
  expect(await envoyBinary({ environment: { PATH: PATH() } })).toBe(at("good/envoy"));
});

test("ENVOY_BIN comes before PATH", async () => {
  const environment = { PATH: PATH(), ENVOY_BIN: at("better/envoy-1.40") };
  expect(await envoyBinary({ environment })).toBe(at("better/envoy-1.40"));
});

test("an ENVOY_BIN that cannot be run is an error, not a reason to look elsewhere", async () => {
  const environment = { PATH: PATH(), ENVOY_BIN: at("not-executable/envoy") };
  await expect(envoyBinary({ environment })).rejects.toMatchObject({
    code: "dependencyDown",
    message: expect.stringMatching(/^ENVOY_BIN is ".*", which is not an executable file/) as string,
  });
});
