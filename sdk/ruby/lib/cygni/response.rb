# frozen_string_literal: true

require "json"

module Cygni
  # Where a page stands in its list; page, total and pages are nil in cursor form.
  Pagination = Struct.new(
    :page, :limit, :total, :pages, :total_is_estimate, :has_more, :next_cursor, :prev_cursor, keyword_init: true
  )

  # What the caller should know although the call succeeded.
  Warning = Struct.new(:code, :message, :path, keyword_init: true)

  # The window with the lowest remaining share; reset is the Unix second at which it is full again.
  RateLimit = Struct.new(:limit, :remaining, :reset, :used, :resource, keyword_init: true)

  # One answer. data is nil where it has no JSON (204, 304, CSV); body has the bytes always. The names in headers are
  # in lower case.
  class Response
    JSON_MEDIA = %r{\A\s*(?:application/json|[^;]+\+json)\s*(?:;|\z)}i
    private_constant :JSON_MEDIA

    attr_reader :status, :headers, :body, :data, :meta

    # Splits {data, meta}; a JSON document without that envelope becomes data as it is.
    def initialize(status, headers, body)
      @status = status
      @headers = headers
      @body = body
      @meta = {}
      parsed = json? ? read(body) : nil
      if parsed.is_a?(Hash) && parsed.key?("meta") && (parsed.key?("data") || parsed.key?("error"))
        @data = parsed["data"]
        @meta = parsed["meta"] if parsed["meta"].is_a?(Hash)
      else
        @data = parsed
      end
      # What can be read of an error is better than nothing: a proxy answers with HTML.
      error = parsed.is_a?(Hash) ? parsed["error"] : nil
      @error = error.is_a?(Hash) ? error : {}
      freeze
    end

    # The error object of the envelope; empty where there is none.
    attr_reader :error

    # A header by its name in any case; nil without it.
    def header(name) = headers[name.downcase]

    def success? = (200..299).cover?(status) || status == 304

    # Names the call in the server's log.
    def request_id = header(Behavior::REQUEST_ID_HEADER) || meta["requestId"]

    def etag = header(Behavior::ETAG_HEADER)

    # nil where the answer is no page.
    def pagination
      raw = meta["pagination"] or return
      Pagination.new(
        page: raw["page"], limit: raw["limit"], total: raw["total"], pages: raw["pages"],
        total_is_estimate: raw.fetch("totalIsEstimate", false), has_more: raw.fetch("hasMore", false),
        next_cursor: raw["nextCursor"], prev_cursor: raw["prevCursor"]
      ).freeze
    end

    def warnings
      meta.fetch("warnings", []).map do |each|
        Warning.new(code: each["code"], message: each["message"], path: each["path"]).freeze
      end
    end

    # nil where the plan is unlimited, or the answer was not charged.
    def rate_limit
      numbers = %w[limit remaining reset used].to_h do |name|
        [name.to_sym, header(Behavior::RATE_LIMIT_HEADERS.fetch(name))&.match(/\A\d+\z/)&.to_s&.to_i]
      end
      return unless numbers[:limit] && numbers[:remaining] && numbers[:reset]

      RateLimit.new(**numbers, resource: header(Behavior::RATE_LIMIT_HEADERS.fetch("resource"))).freeze
    end

    def inspect = "#<#{self.class} #{status} #{request_id}>"

    private

    def json? = !body.empty? && JSON_MEDIA.match?(headers.fetch("content-type", ""))

    def read(text)
      JSON.parse(text, freeze: true)
    rescue JSON::ParserError
      nil
    end
  end

  # An answer as it came; parse gives what the method returns.
  class RawResponse < Response
    def initialize(response, &result)
      @result = result
      super(response.status, response.headers, response.body)
    end

    def parse = @result.call
  end
end
