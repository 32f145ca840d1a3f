# frozen_string_literal: true

require "json"
require "openssl"

module Cygni
  # Signatures of webhooks, as Standard Webhooks 1.0.0 says: HMAC-SHA256 over id, timestamp and body. No client is
  # needed.
  module Webhooks
    module_function

    # Raises WebhookVerificationError unless this body was signed with this secret, lately; the message never says what
    # would have been right. body must be the bytes as they came: parsed and written again, they are others.
    def verify(body, headers, secret, tolerance_seconds: Behavior::WEBHOOK_TOLERANCE_SECONDS)
      given = headers.to_h { |name, value| [name.to_s.downcase, value.is_a?(Array) ? value.first : value] }
      id, sent_at, signatures = [
        Behavior::WEBHOOK_ID_HEADER, Behavior::WEBHOOK_TIMESTAMP_HEADER, Behavior::WEBHOOK_SIGNATURE_HEADER
      ].map { |name| given[name]&.to_s or refuse("The header #{name} is missing.") }
      refuse("The header #{Behavior::WEBHOOK_TIMESTAMP_HEADER} is not a time in seconds.") unless
        sent_at.match?(/\A[0-9]+\z/)
      age = (Time.now.to_i - sent_at.to_i).abs
      refuse("It was signed too long ago, or a clock is wrong.") if age > tolerance_seconds

      expected = [OpenSSL::HMAC.digest("SHA256", key(secret), "#{id}.#{sent_at}.".b + body.b)].pack("m0")
      # several while a secret is rotated; other versions than v1 are of other schemes
      found = signatures.split.filter_map { |text| text.delete_prefix("v1,") if text.start_with?("v1,") }
      return if found.any? { |each| OpenSSL.secure_compare(expected, each) }

      refuse("No signature is of this body and this secret.")
    end

    # Verifies, then parses. A type that this version does not know is an UnknownEvent.
    def unwrap(body, headers, secret, tolerance_seconds: Behavior::WEBHOOK_TOLERANCE_SECONDS)
      verify(body, headers, secret, tolerance_seconds: tolerance_seconds)
      raw = parse(body)
      refuse("The body is not a JSON object.") unless raw.is_a?(Hash)
      Models::EVENTS.fetch(raw["type"], UnknownEvent).new(raw)
    end

    def parse(body)
      JSON.parse(body.dup.force_encoding(Encoding::UTF_8), freeze: true)
    rescue JSON::ParserError
      nil
    end

    # whsec_ and Base64, or any other text as it is.
    def key(secret)
      key = secret.start_with?("whsec_") ? secret.delete_prefix("whsec_").unpack1("m0") : secret
      key.empty? ? refuse("The secret is empty.") : key
    rescue ArgumentError
      refuse("The secret begins with whsec_ but is not Base64 behind it.")
    end

    def refuse(message) = raise(WebhookVerificationError, message)

    private_class_method :parse, :key, :refuse
  end
end
