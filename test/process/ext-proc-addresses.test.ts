import { lookup } from "node:dns/promises";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { decisionOf, extProcClient } from "../support/ext-proc-client.js";
import { EVERY_TRANSPORT, extProcServers, user } from "../support/ext-proc-server.js";

describe.each(EVERY_TRANSPORT)("transport $transport", ({ transport }) => {
  const { start, closing } = extProcServers(transport);

  describe("addresses", () => {
    const folder = async () => {
      const path = await mkdtemp(join(tmpdir(), "weir-ext-proc-"));
      closing.push(() => rm(path, { recursive: true }));
      return path;
    };

    test("port 0 becomes the port that was bound", async () => {
      const { address } = await start();
      expect(address).toMatch(/^127\.0\.0\.1:[1-9]\d*$/);
    });

    test("every address of a name serves, on one port", async () => {
      const { address } = await start({ address: "localhost:0" });
      const [, port = ""] = /^localhost:(\d+)$/.exec(address) ?? [];
      for (const { address: ip, family } of await lookup("localhost", { all: true })) {
        const client = extProcClient(family === 6 ? `[${ip}]:${port}` : `${ip}:${port}`);
        closing.push(() => {
          client.close();
        });
        const stream = client.open();
        stream.send(user("u1"));
        expect(decisionOf(await stream.next())).toBe("decision-of-u1");
      }
    });

    test("a unix socket serves, and one that a killed process left behind is replaced", async () => {
      const path = join(await folder(), "weir.sock");
      const killed = createServer().listen(path);
      await new Promise((resolve) => killed.once("listening", resolve));
      // Closing would remove the file; a killed process cannot.
      (killed as unknown as { _handle: { close(): void } })._handle.close();
      const { address, client } = await start({ address: `unix:${path}` });
      expect(address).toBe(`unix:${path}`);
      const stream = client.open();
      stream.send(user("u1"));
      expect(decisionOf(await stream.next())).toBe("decision-of-u1");
      stream.halfClose();
      await stream.status;
    });

    test("a file that is no socket is not touched, and the refusal names it", async () => {
      const path = join(await folder(), "notes.txt");
      await writeFile(path, "keep me");
      await expect(start({ address: `unix:${path}` })).rejects.toThrow(
        /cannot listen on unix:.*notes.txt/,
      );
    });

    test("a port in use is refused with the address and the remedy", async () => {
      const { address } = await start();
      await expect(start({ address })).rejects.toThrow(`cannot listen on ${address}`);
    });
  });
});
