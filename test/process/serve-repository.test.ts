import { createHash, generateKeyPairSync, sign } from "node:crypto";
import { mkdir, rename, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { manifest, writeRepository } from "../support/model-repository.js";
import type { Repository } from "../support/model-repository.js";
import { constantModel } from "../support/onnx-model.js";
import { postJson, startServe } from "../support/serve-process.js";
import type { ServeProcess } from "../support/serve-process.js";

let repository: Repository;

beforeEach(async () => {
  repository = await writeRepository({
    "m/1/model.onnx": constantModel(1),
    "m/model.yaml": manifest("maxBatchSize: 8", "versionLabels: { stable: 1 }"),
  });
});
afterEach(() => repository.remove());

const BODY = { inputs: [{ name: "x", shape: [1, 1], datatype: "FP32", data: [0] }] };
const path = (file: string) => join(repository.root, file);
const infer = ({ url }: ServeProcess, version = "") =>
  postJson(`${url}/v2/models/m${version}/infer`, BODY);
const load = ({ url }: ServeProcess) => postJson(`${url}/v2/repository/models/m/load`, {});
const index = async ({ url }: ServeProcess) =>
  (await postJson(`${url}/v2/repository/index`, {})).body as unknown;

async function serving<Result>(
  flags: readonly string[],
  run: (server: ServeProcess) => Promise<Result>,
): Promise<Result> {
  const server = await startServe({ repository: repository.root, flags });
  try {
    return await run(server);
  } finally {
    expect(await server.stop()).toBe(0);
  }
}

const EXPLICIT = ["--model-control", "explicit"];

describe("with --model-control explicit", () => {
  test("under load a new version takes over, and no request is lost", async () => {
    await serving(EXPLICIT, async (server) => {
      const seen: string[] = [];
      let stopped = false;
      const clients = Array.from({ length: 8 }, async () => {
        while (!stopped) {
          const { status, body } = await infer(server);
          seen.push(
            `${status} ${String(body.model_version)} ${String(body.outputs?.[0]?.data[0])}`,
          );
        }
      });
      for (let version = 2; version <= 5; version += 1) {
        await mkdir(path(`m/${version}`));
        await writeFile(path(`m/${version}/model.onnx`), constantModel(version));
        if (version > 2) await rm(path(`m/${version - 1}`), { recursive: true });
        expect((await load(server)).status).toBe(200);
      }
      stopped = true;
      await Promise.all(clients);
      expect(await index(server)).toEqual(
        ["1", "5"].map((version) => ({ name: "m", version, state: "READY" })),
      );
      expect((await infer(server, "/versions/stable")).body.model_version).toBe("1");
      const kinds = new Set(seen);
      expect([...kinds].filter((each) => !/^200 (\d) \1$/.test(each))).toEqual([]);
      expect(kinds.size).toBeGreaterThan(1);
    });
  });

  test("a model file that changed in place is served anew, and a bad one never", async () => {
    await serving(EXPLICIT, async (server) => {
      await writeFile(path("m/1/model.onnx"), constantModel(7));
      expect((await load(server)).status).toBe(200);
      expect((await infer(server)).body.outputs?.[0]?.data).toEqual([7]);
      await writeFile(path("m/1/model.onnx"), constantModel(8).subarray(0, 60));
      const refused = await load(server);
      expect(refused.status).toBe(400);
      expect(refused.body.error).toMatch(/m\/1: .*what was loaded before stays in service/s);
      expect((await infer(server)).body.outputs?.[0]?.data).toEqual([7]);
      expect(await index(server)).toMatchObject([
        { state: "READY", reason: expect.stringMatching(/newer files: model m cannot/) as string },
      ]);
    });
  });
});

test("by default callers change nothing", async () => {
  await serving([], async (server) => {
    const refused = await load(server);
    expect([refused.status, refused.body.error]).toEqual([
      409,
      "load of models is not allowed here: start it with --model-control explicit",
    ]);
  });
});

test("with --model-control poll the files are followed", async () => {
  await serving(["--model-control", "poll"], async (server) => {
    await mkdir(path("m/.new"));
    await writeFile(path("m/.new/model.onnx"), constantModel(2));
    await rename(path("m/.new"), path("m/2"));
    const version = async () => (await infer(server)).body.model_version;
    await expect.poll(version, { timeout: 20_000 }).toBe("2");
    await rm(path("m"), { recursive: true });
    const status = async () => (await infer(server)).status;
    await expect.poll(status, { timeout: 20_000 }).toBe(404);
    expect(await index(server)).toEqual([]);
  });
});

describe("with --model-key", () => {
  const { privateKey, publicKey } = generateKeyPairSync("ed25519");
  const digest = createHash("sha256").update(constantModel(1)).digest();
  const signature = sign(null, digest, privateKey).toString("base64");
  const signed = (text: string) => manifest("versions:", `  1: { signature: "${text}" }`);

  const start = async (text: string | undefined) => {
    if (text !== undefined) await writeFile(path("m/model.yaml"), signed(text));
    await writeFile(path("key.pem"), publicKey.export({ type: "spki", format: "pem" }));
    return serving(
      ["--model-key", path("key.pem")],
      async (server) => (await infer(server)).status,
    );
  };

  test("a model that the key signed is served", async () => {
    expect(await start(signature)).toBe(200);
  });

  test("one that is not signed, or by another key, is not", async () => {
    await expect(start(undefined)).rejects.toThrow(/m\/1: .*is not signed/);
    const other = sign(null, digest, generateKeyPairSync("ed25519").privateKey);
    await expect(start(other.toString("base64"))).rejects.toThrow(/by none of the keys/);
  });

  test("a file that is no public key is refused", async () => {
    await writeFile(path("key.pem"), "no key");
    const flags = ["--model-key", path("key.pem")];
    await expect(startServe({ repository: repository.root, flags })).rejects.toThrow(
      /--model-key .*key\.pem cannot be used/,
    );
  });
});
