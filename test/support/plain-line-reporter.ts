import type { Reporter, TestModule } from "vitest/node";

/** Ends a run with the one line that any tool can read: `N passed, N failed`. */
export default class PlainLineReporter implements Reporter {
  onTestRunEnd(modules: readonly TestModule[], errors: readonly unknown[]): void {
    const tests = modules.flatMap((module) => [...module.children.allTests()]);
    const count = (state: string) => tests.filter((test) => test.result().state === state).length;
    const brokenFiles = modules.filter(
      (module) => module.state() === "failed" && module.errors().length > 0,
    );
    const failed = count("failed") + brokenFiles.length + errors.length;
    const skipped = count("skipped");
    process.stdout.write(
      `${count("passed")} passed, ${failed} failed${skipped > 0 ? `, ${skipped} skipped` : ""}\n`,
    );
  }
}
