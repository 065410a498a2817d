import fc from "fast-check";
import { expect, test } from "vitest";
import { OpenStreams } from "../../../../../src/servers/grpc/http2/open-streams.js";

type Stream = { readonly id: number };
const streamOf = (id: number): Stream => ({ id });
const anId = fc.nat(2 ** 30 - 1).map((at) => 2 * at + 1);

test("law: it holds what a Map would, whichever ids a peer opens and closes", () => {
  const few = fc.integer({ min: 0, max: 40 }).map((at) => 2 * at + 1);
  fc.assert(
    fc.property(fc.array(fc.oneof(few, anId), { maxLength: 400 }), (ids) => {
      const together = { streams: 0 };
      const streams = new OpenStreams<Stream>(1000, together);
      const wanted = new Map<number, Stream>();
      for (const id of ids) {
        const known = wanted.get(id);
        expect(streams.get(id)).toBe(known);
        if (known === undefined) {
          const stream = streamOf(id);
          streams.add(stream);
          wanted.set(id, stream);
        } else {
          expect(streams.delete(id)).toBe(true);
          wanted.delete(id);
        }
        expect(streams.size).toBe(wanted.size);
      }
      expect(new Set(streams.values())).toEqual(new Set(wanted.values()));
      expect(together.streams).toBe(wanted.size);
      for (const id of ids) expect(streams.get(id)).toBe(wanted.get(id));
    }),
    { numRuns: 500 },
  );
});

test("100,000 streams are opened in a row and closed in any order, and leave nothing", () => {
  const together = { streams: 0 };
  const streams = new OpenStreams<Stream>(100_000, together);
  const ids = Array.from({ length: 100_000 }, (_, at) => 2 * at + 1);
  for (const id of ids) streams.add(streamOf(id));
  expect(streams.isFull).toBe(true);
  expect(ids.every((id) => streams.get(id)?.id === id)).toBe(true);
  const order = ids.map((id) => [Math.imul(id, 0x9e3779b1), id] as const).sort(([a], [b]) => a - b);
  expect(order.every(([, id]) => streams.delete(id))).toBe(true);
  expect([streams.size, streams.values(), together.streams]).toEqual([0, [], 0]);
  expect(streams.delete(1)).toBe(false);
});

test("a stream that stays open for long is found among all that come after it", () => {
  const streams = new OpenStreams<Stream>(1000, { streams: 0 });
  const first = streamOf(1);
  streams.add(first);
  for (let id = 3; id < 100_000; id += 2) {
    streams.add(streamOf(id));
    if (id > 101) streams.delete(id - 100);
  }
  expect(streams.get(1)).toBe(first);
  expect(streams.size).toBe(51);
});
