import { Counter, type Registry } from "prom-client";

type LogName = "assignments" | "predictions";

/** Counters of the event logs: call the answer once per log, and hand its parts to openJsonlLog. */
export function prometheusEventLogMetrics(registry: Registry) {
  const counter = (name: string, help: string) =>
    new Counter({ name, help, labelNames: ["log"], registers: [registry] });
  const lines = counter("weir_event_log_lines_total", "Lines written.");
  const bytes = counter("weir_event_log_bytes_total", "Bytes written.");
  const dropped = counter(
    "weir_event_log_dropped_lines_total",
    "Lines lost: the buffer was full, or closing found no disk. Alert on any.",
  );
  const errors = counter("weir_event_log_errors_total", "Writes that the disk refused.");
  return (log: LogName) => {
    // An alert on a rate needs the series before the first loss.
    for (const each of [lines, bytes, dropped, errors]) each.inc({ log }, 0);
    return {
      onWritten: (lineCount: number, byteCount: number) => {
        lines.inc({ log }, lineCount);
        bytes.inc({ log }, byteCount);
      },
      onDrop: (lineCount: number) => {
        dropped.inc({ log }, lineCount);
      },
      onError: () => {
        errors.inc({ log });
      },
    };
  };
}
