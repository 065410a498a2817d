import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, expect, test } from "vitest";
import { magikaRepository } from "../../src/adapters/toolchain/magika.js";
import { startServe } from "../support/serve-process.js";
import type { InferBody, ServeProcess } from "../support/serve-process.js";

const ROOT = fileURLToPath(new URL("../../src/core", import.meta.url));

let server: ServeProcess;
let bodies: readonly Buffer[];

beforeAll(async () => {
  server = await startServe({ repository: await magikaRepository({ versions: ["v3"] }) });
  const names = await readdir(ROOT, { recursive: true });
  const files = names.filter((name) => name.endsWith(".ts")).sort();
  bodies = await Promise.all(files.slice(0, 50).map((file) => readFile(join(ROOT, file))));
});
afterAll(async () => {
  expect(await server.stop()).toBe(0);
});

async function classify(body: Buffer, tenant: string) {
  const response = await fetch(`${server.url}/v2/models/magika/infer`, {
    method: "POST",
    headers: { "content-type": "application/octet-stream", "x-tenant": tenant },
    body,
  });
  const { outputs } = (await response.json()) as InferBody;
  const first = (name: string) => outputs?.find((output) => output.name === name)?.data[0];
  return { status: response.status, label: first("label"), score: Number(first("score")) };
}

test("150 files at once are all answered, and as they are one by one", async () => {
  const single: Awaited<ReturnType<typeof classify>>[] = [];
  for (const body of bodies) single.push(await classify(body, ""));
  const wanted = Array.from({ length: 150 }, (_, at) => at % bodies.length);
  const together = await Promise.all(
    wanted.map((at, index) => classify(bodies[at] ?? Buffer.alloc(0), `t${index % 3}`)),
  );
  expect(together.map(({ status }) => status)).toEqual(wanted.map(() => 200));
  expect(together.map(({ label }) => label)).toEqual(wanted.map((at) => single[at]?.label));
  const worst = Math.max(
    ...together.map(({ score }, index) =>
      Math.abs(score - (single[wanted[index] ?? 0]?.score ?? NaN)),
    ),
  );
  expect(worst).toBeLessThan(1e-4);
});
