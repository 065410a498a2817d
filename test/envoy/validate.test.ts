import { execFile } from "node:child_process";
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { ENVOY_VERSIONS, envoyBinary } from "../../src/adapters/toolchain/envoy-binary.js";
import { writeYaml } from "../../src/adapters/yaml/write-yaml.js";
import { ENVOY_DEFAULTS, type EnvoyOptions } from "../../src/core/render/envoy/options.js";
import { renderEnvoy } from "../../src/core/render/envoy/render-envoy.js";
import { fallbackOf, MAX_FALLBACK_BYTES } from "../../src/core/render/fallback/fallback-program.js";
import { aPolicy, anExperiment } from "../support/policy-builder.js";
import { readPolicy } from "../support/read-policy.js";

const EXAMPLES = join(import.meta.dirname, "../../envoy");
const FULL_POLICY = join(import.meta.dirname, "../support/full-policy.yaml");
const folder = mkdtempSync(join(tmpdir(), "weir-validate-"));
afterAll(() => {
  rmSync(folder, { recursive: true, force: true });
});

const { policy, headersRead, fallback } = readPolicy(FULL_POLICY);
const defaults = { ...ENVOY_DEFAULTS, headersRead, fallback };
const everyOption: EnvoyOptions = {
  ...defaults,
  extproc: [
    { kind: "tcp", host: "127.0.0.1", port: 9002 },
    { kind: "unix", path: "/run/weir/extproc.sock" },
  ],
  accessLogFile: "/dev/null",
  failureMode: "closed",
  gracefulClose: false,
  passthrough: { host: "other.example.com", port: 80 },
  maxRequestsPerSecond: null,
};
const namedExtprocs = {
  ...defaults,
  extproc: [{ kind: "tcp", host: "localhost", port: 1 }],
} as const;

const rendered = Object.entries({ defaults, everyOption, namedExtprocs }).map(([name, options]) => {
  const file = join(folder, `${name}.yaml`);
  writeFileSync(file, writeYaml(renderEnvoy(policy, options)));
  return { name: `the full policy with ${name}`, file };
});
/** What is rendered for it is close to the limit of the stand-in for extproc. */
const manyExperiments = aPolicy({
  experiments: Array.from({ length: 2700 }, (_, at) =>
    anExperiment({
      name: `experiment-number-${at}`,
      eligibility: 'request.headers["x-country"] in ["AE", "SA"]',
    }),
  ),
});
const { program: largeProgram } = fallbackOf(manyExperiments);
const largeFile = join(folder, "large.yaml");
writeFileSync(
  largeFile,
  writeYaml(renderEnvoy(manyExperiments.source, { ...ENVOY_DEFAULTS, fallback: largeProgram })),
);
rendered.push({ name: "a policy of 2,700 experiments", file: largeFile });

test("a program close to its limit is among them", () => {
  expect(largeProgram?.length).toBeGreaterThan(0.9 * MAX_FALLBACK_BYTES);
});

const examples = readdirSync(EXAMPLES)
  .filter((name) => name.endsWith(".yaml"))
  .map((name) => ({ name: `envoy/${name}`, file: join(EXAMPLES, name) }));

describe.each(ENVOY_VERSIONS)("Envoy %s", (version) => {
  let envoy = "";
  beforeAll(async () => {
    envoy = await envoyBinary({ version, onProgress: console.log });
  });

  test.each([...examples, ...rendered])("accepts $name without a warning", async ({ file }) => {
    const { stdout, stderr } = await validate(envoy, file);
    expect(stderr.split("\n").filter((line) => /\[(warning|error|critical)\]/.test(line))).toEqual(
      [],
    );
    expect(stdout).toContain("OK");
  });
});

async function validate(
  envoy: string,
  file: string,
): Promise<{ readonly stdout: string; readonly stderr: string }> {
  try {
    return await promisify(execFile)(envoy, ["--mode", "validate", "-c", file]);
  } catch (error) {
    const { stderr = "", stdout = "" } = error as { stderr?: string; stdout?: string };
    const lines = stderr.split("\n").filter((line) => !line.includes("[info]"));
    return { stdout, stderr: lines.join("\n") };
  }
}
