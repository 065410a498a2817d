import { Command, Option } from "commander";
import { documentWithoutLines, type MeshDocument } from "../../adapters/mesh/mesh-document.js";
import { readCluster } from "../../adapters/mesh/read-cluster.js";
import { readConfigDump, readReplica } from "../../adapters/mesh/read-envoy.js";
import { readMeshFiles } from "../../adapters/mesh/read-files.js";
import { examine, type Finding } from "../../core/doctor/examine.js";
import { findingsPage } from "../../core/doctor/findings-page.js";
import { meshOf, type Expected, type Replica } from "../../core/doctor/mesh.js";
import { objectText } from "../../core/doctor/place.js";
import { EXIT, ExitError } from "../exit.js";
import { requirePolicy } from "../policy-option.js";

type Options = {
  readonly kubeconfig?: string;
  readonly context?: string;
  readonly configDump: readonly string[];
  readonly replica: readonly string[];
  readonly policy?: string;
  readonly json?: true;
  readonly list?: true;
};

export function doctorCommand(): Command {
  return new Command("doctor")
    .description("Look for what keeps Weir from working in a mesh, and say how to mend it.")
    .argument("[path...]", "manifests, Envoy bootstraps or dumps: files, folders, - for stdin")
    .option("--kubeconfig <file>", "examine the live cluster of this kubeconfig")
    .option("--context <name>", "its context; alone, of the default kubeconfig")
    .addOption(
      new Option(
        "--config-dump <file|url...>",
        "an Envoy: its dump, or its admin interface such as http://127.0.0.1:15000",
      ).default([], "none"),
    )
    .addOption(
      new Option(
        "--replica <url...>",
        "replicas of extproc to compare: admin interfaces, or pages of metrics",
      ).default([], "none"),
    )
    .option("-p, --policy <file>", "the policy that should be in force")
    .option("--json", "print one JSON array instead of text")
    .option("--list", "print what is looked for, and examine nothing")
    .addHelpText(
      "after",
      `
Everything that is named is taken as one mesh, so name all that belongs together.
Exit code ${EXIT.ok}: nothing found; ${EXIT.differs}: findings; ${EXIT.badConfiguration}: bad input; ${EXIT.unavailable}: a cluster or Envoy is not there.

  weir render --target istio policy.yaml | weir doctor -
  weir doctor manifests/ --config-dump http://127.0.0.1:15000 -p policy.yaml
  weir doctor --context production`,
    )
    .action(async (paths: readonly string[], options: Options) => {
      if (options.list) {
        process.stdout.write(findingsPage());
        return;
      }
      const expected = await expectedOf(options.policy);
      const { documents, replicas } = await read(paths, options);
      const values = documents.map(({ value }) => value);
      const findings = examine(meshOf(values, replicas, expected));
      const said = findings.map((finding) => saidOf(finding, documents));
      process.stdout.write(
        options.json ? `${JSON.stringify(said, null, 2)}\n` : `${textOf(said, documents)}\n`,
      );
      if (findings.length > 0) process.exitCode = EXIT.differs;
    });
}

async function expectedOf(file: string | undefined): Promise<Expected | undefined> {
  if (file === undefined) return undefined;
  const { source, version, headersRead } = await requirePolicy(file);
  return { policy: source, version, headersRead };
}

async function read(
  paths: readonly string[],
  { kubeconfig, context, configDump, replica }: Options,
): Promise<{ readonly documents: readonly MeshDocument[]; readonly replicas: readonly Replica[] }> {
  const isLive = kubeconfig !== undefined || context !== undefined;
  if (!isLive && paths.length + configDump.length + replica.length === 0) {
    throw new ExitError(
      EXIT.badConfiguration,
      "nothing to examine: name a path, --kubeconfig, --context, --config-dump or --replica",
    );
  }
  const [files, cluster, dumps, answers] = await Promise.all([
    readMeshFiles(paths),
    isLive
      ? readCluster({
          ...(kubeconfig === undefined ? {} : { kubeconfig }),
          ...(context === undefined ? {} : { context }),
        })
      : [],
    Promise.all(configDump.map(readConfigDump)),
    Promise.all(replica.map(readReplica)),
  ]);
  const mesh = [...files, ...cluster, ...dumps.flat()];
  const replicas = answers.map(({ url, policyVersion }, index) => ({
    node: { document: mesh.length + index, path: [], value: undefined },
    ...{ name: url, policyVersion },
  }));
  return {
    documents: [...mesh, ...answers.map(({ url }) => documentWithoutLines(url, undefined))],
    replicas,
  };
}

type Said = Omit<Finding, "document" | "path"> & {
  readonly where: string;
  readonly object: string | null;
};

function saidOf(finding: Finding, documents: readonly MeshDocument[]): Said {
  const { id, severity, what, why, fix, more, document, path } = finding;
  const found = documents[document];
  const object = objectText(found?.value, path) ?? null;
  return { id, severity, where: found?.locate(path).trim() ?? "", object, what, why, fix, more };
}

function textOf(findings: readonly Said[], documents: readonly MeshDocument[]): string {
  const blocks = findings.map(({ id, severity, where, object, what, why, fix, more }) => {
    const places = [where, ...(object === null ? [] : [object])].filter((one) => one !== "");
    const others = more === 0 ? "" : ` (and in ${counted(more, "more place")})`;
    return [
      `${severity} ${id}: ${what}${others}`,
      `  at   ${places.join(", ")}`,
      `  why  ${why}`,
      `  fix  ${fix}`,
      "",
    ].join("\n");
  });
  const bySeverity = (["error", "warning"] as const).map((severity) =>
    counted(findings.filter((one) => one.severity === severity).length, severity),
  );
  const summary = `examined ${counted(documents.length, "document")}: ${bySeverity.join(", ")}`;
  return [...blocks, summary].join("\n");
}

const counted = (count: number, what: string) => `${count} ${what}${count === 1 ? "" : "s"}`;
