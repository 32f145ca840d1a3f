# frozen_string_literal: true

require "json"
require "time"

module Cygni
  # Ruby's values as the wire has them.
  module Encoder
    module_function

    # An id or a name as one segment of a path. Raises ArgumentError for what no escape keeps in its place: nothing, or
    # dots, which servers resolve.
    def segment(value)
      text = value.to_s
      raise ArgumentError, "#{value.inspect} is no id or name." if ["", ".", ".."].include?(text)

      escape(text)
    end

    # The query of a URL: nil is left out, a list is one parameter with commas.
    def query(values)
      pairs = present(values || {}).filter_map do |name, value|
        texts = (value.is_a?(Array) ? value : [value]).compact.map { |each| text(each) }
        "#{escape(name.to_s)}=#{escape(texts.join(","))}" unless texts.empty?
      end
      pairs.join("&")
    end

    # A body's JSON. Raises ArgumentError for what has none.
    def json(body)
      JSON.generate(body)
    rescue JSON::GeneratorError, EncodingError => e
      raise ArgumentError, "The body has no JSON form: #{e.message}"
    end

    # Without what was omitted.
    def present(values) = values.reject { |_, value| OMIT.equal?(value) }

    # A value as JSON. table names the input whose fields a Hash has as symbols; other keys stay as they are.
    def value(value, table = nil)
      case value
      when Time then time(value)
      when Model then value.to_h
      when Hash
        fields = INPUTS.fetch(table, {})
        present(value).to_h do |key, each|
          wire, inner = fields[key]
          [wire || key.to_s, value(each, inner)]
        end
      when Array then value.map { |each| value(each, table) }
      else value
      end
    end

    def text(value) = value.is_a?(Time) ? time(value) : value.to_s

    # RFC 3339, as short as it is exact.
    def time(value)
      value.getutc.iso8601(9).sub(/\.?0+Z\z/, "Z")
    end

    def escape(text) = text.b.gsub(/[^A-Za-z0-9_.~-]/n) { |byte| format("%%%02X", byte.ord) }

    private_class_method :text, :time, :escape
  end
end
