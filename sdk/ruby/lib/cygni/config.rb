# frozen_string_literal: true

require "json"
require "uri"

module Cygni
  # Which API, and with which key: argument, then environment, then what `cygni login` kept.
  module Config
    # Where calls go and the key they carry; an empty key sends no Authorization header.
    Target = Struct.new(:base_url, :api_key)

    module_function

    # The path of the login file: $XDG_CONFIG_HOME/cygni/login.json, by default below ~/.config.
    def login_file
      home = ENV.fetch(Behavior::CONFIG_HOME_VARIABLE, "")
      home = File.join(Dir.home, ".config") if home.empty?
      File.join(home, Behavior::LOGIN_FILE)
    end

    # Settles URL and key. A key from the login file goes to that file's URL and nowhere else. Raises
    # ConfigurationError.
    def resolve(api_key, base_url)
      base_url = ENV.fetch(Behavior::API_URL_VARIABLE, "") if base_url.to_s.empty?
      base_url = base_url.empty? ? nil : normalize(base_url)
      api_key = present(ENV.fetch(Behavior::API_KEY_VARIABLE, "")) if api_key.nil?
      return sound(Target.new(base_url || Behavior::DEFAULT_BASE_URL, api_key)) if api_key

      login = read_login or raise ConfigurationError, "There is no API key: pass api_key:, set " \
                                                      "#{Behavior::API_KEY_VARIABLE}, or run `cygni login`."
      return sound(login) if base_url.nil? || base_url == login.base_url

      raise ConfigurationError, "The key kept by `cygni login` is for #{login.base_url} and is not sent to " \
                                "#{base_url}: set #{Behavior::API_KEY_VARIABLE} too."
    end

    # The URL without a trailing slash, /v1 added where it names no path. Raises ConfigurationError.
    def normalize(url)
      parts = URI.parse(url.strip)
      unless parts.is_a?(URI::HTTP) && !parts.host.to_s.empty? && !parts.userinfo && !parts.query && !parts.fragment
        raise URI::InvalidURIError
      end

      port = parts.port == parts.default_port ? "" : ":#{parts.port}"
      path = parts.path.sub(%r{/+\z}, "")
      "#{parts.scheme}://#{parts.host}#{port}#{path.empty? ? "/v1" : path}"
    rescue URI::InvalidURIError
      raise ConfigurationError, "#{url.inspect} is not the URL of an API; it looks like #{Behavior::DEFAULT_BASE_URL}."
    end

    def read_login
      path = login_file
      kept = JSON.parse(File.read(path))
      url, key = [Behavior::LOGIN_URL_FIELD, Behavior::LOGIN_KEY_FIELD].map { |name| kept.fetch(name) }
      Target.new(normalize(url), key)
    rescue Errno::ENOENT
      nil
    rescue SystemCallError, JSON::ParserError, KeyError, NoMethodError => e
      raise ConfigurationError, "#{path} cannot be used (#{e.message}). Run `cygni login` to write it anew."
    end

    # Refuses a key that no header can carry, without showing it.
    def sound(target)
      return target if target.api_key.match?(/\A[!-~]*\z/)

      raise ConfigurationError,
            "The API key has a character that no key has: a line break, a space, or one that is not ASCII."
    end

    def present(text) = text.empty? ? nil : text

    private_class_method :read_login, :sound, :present
  end
end
