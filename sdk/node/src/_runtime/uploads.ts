import { packDirectory } from "#platform";
import { BEHAVIOR } from "../behavior.js";
import type { Upload, UploadInput } from "../types.js";
import { type RequestOptions, segment } from "./call.js";
import { APIConnectionError, APIStatusError, ConflictError, InternalServerError } from "./errors.js";
import type { Source } from "./platform/base.js";
import { Resource } from "./resource.js";
import type { WithResponse } from "./response.js";
import { backoff, pause } from "./retry.js";

const { contentType: CONTENT_TYPE, partBytes: PART_BYTES } = BEHAVIOR.uploads;

export interface UploadParams {
  /** Told after each part; both in bytes. */
  onProgress?: (sent: number, total: number) => void;
}

export abstract class UploadHelpers extends Resource {
  abstract create(params: UploadInput, options?: RequestOptions): Promise<WithResponse<Upload>>;
  abstract get(uploadId: string, options?: RequestOptions): Promise<WithResponse<Upload>>;

  /**
   * Pack a folder, without what .gitignore and .cygniignore leave out, and upload it; Node only.
   * @throws ArchiveError for what cannot be packed
   */
  async fromDirectory(path: string, params: UploadParams = {}, options: RequestOptions = {}): Promise<Upload> {
    const source = await packDirectory(path);
    try {
      return await this.send(source, CONTENT_TYPE, params, options);
    } finally {
      await source.close();
    }
  }

  /** Upload an archive that is there already: a gzipped tar, unless the blob's type says otherwise. */
  async fromBlob(blob: Blob, params: UploadParams = {}, options: RequestOptions = {}): Promise<Upload> {
    const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", await blob.arrayBuffer()));
    const source: Source = {
      size: blob.size,
      sha256: Array.from(digest, byte => byte.toString(16).padStart(2, "0")).join(""),
      read: async (start, end) => new Uint8Array(await blob.slice(start, end).arrayBuffer()),
      close: async () => {},
    };
    return await this.send(source, blob.type || CONTENT_TYPE, params, options);
  }

  /** Part by part, going on where a broken line left off. */
  private async send(source: Source, type: string, params: UploadParams, options: RequestOptions): Promise<Upload> {
    const contentType = type as UploadInput["contentType"] & string;
    let upload: Upload = await this.create({ sizeBytes: source.size, sha256: source.sha256, contentType }, options);
    let failures = 0;
    while (upload.status !== "complete") {
      params.onProgress?.(upload.receivedBytes, source.size);
      try {
        upload = await this.part(upload, source, type, options);
        failures = 0;
      } catch (error) {
        if (++failures > BEHAVIOR.retries.max || !mayGoOn(error)) throw error;
        await pause(backoff(failures - 1), options.signal);
        // Only the server knows how much of the part arrived.
        upload = await this.get(upload.id, options);
      }
    }
    params.onProgress?.(source.size, source.size);
    return upload;
  }

  private async part(upload: Upload, source: Source, type: string, options: RequestOptions): Promise<Upload> {
    const start = upload.receivedBytes;
    const content = await source.read(start, Math.min(start + PART_BYTES, source.size));
    const range = `bytes ${start}-${start + content.length - 1}/${source.size}`;
    return await this.caller.call<Upload>(
      {
        method: "PUT",
        path: `/v1/uploads/${segment(upload.id)}/content`,
        content,
        headers: { "Content-Type": type, "Content-Range": range },
      },
      // The same bytes again would leave a gap or overlap if some had arrived: what follows a failure is decided above.
      { ...options, maxRetries: 0 },
    );
  }
}

function mayGoOn(error: unknown): boolean {
  if (error instanceof ConflictError) return error.code === "invalid_state" && "receivedBytes" in error.details;
  if (error instanceof APIConnectionError || error instanceof InternalServerError) return true;
  return error instanceof APIStatusError && (error.status === 408 || error.status === 429);
}
