# frozen_string_literal: true

module Cygni
  # The root of everything that this library raises by itself; a wrong argument is an ArgumentError.
  class Error < StandardError; end

  # No client can be made: there is no key, or the base URL is not one.
  class ConfigurationError < Error; end

  # A directory that cannot be deployed; the message names what of it.
  class ArchiveError < Error; end

  # A webhook whose signature is missing, too old, or not of this body and secret.
  class WebhookVerificationError < Error; end

  # The API did not answer: no route, a refused or a broken connection.
  class APIConnectionError < Error; end

  # The API did not answer in time.
  class APITimeoutError < APIConnectionError; end

  # A deployment that was waited for has ended otherwise.
  class DeploymentFailedError < Error
    # What it became.
    attr_reader :deployment

    def initialize(deployment)
      @deployment = deployment
      failure = deployment.failure
      reason = failure ? [failure.message, failure.hint].compact.map { |text| " #{text}" }.join : ""
      super("The deployment #{deployment.id} is #{deployment.status}.#{reason}")
    end
  end

  # A deployment did not end in the time that was given to it; it goes on.
  class WaitTimeoutError < Error
    # How it was last seen.
    attr_reader :deployment

    def initialize(deployment, seconds)
      @deployment = deployment
      super("The deployment #{deployment.id} is still #{deployment.status} after #{seconds} s.")
    end
  end

  # An answer that says no. The class tells which status it has.
  class APIStatusError < Error
    # The HTTP status.
    attr_reader :status
    # Stable, and for programs.
    attr_reader :code
    # What to do next; nil where nothing helps.
    attr_reader :hint
    # What depends on the code.
    attr_reader :details
    # All invalid fields, each with "field", "code" and "reason".
    attr_reader :errors
    # The page that explains the code.
    attr_reader :doc_url
    # Names the call in the server's log.
    attr_reader :request_id
    # Seconds; nil where the answer said nothing.
    attr_reader :retry_after
    # The whole answer: its headers and rate limit among them.
    attr_reader :last_response

    def initialize(last_response, error, retry_after)
      @last_response = last_response
      @status = last_response.status
      @code = error["code"] || "http_#{status}"
      @hint = error["hint"]
      @details = error["details"] || {}
      @errors = error["errors"] || []
      @doc_url = error["docUrl"]
      @request_id = last_response.request_id
      @retry_after = retry_after
      super(error["message"] || "The API answered with status #{status}.")
    end

    # The window that the call was charged to; nil where it was not.
    def rate_limit = last_response.rate_limit

    # The class for this status; APIStatusError itself where there is none of its own.
    def self.for(status)
      Cygni.const_get(Behavior::ERROR_NAMES.fetch(status) do
        status >= 500 ? Behavior::SERVER_ERROR_NAME : "APIStatusError"
      end)
    end
  end

  # 400
  class BadRequestError < APIStatusError; end

  # 401
  class AuthenticationError < APIStatusError; end

  # 403
  class PermissionDeniedError < APIStatusError; end

  # 404
  class NotFoundError < APIStatusError; end

  # 409
  class ConflictError < APIStatusError; end

  # 422
  class UnprocessableEntityError < APIStatusError; end

  # 429
  class RateLimitError < APIStatusError; end

  # 500 and above
  class InternalServerError < APIStatusError; end
end
