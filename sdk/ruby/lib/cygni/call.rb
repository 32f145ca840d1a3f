# frozen_string_literal: true

require "json"
require "securerandom"

module Cygni
  # One request, the same at every attempt: its idempotency key is made once.
  Call = Struct.new(:http_method, :target, :headers, :content, :timeout, :max_retries, keyword_init: true) do
    def with_headers(more) = dup.tap { |copy| copy.headers = headers.merge(more) }
  end

  # Turns the arguments of a method into a Call, with the client's URL, key and defaults.
  class CallBuilder
    attr_reader :base_url

    def initialize(target, max_retries:, timeout:, client_name:)
      @base_url = target.base_url
      @max_retries = max_retries
      @timeout = timeout
      runtime = "ruby/#{RUBY_VERSION}"
      sdk = Behavior::SDK_NAME.sub("{version}", Behavior::VERSION)
      @headers = {
        "Accept" => "application/json",
        # What is cut off must not pass for whole, and only a length as it was sent can tell.
        "Accept-Encoding" => "identity",
        "User-Agent" => Behavior::USER_AGENT.sub("{version}", Behavior::VERSION).sub("{runtime}", runtime),
        Behavior::CLIENT_HEADER => JSON.generate("name" => client_name, "sdk" => sdk, "runtime" => runtime)
      }
      @headers["Authorization"] = "Bearer #{target.api_key}" unless target.api_key.empty?
      @headers.freeze
    end

    # Raises ArgumentError for a path that is not one: a URL found in an answer must not receive the key.
    def build(http_method, path, query: nil, body: nil, content: nil, headers: nil, accept: nil,
              idempotency_key: nil, if_match: nil, timeout: nil, max_retries: nil)
      http_method = http_method.to_s.upcase
      own = @headers.dup
      unless body.nil?
        content = Encoder.json(body)
        own["Content-Type"] = "application/json"
      end
      idempotency_key ||= SecureRandom.uuid if Behavior::IDEMPOTENT_METHODS.include?(http_method)
      own[Behavior::IDEMPOTENCY_HEADER] = idempotency_key if idempotency_key
      own[Behavior::IF_MATCH_HEADER] = if_match if if_match
      own["Accept"] = accept if accept
      Call.new(
        http_method: http_method, target: target(path, query), headers: merge(own, headers || {}), content: content,
        timeout: timeout || @timeout, max_retries: max_retries || @max_retries
      )
    end

    private

    def target(path, query)
      unless path.start_with?("/")
        raise ArgumentError, "#{path.inspect} is not a path of the API; it looks like /v1/projects"
      end

      # The documentation writes routes with /v1; the base URL ends in it.
      path = path.delete_prefix("/v1") if base_url.end_with?("/v1") && (path == "/v1" || path.start_with?("/v1/"))
      encoded = Encoder.query(query)
      # Joined as text, never resolved: no path can lead to another origin.
      base_url + path + (encoded.empty? ? "" : "?#{encoded}")
    end

    # A header's name is the same in any case, and the caller's goes before one of the SDK's own.
    def merge(own, given)
      return own if given.empty?

      names = given.keys.map { |name| name.to_s.downcase }
      own.reject { |name, _| names.include?(name.downcase) }.merge(given.transform_keys(&:to_s))
    end
  end
end
