# frozen_string_literal: true

module Cygni
  # One page of a list.
  class Page
    # Models of this page.
    attr_reader :items
    # Where it stands; nil where the answer did not say.
    attr_reader :pagination
    # The answer that brought it.
    attr_reader :last_response

    def initialize(response, query, reader)
      @last_response = response
      @items = (response.data || []).map(&reader).freeze
      @pagination = response.pagination
      @query = query
    end

    # What to ask for the page after this one; nil at the end. Who asked by page goes on by page; all others by cursor,
    # which neither skips nor repeats when rows move.
    def next_query
      return unless pagination&.has_more
      return @query.merge("page" => pagination.page + 1) if @query["page"] && pagination.page

      @query.merge("page" => nil, "cursor" => pagination.next_cursor) if pagination.next_cursor
    end
  end

  # What a list method returns: the first page, and an Enumerable of all items, which fetches the pages as it reaches
  # them.
  class List < Page
    include Enumerable

    def initialize(query, reader, &fetch)
      @fetch = fetch
      @reader = reader
      super(fetch.call(query), query, reader)
    end

    # All items of all pages.
    def each(&block)
      return to_enum(:each) unless block

      pages.each { |page| page.items.each(&block) }
      self
    end

    # The pages, as an Enumerator.
    def pages
      Enumerator.new do |yielder|
        page = self
        loop do
          yielder << page
          query = page.next_query or break
          page = Page.new(@fetch.call(query), query, @reader)
        end
      end
    end
  end
end
