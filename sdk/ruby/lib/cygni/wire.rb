# frozen_string_literal: true

require "net/http"
require "openssl"
require "uri"

module Cygni
  # The connections to one origin, shared by all threads: each is used by one at a time.
  class Wire
    MAX_IDLE = 16
    KEEP_ALIVE_SECONDS = 30
    LATE = [Net::OpenTimeout, Net::ReadTimeout, Net::WriteTimeout, Errno::ETIMEDOUT].freeze
    ERRORS = [
      *LATE, SystemCallError, SocketError, IOError, OpenSSL::SSL::SSLError, Net::ProtocolError, Net::HTTPBadResponse,
      Net::HTTPHeaderSyntaxError
    ].freeze
    private_constant :MAX_IDLE, :KEEP_ALIVE_SECONDS, :LATE, :ERRORS

    def initialize(base_url)
      @address = URI.parse(base_url)
      @origin = base_url[%r{\A[a-z]+://[^/]+}]
      @mutex = Mutex.new
      @idle = []
      @pid = Process.pid
    end

    # The answer, whatever its status. Raises APIConnectionError.
    def exchange(call)
      http = take(call)
      answer = http.request(request(call))
      check_length(answer, answer.body.to_s.bytesize, call)
      response = opened(answer)
      give(http)
      http = nil
      response
    rescue *ERRORS => e
      raise connection_error(e)
    ensure
      finish(http)
    end

    # Yields the pieces of a success's body as they come, an empty one first; returns any other answer. The connection
    # ends with the block. Raises APIConnectionError, and what the block raises as it is.
    def stream(call)
      is_handing = false
      http = connect(call)
      refused = http.request(request(call)) do |answer|
        next unless answer.is_a?(Net::HTTPSuccess)

        size = 0
        hand = lambda do |piece|
          is_handing = true
          yield piece
          is_handing = false
        end
        hand.call("")
        answer.read_body do |piece|
          size += piece.bytesize
          hand.call(piece)
        end
        check_length(answer, size, call)
        return nil
      end
      opened(refused)
    rescue *ERRORS => e
      raise if is_handing

      raise connection_error(e)
    ensure
      finish(http)
    end

    # Closes what is idle; a later call opens anew.
    def close
      idle = @mutex.synchronize { @idle.slice!(0..) }
      idle.each { |http| finish(http) }
    end

    private

    def take(call)
      http = @mutex.synchronize do
        # A child process must not speak on its parent's connections.
        @idle.clear if @pid != Process.pid
        @pid = Process.pid
        @idle.pop
      end
      return connect(call) if http.nil?

      limit(http, call)
    end

    def give(http)
      is_kept = @mutex.synchronize { @idle.size < MAX_IDLE && @idle.push(http) }
      finish(http) unless is_kept
    end

    def connect(call)
      http = limit(Net::HTTP.new(@address.hostname, @address.port), call)
      http.use_ssl = @address.scheme == "https"
      http.keep_alive_timeout = KEEP_ALIVE_SECONDS
      http.max_retries = 0 # repeating is decided in Retries
      http.start
    rescue *ERRORS => e
      raise connection_error(e)
    end

    def limit(http, call)
      http.open_timeout = [Behavior::CONNECT_TIMEOUT_SECONDS, call.timeout].min
      http.ssl_timeout = http.open_timeout unless http.started?
      http.read_timeout = http.write_timeout = call.timeout
      http
    end

    def finish(http)
      http.finish if http&.started?
    rescue IOError
      nil # it is closed already
    end

    def request(call)
      has_body = !call.content.nil?
      headers = call.headers
      headers = headers.merge("Content-Length" => "0") if !has_body && %w[POST PUT PATCH].include?(call.http_method)
      path = call.target.delete_prefix(@origin)
      made = Net::HTTPGenericRequest.new(call.http_method, has_body, call.http_method != "HEAD", path, headers)
      made.body = call.content if has_body
      made
    end

    def opened(answer)
      headers = answer.to_hash.transform_values { |values| values.join(", ").freeze }.freeze
      body = answer.body.to_s.dup.force_encoding(Encoding::UTF_8).freeze
      Response.new(answer.code.to_i, headers, body)
    end

    # net/http takes a body that ends early for a whole one.
    def check_length(answer, size, call)
      expected = answer.content_length
      return if expected.nil? || expected == size || call.http_method == "HEAD" || !answer.class.body_permitted?

      raise EOFError, "the answer broke off after #{size} of #{expected} bytes"
    end

    def connection_error(error)
      if LATE.any? { |kind| error.is_a?(kind) }
        return APITimeoutError.new("#{@origin} did not answer in time (#{error.class}).")
      end

      APIConnectionError.new("#{@origin} did not answer: #{error.message}.")
    end
  end
end
