import { execFile } from "node:child_process";
import { promisify } from "node:util";
import type { IstioTools } from "./istio-tools.js";

export type Istioctl = (
  ...args: readonly string[]
) => Promise<{ readonly code: number; readonly stdout: string; readonly stderr: string }>;

/** istioctl with a deadline: where it looks for a cluster it would wait for ever. */
export function istioctlOf(tools: IstioTools): Istioctl {
  return async (...args) => {
    const options = { timeout: 60_000, maxBuffer: 64 * 1024 * 1024 };
    const run = promisify(execFile)(tools.istioctl, args, options);
    return run.then(
      ({ stdout, stderr }) => ({ code: 0, stdout, stderr }),
      (error: unknown) => {
        const { code, stdout, stderr } = error as Record<"code" | "stdout" | "stderr", string>;
        return { code: Number(code), stdout, stderr };
      },
    );
  };
}

/** What istioctl analyze has against files of all namespaces, without a cluster; null: nothing. */
export async function analysisOf(
  istioctl: Istioctl,
  files: readonly string[],
): Promise<string | null> {
  const { code, stdout, stderr } = await istioctl(
    // Without -A it looks at the default namespace and finds nothing wrong with the others.
    ...["analyze", "-A", "--use-kube=false", "--failure-threshold", "Warning"],
    // That EnvoyFilters are used at all.
    ...["--suppress", "IST0133=EnvoyFilter *", ...files],
  );
  return code === 0 && stderr.includes("No validation issues found") ? null : stdout + stderr;
}
