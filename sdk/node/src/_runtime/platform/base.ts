/** What `cygni login` kept: a key, and the one URL it is for. */
export interface Login {
  apiUrl: string;
  apiKey: string;
}

/** Bytes to upload, of which a part can be read again. */
export interface Source {
  readonly size: number;
  /** Hexadecimal. */
  readonly sha256: string;
  read(start: number, end: number): Promise<Uint8Array>;
  close(): Promise<void>;
}
