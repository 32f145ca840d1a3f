# frozen_string_literal: true

require "json"

module Cygni
  # One event of a stream. The event "gap" tells that what came before was not kept.
  StreamEvent = Struct.new(:event, :data, :id, keyword_init: true)

  # Why a stream ended: finished, shutdown, unauthorized, tooSlow; and what ended, where it was one thing.
  StreamEnd = Struct.new(:reason, :status, :exit_code, keyword_init: true)

  # A stream of server-sent events over as many connections as it takes. A broken line, or one without a heartbeat, is
  # opened again after the last event seen. Nothing is asked before each; leaving its block closes the connection, and
  # another each goes on after the last event seen. One thread reads it.
  class Stream
    include Enumerable

    # Why the server ended it; nil before it did.
    attr_reader :end
    # Where it would go on.
    attr_reader :last_event_id

    def initialize(transport, call, last_event_id, reader)
      @transport = transport
      @call = call
      @last_event_id = last_event_id
      @reader = reader
      @end = nil
    end

    # The events. Raises APIConnectionError when opening it again does not help, APIStatusError when the API refuses.
    def each(&block)
      return to_enum(:each) unless block

      @failures = 0
      until @end
        broken = read(&block)
        break if @end

        @failures += 1
        raise broken if @failures > @call.max_retries

        sleep(Retries.backoff(@failures - 1))
      end
      self
    end

    private

    # Passes the events of one connection on, to the end; else returns what broke it.
    def read
      parser = EventParser.new
      is_handing = false
      @transport.read(resumed) do |bytes|
        parser.feed(bytes) do |name, data, id|
          next if @end

          @last_event_id = id if id
          next if data.nil? || ends?(name, data)

          @failures = 0
          event = StreamEvent.new(event: name, data: @reader.call(parse(data)), id: id)
          is_handing = true
          yield event
          is_handing = false
        end
        break if @end
      end
      @end ? nil : APIConnectionError.new("The stream #{@call.target} broke off.")
    rescue APIConnectionError => e
      raise if is_handing

      e
    end

    def resumed
      @last_event_id ? @call.with_headers(Behavior::LAST_EVENT_ID_HEADER => @last_event_id) : @call
    end

    def ends?(name, data)
      return false unless name == "end"

      said = parse(data) || {}
      @end = StreamEnd.new(
        reason: said.fetch("reason", "finished"), status: said["status"], exit_code: said["exitCode"]
      ).freeze
      true
    end

    def parse(data)
      JSON.parse(data, freeze: true)
    rescue JSON::ParserError => e
      raise Error, "An event of the stream is no JSON: #{e.message}"
    end
  end
end
