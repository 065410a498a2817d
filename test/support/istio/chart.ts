import { execFile } from "node:child_process";
import { join } from "node:path";
import { promisify } from "node:util";
import type { IstioTools } from "./istio-tools.js";

export const CHART = join(import.meta.dirname, "../../../istio/chart");

/** Files of the chart; `ci` is where helm's own tools look for values to test with. */
export const VALUE_SETS = [
  ...["values.yaml", "ci/models.yaml", "ci/everything.yaml", "ci/quiet.yaml"],
  "ci/shared-limits.yaml",
];

/** Built by itself, helm takes the cluster for an old one. */
const KUBERNETES = ["--kube-version", "1.34.0"];

type Helm = Pick<IstioTools, "helm">;

/** What helm prints; rejects with its complaint. */
async function helm(tools: Helm, args: readonly string[]): Promise<string> {
  const all = [...args, ...KUBERNETES];
  return (await promisify(execFile)(tools.helm, all, { timeout: 60_000 })).stdout;
}

/** The chart's manifests as a release `weir` of a namespace has them. */
export const templateChart = (tools: Helm, namespace: string, ...args: readonly string[]) =>
  helm(tools, ["template", "weir", CHART, "--namespace", namespace, ...args]);

export const lintChart = (tools: Helm, values: string) =>
  helm(tools, ["lint", CHART, "--strict", "-f", values]);
