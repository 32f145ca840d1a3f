# frozen_string_literal: true

module Cygni
  # Cygni's API. Safe to share between threads, and across a fork.
  class Client
    include Nouns

    # api_key: else CYGNI_API_KEY, else what `cygni login` kept; "" sends none, for public routes.
    # base_url: else CYGNI_API_URL, else the login's (only with its key), else the hosted API.
    # max_retries, timeout (seconds of silence): for every call that does not say otherwise.
    # client_name: what the server records as the origin of a change.
    # Raises ConfigurationError without a key, or with a URL that is none.
    def initialize(api_key: nil, base_url: nil, max_retries: Behavior::MAX_RETRIES, timeout: Behavior::TIMEOUT_SECONDS,
                   client_name: Behavior::CLIENT_NAME)
      target = Config.resolve(api_key, base_url)
      @calls = CallBuilder.new(target, max_retries: max_retries, timeout: timeout, client_name: client_name)
      @wire = Wire.new(target.base_url)
      freeze
    end

    def base_url = @calls.base_url

    # The same nouns and methods, with status, headers and request id; parse gives the result.
    def raw = RawClient.new(self)

    # Calls any route, with all the retries; path is as documented: /v1/projects. Returns a Response.
    #
    # body is sent as JSON, content as it is. A POST gets an idempotency key of its own unless one is given. Raises
    # APIStatusError for an answer that is an error (the class tells which), APIConnectionError without an answer.
    def request(http_method, path, query: nil, body: nil, content: nil, **options)
      body = Encoder.value(body)
      call = @calls.build(http_method, path, query: query, body: body, content: content, **options)
      Retries.attempt(call) { @wire.exchange(call) }
    end

    # Any list, its items as parsed JSON.
    def paginate(path, query: {})
      List.new(query.transform_keys(&:to_s), :itself.to_proc) { |page| request("GET", path, query: page) }
    end

    # The events of any stream, data as parsed JSON.
    def stream(path, query: {}, last_event_id: nil, **options)
      open_stream(path, query: query, last_event_id: last_event_id, reader: :itself.to_proc, **options)
    end

    # Closes idle connections; the client can be used further.
    def close = @wire.close

    def inspect = "#<#{self.class} #{base_url}>"

    # What the methods of streams call; reader reads each event's data.
    def open_stream( # :nodoc:
      path, query:, last_event_id:, reader:, timeout: Behavior::HEARTBEAT_TIMEOUT_SECONDS, **options
    )
      call = @calls.build("GET", path, query: query, accept: "text/event-stream", timeout: timeout, **options)
      Stream.new(self, call, last_event_id, reader)
    end

    # What the methods of bytes call; yields the pieces.
    def read_bytes(http_method, path, **options) # :nodoc:
      read(@calls.build(http_method, path, accept: "*/*", **options)) { |piece| yield piece unless piece.empty? }
    end

    # Yields the pieces of a success, an empty one first; opening it is tried again as any call is.
    def read(call) # :nodoc:
      is_open = false
      Retries.attempt(call, is_final: -> { is_open }) do
        @wire.stream(call) do |piece|
          is_open = true
          yield piece
        end
      end
    end

    private

    def noun(kind) = kind.new(self)
  end

  # What Client#raw gives.
  class RawClient
    include Nouns

    def initialize(client)
      @client = client
      freeze
    end

    private

    def noun(kind) = kind.new(@client, raw: true)
  end
end
