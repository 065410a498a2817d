import type { Server } from "node:http";

/** The requests of a server whose answers are not out yet. */
export class OpenRequests {
  #open = 0;
  #whenNone: (() => void)[] = [];

  constructor(server: Server) {
    server.on("request", (_request, response) => {
      this.#open += 1;
      response.once("close", () => {
        this.#open -= 1;
        if (this.#open === 0) for (const resolve of this.#whenNone.splice(0)) resolve();
      });
    });
  }

  async none(): Promise<void> {
    if (this.#open > 0) await new Promise<void>((resolve) => this.#whenNone.push(resolve));
  }
}
