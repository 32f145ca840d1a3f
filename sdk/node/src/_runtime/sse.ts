/*
Server-sent events without a connection: text in, events out. The format is the one of the HTML standard, section
"Server-sent events".
*/

/** One event; `data` is its parsed JSON. `gap` tells that what came before was not kept. */
export interface StreamEvent<T> {
  event: string;
  data: T;
  id: string | null;
}

// A CR that ends the buffer may be half of a CRLF: it waits for what follows.
const LINE_END = /\r\n|\n|\r(?=[\s\S])/;

export class EventParser<T> {
  private readonly decoder = new TextDecoder();
  private buffer = "";
  private name = "";
  private data: string[] = [];
  private id: string | null = null;

  /** The events completed by these bytes. */
  feed(chunk: Uint8Array): StreamEvent<T>[] {
    const lines = (this.buffer + this.decoder.decode(chunk, { stream: true })).split(LINE_END);
    this.buffer = lines.pop() ?? "";
    return lines.map(line => this.take(line)).filter(event => event !== null);
  }

  private take(line: string): StreamEvent<T> | null {
    if (line === "") return this.complete();
    const colon = line.indexOf(":");
    const field = colon < 0 ? line : line.slice(0, colon);
    const value = colon < 0 ? "" : line.slice(colon + 1).replace(/^ /, "");
    if (field === "event") this.name = value;
    else if (field === "data") this.data.push(value);
    else if (field === "id" && !value.includes("\0")) this.id = value;
    return null;
  }

  private complete(): StreamEvent<T> | null {
    const { name, data, id } = this;
    this.name = "";
    this.data = [];
    this.id = null;
    return data.length > 0 ? { event: name || "message", data: JSON.parse(data.join("\n")), id } : null;
  }
}
