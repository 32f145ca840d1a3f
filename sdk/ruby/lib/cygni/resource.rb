# frozen_string_literal: true

module Cygni
  # What the generated nouns stand on: arguments to a request, an answer to a model.
  class Resource
    def initialize(client, raw: false)
      @client = client
      @is_raw = raw
      freeze
    end

    private

    def ask_model(http_method, path, model, **given)
      response = request(http_method, path, **given)
      answer(response) { read(response, model) }
    end

    def ask_nothing(http_method, path, **given)
      response = request(http_method, path, **given)
      answer(response) { nil }
    end

    def ask_document(http_method, path, **given)
      response = request(http_method, path, **given)
      answer(response) { response.data }
    end

    def ask_page(path, model, query, options)
      list = List.new(Encoder.present(query), reader(model)) do |page|
        @client.request("GET", path, query: page, **options)
      end
      answer(list.last_response) { list }
    end

    def ask_stream(path, model, query, last_event_id, options)
      @client.open_stream(path, query: query, last_event_id: last_event_id, reader: reader(model), **options)
    end

    # Yields the pieces of a body that is not JSON; an Enumerator of them without a block.
    def ask_bytes(http_method, path, query: nil, options: {}, &block)
      return to_enum(:ask_bytes, http_method, path, query: query, options: options) unless block

      @client.read_bytes(http_method, path, query: query, **options, &block)
    end

    def request(http_method, path, query: nil, body: nil, content: nil, headers: {}, options: {})
      headers = headers.compact.merge(options.fetch(:headers, {}))
      body = Encoder.present(body) if body
      @client.request(http_method, path, **options, query: query, body: body, content: content, headers: headers)
    end

    # An answer without a body (304, where the caller asked for it) is nil.
    def read(response, model)
      response.data.is_a?(Hash) ? model.new(response.data, response) : response.data
    end

    def reader(model) = ->(value) { value.is_a?(Hash) ? model.new(value) : value }

    def answer(response, &result) = @is_raw ? RawResponse.new(response, &result) : yield
  end
end
