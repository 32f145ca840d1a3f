# frozen_string_literal: true

# The Cygni API: Cygni::Client has one method a noun, and each noun one method an operation.
module Cygni
  # Stands for an argument that is not given: in an update, what is absent stays, and nil clears.
  OMIT = Object.new
  def OMIT.inspect = "OMIT"
  OMIT.freeze
end

require_relative "cygni/behavior"
require_relative "cygni/errors"
require_relative "cygni/response"
require_relative "cygni/config"
require_relative "cygni/encoder"
require_relative "cygni/inputs"
require_relative "cygni/call"
require_relative "cygni/retries"
require_relative "cygni/wire"
require_relative "cygni/model"
require_relative "cygni/models"
require_relative "cygni/list"
require_relative "cygni/event_parser"
require_relative "cygni/stream"
require_relative "cygni/tar"
require_relative "cygni/ignore"
require_relative "cygni/archive"
require_relative "cygni/upload"
require_relative "cygni/webhooks"
require_relative "cygni/resource"
require_relative "cygni/helpers"
require_relative "cygni/nouns"
require_relative "cygni/client"
