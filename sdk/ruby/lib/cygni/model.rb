# frozen_string_literal: true

require "json"
require "time"

module Cygni
  # What the API answers with: a JSON object with a method a field, never narrower than the answer. A server may be
  # newer or older than this library: fields that are not known here are kept, values that are not known are plain
  # text, a field that an older server does not have is nil. It is frozen, down to its last text.
  class Model
    class << self
      # Method → name on the wire.
      def fields = @fields ||= {}

      private

      # Declares a field. The block names what it is read with.
      def field(name, wire = name.to_s, &reader)
        fields[name] = wire
        define_method(name) do
          value = @raw[wire]
          value.nil? || reader.nil? ? value : reader.call.call(value)
        end
      end

      # Readers of a field's value: what does not look as it should stays as it is.
      def time
        lambda do |value|
          Time.iso8601(value)
        rescue ArgumentError, TypeError, NoMethodError
          value
        end
      end

      def model(kind) = ->(value) { value.is_a?(Hash) ? kind.new(value) : value }

      def list(reader) = ->(value) { value.is_a?(Array) ? value.map(&reader).freeze : value }

      def map(reader) = ->(value) { value.is_a?(Hash) ? value.transform_values(&reader).freeze : value }

      # A member of a union; one that is not known is a Model without fields.
      def one_of(discriminator, members)
        lambda do |value|
          value.is_a?(Hash) ? members.fetch(value[discriminator], Model).new(value) : value
        end
      end
    end

    def initialize(raw, last_response = nil)
      @raw = raw
      @last_response = last_response
      freeze
    end

    # The answer that brought it: headers, request id, rate limit. Raises Error for a part of an answer.
    def last_response
      @last_response or raise Error, "This #{self.class} is a part of an answer: its whole has last_response."
    end

    # Any field by its name on the wire; nil without it.
    def [](wire_name) = @raw[wire_name]

    # The JSON, with the names of the wire.
    def to_h = @raw

    def to_json(*args) = @raw.to_json(*args)

    # For pattern matching: fields by the names of their methods.
    def deconstruct_keys(keys)
      (keys || self.class.fields.keys).each_with_object({}) do |name, found|
        found[name] = public_send(name) if self.class.fields.key?(name)
      end
    end

    def ==(other) = other.instance_of?(self.class) && other.to_h == @raw
    alias eql? ==

    def hash = [self.class, @raw].hash

    def inspect
      names = self.class.fields.invert
      "#<#{self.class}#{@raw.map { |wire, value| " #{names.fetch(wire, wire)}=#{value.inspect}" }.join(",")}>"
    end
  end

  # A webhook of a type that this version does not know.
  class UnknownEvent < Model
    field(:type)
    field(:timestamp) { time }
    field(:data)
  end
end
