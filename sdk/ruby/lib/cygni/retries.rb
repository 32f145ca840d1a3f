# frozen_string_literal: true

require "time"

module Cygni
  # When a call is tried again.
  module Retries
    module_function

    # Yields until what the block returns is a success, fails for good, or has been tried often enough. Raises
    # APIConnectionError or APIStatusError. Once is_final says so, nothing is tried again.
    def attempt(call, is_final: -> { false })
      count = 0
      begin
        response = yield
        return response if response.nil? || response.success?

        raise status_error(response)
      rescue APIConnectionError, APIStatusError => e
        delay = count < call.max_retries && !is_final.call ? delay_before_retry(call, e, count) : nil
        raise if delay.nil?

        count += 1
        sleep(delay)
        retry
      end
    end

    # Full jitter: clients that failed together do not come back together.
    def backoff(count)
      rand * [Behavior::MAX_DELAY_SECONDS, Behavior::FIRST_DELAY_SECONDS * (2**count)].min
    end

    def status_error(response)
      error = response.error
      if (300..399).cover?(response.status) && error.empty?
        where = response.header("Location") || "nowhere"
        error = { "code" => "redirected", "message" => "The API redirects to #{where}, where the key is not sent." }
      end
      APIStatusError.for(response.status).new(response, error, retry_after(response))
    end

    # Seconds to wait before the next attempt; nil if there should be none.
    def delay_before_retry(call, error, count)
      return backoff(count) if error.is_a?(APIConnectionError)
      return unless retried?(call, error)
      return backoff(count) if error.retry_after.nil?

      error.retry_after if error.retry_after <= Behavior::MAX_RETRY_AFTER_SECONDS
    end

    def retried?(call, error)
      advice = error.last_response.header(Behavior::ADVICE_HEADER)
      return advice == "true" if %w[true false].include?(advice)

      codes = Behavior::RETRIED_CODES[error.status]
      return codes.include?(error.code) if codes
      return repeatable?(call) if Behavior::REPEATABLE_STATUSES.include?(error.status)

      Behavior::RETRIED_STATUSES.include?(error.status)
    end

    def repeatable?(call)
      Behavior::REPEATABLE_METHODS.include?(call.http_method) || call.headers.key?(Behavior::IDEMPOTENCY_HEADER)
    end

    # Seconds, from either form of RFC 9110 section 10.2.3.
    def retry_after(response)
      text = response.header(Behavior::RETRY_AFTER_HEADER)&.strip
      return text&.to_f if text.nil? || text.match?(/\A\d+\z/)

      [0.0, Time.httpdate(text) - Time.now].max
    rescue ArgumentError
      nil
    end

    private_class_method :delay_before_retry, :retried?, :repeatable?, :retry_after
  end
end
