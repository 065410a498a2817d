import { execFile } from "node:child_process";
import { createHash } from "node:crypto";
import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import { ServiceError } from "../../core/error.js";
import { cacheDirectory, exists, inScratchFolder, renameUnlessThere, sweep } from "./cache.js";

export type PythonPackage = {
  readonly name: string;
  readonly version: string;
  /** SHA-256 of the wheel in hex, or one for each platform tag that wheels carry in their name. */
  readonly sha256: string | Readonly<Record<string, string>>;
  /** Platform tag to ask for, such as `any`; absent: what suits this machine. */
  readonly platform?: string;
  /** Python that the wheel is for, such as `3.11`; absent: the one here. Of one that is only read. */
  readonly python?: string;
};

/** How a download tells of itself, and how it is given up. */
export type Fetching = {
  readonly onProgress?: (line: string) => void;
  readonly signal?: AbortSignal;
};

/**
 * Downloads one wheel, without its dependencies, checks it and unpacks it in the cache.
 * What is there already is used as it is. Safe to call at the same time from several processes,
 * and to kill: the folder appears complete, by rename, or not at all.
 *
 * @returns the folder that holds the wheel's files
 */
export async function fetchPythonPackage(
  wanted: PythonPackage,
  { onProgress, signal }: Fetching = {},
): Promise<string> {
  const { name, version, platform } = wanted;
  const parent = join(cacheDirectory(), "python");
  const suffix = platform ?? `${process.platform}-${process.arch}`;
  const folder = join(parent, `${name}-${version}-${suffix}`);
  await sweep(parent);
  if (await exists(folder)) return folder;
  return inScratchFolder(parent, async (scratch) => {
    onProgress?.(`fetching Python package ${name} ${version}`);
    const wheel = await downloadWheel(wanted, scratch, signal);
    await checkWheel(wanted, join(scratch, wheel), wheel);
    const unpacked = join(scratch, "unpacked");
    await python(["-c", UNPACK, join(scratch, wheel), unpacked], scratch, signal);
    await renameUnlessThere(unpacked, folder);
    onProgress?.(`unpacked ${name} ${version} to ${folder}`);
    return folder;
  });
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

async function downloadWheel(
  wanted: PythonPackage,
  into: string,
  signal: AbortSignal | undefined,
): Promise<string> {
  const { name, version, platform, python: forPython } = wanted;
  const args = [
    ...["-m", "pip", "download", `${name}==${version}`, "--dest", into],
    ...["--no-deps", "--only-binary=:all:", "--quiet", "--disable-pip-version-check", "--no-input"],
    ...(platform === undefined ? [] : ["--platform", platform]),
    ...(forPython === undefined ? [] : ["--python-version", forPython]),
  ];
  await python(args, into, signal);
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

/** Python's temporary files go to `scratch`, so that none are left when it is killed. */
async function python(
  args: readonly string[],
  scratch: string,
  signal: AbortSignal | undefined,
): Promise<void> {
  try {
    await run("python3", args, {
      maxBuffer: 16 * 1024 * 1024,
      env: { ...process.env, TMPDIR: scratch },
      killSignal: "SIGKILL",
      ...(signal === undefined ? {} : { signal }),
    });
  } catch (error) {
    signal?.throwIfAborted();
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
