# frozen_string_literal: true

require "digest"

module Cygni
  # A resumable upload: in parts, and after a broken connection from where the server is.
  class Upload
    # on_progress is called with how many bytes the server has, and of how many.
    def initialize(client, file, content_type, on_progress)
      @client = client
      @file = file
      @content_type = content_type
      @on_progress = on_progress
    end

    # The answer with the completed upload. Raises APIStatusError or APIConnectionError.
    def send_all
      declare
      failures = 0
      until @answer.data["status"] == "complete"
        @on_progress&.call(@answer.data["receivedBytes"], @size)
        begin
          @answer = send_part
          failures = 0
        rescue APIConnectionError, APIStatusError => e
          failures += 1
          raise if failures > Behavior::MAX_RETRIES || !may_go_on?(e)

          sleep(Retries.backoff(failures - 1))
          # Only the server knows how much of the part arrived.
          @answer = @client.request("GET", @path)
        end
      end
      @on_progress&.call(@size, @size)
      @answer
    end

    private

    def declare
      digest = Digest::SHA256.new
      @file.rewind
      while (part = @file.read(Behavior::UPLOAD_PART_BYTES))
        digest << part
      end
      @size = @file.pos
      body = { "sizeBytes" => @size, "sha256" => digest.hexdigest, "contentType" => @content_type }
      @answer = @client.request("POST", "/uploads", body: body)
      @path = "/uploads/#{Encoder.segment(@answer.data["id"])}"
    end

    def send_part
      first = @answer.data["receivedBytes"]
      @file.seek(first)
      content = @file.read(Behavior::UPLOAD_PART_BYTES).to_s
      headers = {
        "Content-Type" => @content_type,
        "Content-Range" => "bytes #{first}-#{first + content.bytesize - 1}/#{@size}"
      }
      # The same bytes again would leave a gap or overlap if some had arrived: what follows a failure is decided above.
      @client.request("PUT", "#{@path}/content", content: content, headers: headers, max_retries: 0)
    end

    def may_go_on?(error)
      case error
      when ConflictError then error.code == "invalid_state" && error.details.key?("receivedBytes")
      when APIConnectionError, InternalServerError then true
      else [408, 429].include?(error.status)
      end
    end
  end
end
