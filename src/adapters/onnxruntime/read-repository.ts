import { readdir, readFile, stat } from "node:fs/promises";
import { join } from "node:path";
import { defaultVersionOf } from "../../core/serving/model-version.js";
import { ModelManifest } from "../../schema/model-manifest.js";
import { issuesOf, shapeMessage } from "../../schema/shape-issues.js";
import { ModelFolderName, VersionName } from "../../schema/values.js";
import { issueLines } from "../yaml/issue-lines.js";
import { readYaml } from "../yaml/read-yaml.js";

export type VersionFolder = {
  readonly version: string;
  readonly directory: string;
  /** model.onnx, or the program that stands in for it. */
  readonly modelFile: string;
  readonly isProgram: boolean;
  readonly sha256: string | undefined;
  readonly signature: string | undefined;
  readonly pipelineFile: string | undefined;
  readonly labels: readonly string[];
};

export type ModelFolder = {
  readonly name: string;
  readonly manifest: ModelManifest;
  readonly defaultVersion: string;
  readonly versions: readonly VersionFolder[];
};

export type Repository = {
  readonly models: readonly ModelFolder[];
  /** Everything that is wrong, each line with the file it is in. */
  readonly issues: readonly string[];
};

/** Reads `<root>/<model>/model.yaml` and finds `<root>/<model>/<version>/model.onnx`. */
export async function readRepository(root: string): Promise<Repository> {
  const names = await modelNames(root);
  if (names === undefined) return { models: [], issues: [`${root} is no readable folder`] };
  const found = await Promise.all(names.map((name) => readModel(join(root, name), name)));
  const issues = found.flatMap((each) => each.issues);
  if (names.length === 0) issues.push(`${root} holds no model: a model is a folder in it`);
  return { models: found.flatMap(({ model }) => (model === undefined ? [] : [model])), issues };
}

/** Undefined: there is no such folder. */
export const modelNames = (root: string) => foldersIn(root);

export type ModelRead = { readonly model?: ModelFolder; readonly issues: readonly string[] };

export async function readModel(directory: string, name: string): Promise<ModelRead> {
  const issues = nameIssues(directory, name, ModelFolderName);
  const read = await readManifest(join(directory, "model.yaml"));
  const { ensemble, program } = read.manifest ?? {};
  const instead = ensemble === undefined ? program && "a program" : "an ensemble";
  const folders = (await foldersIn(directory)) ?? [];
  for (const version of folders) {
    const folder = join(directory, version);
    issues.push(...nameIssues(folder, version, VersionName));
    const hasModel = await isFile(join(folder, "model.onnx"));
    if (!hasModel && instead === undefined) issues.push(`${folder} has no model.onnx`);
    if (hasModel && instead !== undefined) {
      issues.push(`${folder} has a model.onnx, and model.yaml ${instead}: remove one`);
    }
  }
  const versions = folders.length === 0 && instead !== undefined ? ["1"] : folders;
  if (versions.length === 0)
    issues.push(`${directory} has no version: a version is a folder in it`);
  issues.push(...read.issues);
  if (read.manifest === undefined || versions.length === 0) return { issues };
  const { manifest, locate } = read;
  for (const listed of Object.keys(manifest.versions)) {
    if (versions.includes(listed)) continue;
    const message = `there is no version folder ${listed}, only ${versions.join(", ")}`;
    issues.push(`${locate(["versions", listed])} versions.${listed}: ${message}`);
  }
  for (const [label, version] of Object.entries(manifest.versionLabels)) {
    const message = versions.includes(label)
      ? "there is a version of that name: a label needs another"
      : `there is no version ${version}, only ${versions.join(", ")}`;
    if (versions.includes(version) && !versions.includes(label)) continue;
    issues.push(`${locate(["versionLabels", label])} versionLabels.${label}: ${message}`);
  }
  const chosen = defaultVersionOf(versions, manifest.defaultVersion);
  if (chosen.kind === "none") {
    issues.push(`${locate(["defaultVersion"])} defaultVersion: ${chosen.because}`);
    return { issues };
  }
  const found = versions.map((version) => versionFolder(directory, version, manifest));
  for (const { pipelineFile, isProgram, modelFile } of found) {
    if (pipelineFile !== undefined && !(await isFile(pipelineFile))) {
      issues.push(`${locate(["pipeline"])} pipeline: ${pipelineFile} is no file`);
    }
    if (isProgram && !(await isFile(modelFile))) {
      issues.push(`${locate(["program"])} program: ${modelFile} is no file`);
    }
  }
  const { version: defaultVersion } = chosen;
  return { model: { name, manifest, defaultVersion, versions: found }, issues };
}

function versionFolder(directory: string, version: string, manifest: ModelManifest): VersionFolder {
  const listed = Object.hasOwn(manifest.versions, version) ? manifest.versions[version] : undefined;
  const pipeline = listed?.pipeline ?? manifest.pipeline;
  return {
    version,
    directory: join(directory, version),
    modelFile:
      manifest.program === undefined
        ? join(directory, version, "model.onnx")
        : join(directory, manifest.program),
    isProgram: manifest.program !== undefined,
    sha256: listed?.sha256,
    signature: listed?.signature,
    pipelineFile: pipeline === undefined ? undefined : join(directory, pipeline),
    labels: listed?.labels ?? manifest.labels,
  };
}

type ManifestRead = {
  readonly manifest?: ModelManifest;
  readonly issues: readonly string[];
  readonly locate: (path: readonly (string | number)[]) => string;
};

/** A model without a manifest is served with every default. */
async function readManifest(file: string): Promise<ManifestRead> {
  const defaults = "apiVersion: weir.dev/v1\nkind: Model\n";
  const text = (await isFile(file)) ? await readFile(file, "utf8") : defaults;
  const { value, issues, locate } = readYaml(file, text);
  if (issues.length > 0) return { issues, locate };
  const parsed = ModelManifest.safeParse(value, { error: shapeMessage });
  if (parsed.success) return { manifest: parsed.data, issues, locate };
  return { issues: issueLines(locate, parsed.error.issues.flatMap(issuesOf)), locate };
}

function nameIssues(
  path: string,
  name: string,
  schema: typeof ModelFolderName | typeof VersionName,
): string[] {
  const parsed = schema.safeParse(name);
  return parsed.success ? [] : parsed.error.issues.map(({ message }) => `${path}: ${message}`);
}

/** Sorted; links are followed, and names that start with a dot are not ours. */
async function foldersIn(directory: string): Promise<readonly string[] | undefined> {
  const names = await readdir(directory).catch(() => undefined);
  if (names === undefined) return undefined;
  const visible = names.filter((name) => !name.startsWith(".")).sort();
  const kinds = await Promise.all(
    visible.map((name) => stat(join(directory, name)).catch(() => null)),
  );
  return visible.filter((_name, index) => kinds[index]?.isDirectory() === true);
}

async function isFile(path: string): Promise<boolean> {
  return stat(path).then(
    (found) => found.isFile(),
    () => false,
  );
}
