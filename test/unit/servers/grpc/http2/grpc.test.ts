import { expect, test } from "vitest";
import { trailersOf } from "../../../../../src/servers/grpc/http2/grpc.js";
import { FieldDecoder } from "../../../../../src/servers/grpc/http2/hpack.js";

const INTERNAL = 13;

function messageOf(details: string): string {
  const { fields } = new FieldDecoder(65_536).decode(trailersOf(INTERNAL, details));
  return String(fields.find(({ name }) => name === "grpc-message")?.value);
}

test.each(["", "100 %, and \u{1F600} é\n", "a".repeat(1999) + "é", "a" + "\u{1F600}".repeat(2000)])(
  "details arrive as they are, or as their beginning in whole characters",
  (details) => {
    const arrived = decodeURIComponent(messageOf(details));
    expect(details.startsWith(arrived)).toBe(true);
    expect(Buffer.byteLength(arrived)).toBeGreaterThan(
      Math.min(Buffer.byteLength(details), 1997) - 1,
    );
    expect(Buffer.byteLength(arrived)).toBeLessThanOrEqual(2000);
  },
);
