import { mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { extname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, expect, test } from "vitest";
import { MAGIKA_PACKAGES, magikaRepository } from "../../src/adapters/toolchain/magika.js";
import type { MagikaVersion } from "../../src/adapters/toolchain/magika.js";
import { fetchPythonPackage } from "../../src/adapters/toolchain/python-package.js";
import { installPython, runPython } from "../support/python-oracle.js";
import { startServe } from "../support/serve-process.js";
import type { InferBody, ServeProcess } from "../support/serve-process.js";

/** What the packages need to run; their own code comes from the wheels that are served. */
const REQUIREMENTS = [
  ...["onnxruntime==1.30.0", "numpy==1.26.4"],
  ...["click==8.1.8", "tqdm==4.67.1", "tabulate==0.9.0", "python-dotenv==1.0.1"],
];

/** Prints what each file gets alone, and then what it gets among all. */
const ORACLE = {
  v1: `
import json, sys
from pathlib import Path
from magika import Magika
magika, paths = Magika(), [Path(path) for path in sys.argv[1:]]
alone = [magika.identify_path(path) for path in paths]
together = magika.identify_paths(paths)
print(json.dumps([[[r.output.ct_label, r.output.score] for r in rs] for rs in (alone, together)]))`,
  v3: `
import json, sys
from magika import Magika
magika, paths = Magika(), sys.argv[1:]
alone = [magika.identify_path(path) for path in paths]
together = magika.identify_paths(paths)
print(json.dumps([[[str(r.output.label), float(r.score)] for r in rs] for rs in (alone, together)]))`,
} as const satisfies Record<MagikaVersion, string>;

const ROOT = fileURLToPath(new URL("../..", import.meta.url));
const PER_EXTENSION = 2;
const MAX_REAL_FILES = 120;
const TOLERANCE = 1e-4;

let server: ServeProcess;
let written: string;
let files: readonly string[];
let dependencies: string;

beforeAll(async () => {
  const repository = await magikaRepository({ versions: ["v1", "v3"] });
  dependencies = await installPython("magika", REQUIREMENTS);
  server = await startServe({ repository });
  written = await mkdtemp(join(tmpdir(), "weir-magika-"));
  files = [...(await edgeCases(written)), ...(await realFiles())];
});

afterAll(async () => {
  await server.stop();
  await rm(written, { recursive: true });
});

/**
 * A file's score depends on whether it is alone in its batch: ONNX Runtime then adds up in another
 * order, and the models' variance, a difference of two large sums, makes up to 0.004 of it where a
 * file has little variety. So each answer is held against the package's own for the same case.
 */
test.each(["v1", "v3"] as const)(
  "Magika %s gives each file what its Python package gives, alone and among others",
  async (version) => {
    expect(files.length).toBeGreaterThan(80);
    const wheel = await fetchPythonPackage(MAGIKA_PACKAGES[version]);
    const oracle = await runPython(ORACLE[version], files, [wheel, dependencies]);
    const [alone, together] = oracle as readonly [Answers, Answers];
    for (const [index, file] of files.entries()) {
      expect(differences(await classify(version, file), [alone[index]]), file).toEqual([]);
    }
    const served = await Promise.all(
      files.map((file, at) => classify(version, file, `t${at % 3}`)),
    );
    for (const [index, file] of files.entries()) {
      const wanted = [alone[index], together[index]];
      expect(differences(served[index], wanted), file).toEqual([]);
    }
    expect(new Set(served.map(([label]) => label)).size).toBeGreaterThanOrEqual(15);
  },
);

type Answer = readonly [label: string, score: number];
type Answers = readonly Answer[];

/** Nothing, where the answer is one of those wanted. */
function differences(answer: Answer | undefined, wanted: readonly (Answer | undefined)[]) {
  const same = wanted.some(
    (each) =>
      answer?.[0] === each?.[0] && Math.abs((answer?.[1] ?? NaN) - (each?.[1] ?? NaN)) < TOLERANCE,
  );
  return same ? [] : { answer, wanted };
}

async function classify(version: MagikaVersion, file: string, tenant = ""): Promise<Answer> {
  const response = await fetch(`${server.url}/v2/models/magika/versions/${version}/infer`, {
    method: "POST",
    headers: { "content-type": "application/octet-stream", "x-tenant": tenant },
    body: await readFile(file),
  });
  expect(response.status, file).toBe(200);
  const { outputs } = (await response.json()) as InferBody;
  const first = (name: string) => outputs?.find((output) => output.name === name)?.data[0];
  return [String(first("label")), Number(first("score"))];
}

/** The first files of each extension, in alphabetical order of their paths. */
async function realFiles(): Promise<readonly string[]> {
  const taken = new Map<string, string[]>();
  for (const folder of ["src", "test", "proto", "node_modules"]) {
    const entries = await readdir(join(ROOT, folder), { recursive: true, withFileTypes: true });
    const paths = entries
      .filter((entry) => entry.isFile())
      .map((entry) => join(entry.parentPath, entry.name))
      .filter((path) => !/\.(node|dll|dylib)$|\.so/.test(path));
    for (const path of paths.sort()) {
      const extension = extname(path) || path.slice(path.lastIndexOf("/"));
      const same = taken.get(extension) ?? [];
      if (same.length < PER_EXTENSION) taken.set(extension, [...same, path]);
    }
  }
  return [...taken.values()].flat().slice(0, MAX_REAL_FILES);
}

/** Where the rules for small files, white space and blocks change. */
async function edgeCases(folder: string): Promise<readonly string[]> {
  const text = "function weir(flow) { return flow.map((drop) => drop * 2); }\n";
  const spaces = (count: number) => " \t\r\n\v\f".repeat(Math.ceil(count / 6)).slice(0, count);
  const contents: Record<string, Buffer | string> = {
    empty: "",
    spaces: spaces(50),
    "many-spaces": spaces(5000),
    "spaces-and-a-word": `${spaces(300)}weir${spaces(300)}`,
    "text-in-spaces": `${spaces(3000)}${text.repeat(40)}${spaces(3000)}`,
    "text-after-a-block-of-spaces": `${spaces(4096)}${text.repeat(40)}`,
    "large-text-in-spaces": `${spaces(4000)}${text.repeat(400)}${spaces(4000)}`,
    "cut-character": `${" ".repeat(4095)}é`,
    latin1: Buffer.from([0xe9, 0xe8, 0x20, 0xe7]),
    "byte-order-mark": "\u{feff}hello",
    "no-break-spaces": "\u00a0".repeat(20),
  };
  for (const size of [1, 7, 8, 9, 15, 16, 17, 512, 1024, 4095, 4096, 4097, 8703, 8704, 8705]) {
    contents[`text-${size}`] = text.repeat(200).slice(0, size);
    contents[`noise-${size}`] = noise(size);
  }
  const paths = Object.entries(contents).map(async ([name, content]) => {
    await writeFile(join(folder, name), content);
    return join(folder, name);
  });
  return Promise.all(paths);
}

/** The same bytes every time: a linear congruential generator, its high bits. */
function noise(size: number): Buffer {
  let state = 1;
  return Buffer.from(
    Array.from({ length: size }, () => {
      state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
      return state >>> 24;
    }),
  );
}
