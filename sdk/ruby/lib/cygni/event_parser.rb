# frozen_string_literal: true

module Cygni
  # The bytes of one connection as events, as the HTML standard's section "Server-sent events" says.
  class EventParser
    BYTE_ORDER_MARK = "\xEF\xBB\xBF".b.freeze
    private_constant :BYTE_ORDER_MARK

    def initialize
      @buffer = String.new(encoding: Encoding::BINARY)
      @begun = false
      clear
    end

    # Yields name, data and id of each event that these bytes complete; data is nil where it has none, as for a
    # comment, and id where it says none.
    def feed(bytes)
      @buffer << bytes.b
      return unless begin?

      while (line = take_line)
        if line.empty?
          event = [@name, @data&.join("\n"), @id]
          clear
          yield(*event)
        else
          field(line)
        end
      end
    end

    private

    def clear
      @name = "message"
      @data = nil
      @id = nil
    end

    def begin?
      return true if @begun
      return false if @buffer.size < BYTE_ORDER_MARK.size && BYTE_ORDER_MARK.start_with?(@buffer)

      @buffer = @buffer.delete_prefix(BYTE_ORDER_MARK)
      @begun = true
    end

    # nil until a line is complete; a CR at the end may be half of a CRLF, which what follows will tell.
    def take_line
      at = @buffer.index(/[\r\n]/n)
      return if at.nil? || (@buffer.getbyte(at) == 13 && at + 1 == @buffer.size)

      line = @buffer.slice!(0, at)
      @buffer.slice!(0, @buffer.start_with?("\r\n") ? 2 : 1)
      line.force_encoding(Encoding::UTF_8).scrub
    end

    def field(line)
      name, _, value = line.partition(":")
      value = value.delete_prefix(" ")
      case name
      when "event" then @name = value.empty? ? "message" : value
      when "data" then (@data ||= []) << value
      when "id" then @id = value unless value.include?("\0")
      end
    end
  end
end
