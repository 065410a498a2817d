import { createHash } from "node:crypto";
import { copyFile, mkdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseDocument } from "yaml";
import { fetchPythonPackage } from "./python-package.js";
import type { Fetching } from "./python-package.js";
import { cacheDirectory, exists, inScratchFolder, renameUnlessThere } from "./cache.js";

/** The committed parts of the repository: manifest and pipeline, no weights. */
const PARTS = fileURLToPath(new URL("../../../models/magika/", import.meta.url));

export const MAGIKA_VERSIONS = ["v1", "v3"] as const;
export type MagikaVersion = (typeof MAGIKA_VERSIONS)[number];

export const MAGIKA_PACKAGES = {
  v1: {
    name: "magika",
    version: "0.5.1",
    platform: "any",
    sha256: "a4d1f64f71460f335841c13c3d16cfc2cb21e839c1898a1ae9bd5adc8d66cb2b",
  },
  v3: {
    name: "magika",
    version: "1.0.3",
    platform: "any",
    sha256: "938d8e033953f2ddeb8c35dc423aa289ca116bfa7a71a778f6e77460f9025803",
  },
} as const;

type Options = Fetching & {
  /** The first one is the default. */
  readonly versions: readonly MagikaVersion[];
};

/**
 * Builds a model repository with Magika in the cache, or finds it there.
 *
 * @returns the repository's folder, to be given to `weir serve -r`
 */
export async function magikaRepository({ versions, ...fetching }: Options): Promise<string> {
  const parent = join(cacheDirectory(), "repositories");
  return inScratchFolder(parent, async (scratch) => {
    const texts: string[] = await writeParts(versions, join(scratch, "magika"));
    for (const version of versions) {
      const wheel = await fetchPythonPackage(MAGIKA_PACKAGES[version], fetching);
      texts.push(await writeVersion(version, wheel, join(scratch, "magika", version)));
    }
    const digest = createHash("sha256").update(texts.join("\n")).digest("hex").slice(0, 12);
    const folder = join(parent, `magika-${versions.join("-")}-${digest}`);
    if (!(await exists(folder))) await renameUnlessThere(scratch, folder);
    return folder;
  });
}

/** The manifest lists every version; here it is cut to those that are wanted. */
async function writeParts(versions: readonly MagikaVersion[], folder: string): Promise<string[]> {
  await mkdir(folder);
  const manifest = parseDocument(await readFile(join(PARTS, "model.yaml"), "utf8"));
  manifest.set("defaultVersion", versions[0]);
  for (const version of MAGIKA_VERSIONS) {
    if (!versions.includes(version)) manifest.deleteIn(["versions", version]);
  }
  const pipeline = await readFile(join(PARTS, "pipeline.js"), "utf8");
  await writeFile(join(folder, "model.yaml"), String(manifest));
  await writeFile(join(folder, "pipeline.js"), pipeline);
  return [String(manifest), pipeline];
}

async function writeVersion(version: MagikaVersion, wheel: string, folder: string) {
  const name = version === "v1" ? "standard_v1" : "standard_v3_3";
  const model = join(wheel, "magika", "models", name);
  await mkdir(folder);
  await copyFile(join(model, "model.onnx"), join(folder, "model.onnx"));
  const config = join(wheel, "magika", "config");
  const features = version === "v1" ? featuresOfV1(model, config) : featuresOfV3(model, config);
  const text = `${JSON.stringify(await features)}\n`;
  await writeFile(join(folder, "features.json"), text);
  return text;
}

/** What pipeline.js must know of a version, in one form for both packages. */
type Features = {
  readonly inputType: "FP32" | "INT32";
  readonly begin: number;
  readonly middle: number;
  readonly end: number;
  readonly blockSize: number;
  readonly paddingToken: number;
  readonly stripsWhole: boolean;
  /** The model is asked about files of this size, if so many tokens at the start are no padding. */
  readonly minBytes: number;
  readonly minTokens: number;
  readonly labels: readonly string[];
  readonly overwrite: Readonly<Record<string, string>>;
  readonly thresholds: Readonly<Record<string, number>>;
  readonly thresholdOf: "overwritten" | "seen";
  readonly defaultThreshold: number;
  readonly textLabels: readonly string[];
};

type Sizes = { readonly beg: number; readonly mid: number; readonly end: number };
type LabelsV1 = { readonly target_labels_info: { readonly target_labels_space: string[] } };
type ModelConfigV1 = {
  readonly cfg: { readonly input_sizes: Sizes };
  readonly train_dataset_info: LabelsV1;
};
type CommonConfig = {
  readonly min_file_size_for_dl: number;
  readonly padding_token: number;
  readonly block_size: number;
  readonly medium_confidence_threshold: number;
};

async function featuresOfV1(model: string, config: string): Promise<Features> {
  const common = await json<CommonConfig>(join(config, "magika_config.json"));
  const { cfg, train_dataset_info } = await json<ModelConfigV1>(join(model, "model_config.json"));
  const { thresholds } = await json<Pick<Features, "thresholds">>(join(model, "thresholds.json"));
  const types = await json<Readonly<Record<string, { readonly tags: string[] }>>>(
    join(config, "content_types_config.json"),
  );
  const { beg: begin, mid: middle, end } = cfg.input_sizes;
  return {
    inputType: "FP32",
    ...{ begin, middle, end, blockSize: common.block_size, paddingToken: common.padding_token },
    stripsWhole: true,
    // This version leaves files of the minimum size itself to the rule for small files.
    minBytes: common.min_file_size_for_dl + 1,
    minTokens: common.min_file_size_for_dl,
    labels: train_dataset_info.target_labels_info.target_labels_space,
    overwrite: await json(join(model, "model_output_overwrite_map.json")),
    thresholds,
    thresholdOf: "overwritten",
    defaultThreshold: common.medium_confidence_threshold,
    textLabels: Object.keys(types).filter((label) => types[label]?.tags.includes("text")),
  };
}

type ModelConfigV3 = CommonConfig & {
  readonly beg_size: number;
  readonly mid_size: number;
  readonly end_size: number;
  readonly target_labels_space: readonly string[];
  readonly thresholds: Readonly<Record<string, number>>;
  readonly overwrite_map: Readonly<Record<string, string>>;
};

async function featuresOfV3(model: string, config: string): Promise<Features> {
  const own = await json<ModelConfigV3>(join(model, "config.min.json"));
  const types = await json<Readonly<Record<string, { readonly is_text: boolean }>>>(
    join(config, "content_types_kb.min.json"),
  );
  return {
    inputType: "INT32",
    ...{ begin: own.beg_size, middle: own.mid_size, end: own.end_size },
    ...{ blockSize: own.block_size, paddingToken: own.padding_token },
    stripsWhole: false,
    minBytes: own.min_file_size_for_dl,
    minTokens: own.min_file_size_for_dl,
    labels: own.target_labels_space,
    overwrite: own.overwrite_map,
    thresholds: own.thresholds,
    thresholdOf: "seen",
    defaultThreshold: own.medium_confidence_threshold,
    textLabels: Object.keys(types).filter((label) => types[label]?.is_text === true),
  };
}

/** The packages are pinned by checksum, so their files are of a known form. */
async function json<Value>(file: string): Promise<Value> {
  return JSON.parse(await readFile(file, "utf8")) as Value;
}
