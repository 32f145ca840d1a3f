# frozen_string_literal: true

# Carries out one scenario with the Ruby SDK: calls on stdin, what came of them on stdout. See sdk/conformance.

require "cygni"
require "json"

def snake(wire) = wire.gsub(/([a-z0-9])([A-Z])/, '\1_\2').gsub(/\W+/, "_").delete_suffix("_").downcase

def symbols(values) = values.transform_keys { |name| snake(name).to_sym }

def plain(value) = value.is_a?(Cygni::Model) ? value.to_h : value

def last(response)
  return if response.nil?

  limit = response.rate_limit
  { "status" => response.status, "requestId" => response.request_id, "rateLimit" => limit&.to_h }
end

def said(error)
  found = { "class" => error.class.name.delete_prefix("Cygni::"), "message" => error.message }
  case error
  when Cygni::APIStatusError
    found.update(
      "status" => error.status, "code" => error.code, "hint" => error.hint, "details" => error.details,
      "errors" => error.errors, "requestId" => error.request_id, "retryAfter" => error.retry_after,
      "last" => last(error.last_response)
    )
  when Cygni::DeploymentFailedError, Cygni::WaitTimeoutError
    found["deployment"] = plain(error.deployment)
  end
  found
end

def carry_out(client, asked)
  result = {}
  begin
    take(client, asked, result)
  rescue Cygni::Error, ArgumentError => e
    result["error"] = said(e)
  end
  result
end

def take(client, asked, result)
  args = asked.fetch("args", {})
  options = symbols(asked.fetch("options", {}))
  case asked["call"]
  when "webhooks.verify", "webhooks.unwrap" then webhook(asked["call"], args, result)
  when "request"
    given = { query: args["query"], body: args["body"], headers: args["headers"] }.compact
    response = client.request(args["method"], args["path"], **given, **options)
    result.update("value" => response.data, "last" => last(response))
  when "uploads.fromDirectory" then result["value"] = plain(client.uploads.from_directory(args["path"]))
  when "deployments.wait" then result["value"] = plain(client.deployments.wait(*asked["ids"], **symbols(args)))
  else operate(client, asked, symbols(args), options, result)
  end
end

def webhook(call, args, result)
  given = symbols(args.slice("toleranceSeconds"))
  event = Cygni::Webhooks.public_send(call.split(".").last, args["body"], args["headers"], args["secret"], **given)
  result["value"] = call.end_with?("verify") ? true : plain(event)
  result["kind"] = event.is_a?(Cygni::UnknownEvent) ? "unknown" : "known"
end

def operate(client, asked, given, options, result)
  kind = asked.fetch("take", "value")
  noun, verb = asked["call"].split(".").map { |name| snake(name) }
  given[:last_event_id] = options.delete(:last_event_id) if options.key?(:last_event_id)
  given[:options] = options unless options.empty?
  if kind == "bytes"
    result["text"] = +""
    client.public_send(noun).public_send(verb, **given) { |piece| result["text"] << piece.force_encoding("UTF-8") }
    return
  end
  found = (kind == "raw" ? client.raw : client).public_send(noun).public_send(verb, *asked.fetch("ids", []), **given)
  case kind
  when "value"
    result["value"] = plain(found)
    result["last"] = last(found.last_response) if found.is_a?(Cygni::Model)
  when "page"
    result.update("items" => found.items.map(&:to_h), "last" => last(found.last_response))
    result["pagination"] = found.last_response.meta["pagination"]
  when "items"
    result["items"] = []
    found.each do |item|
      result["items"] << item.to_h
      break if result["items"].size == asked["first"]
    end
  when "pages" then result["pages"] = found.pages.map { |page| page.items.map(&:to_h) }
  when "stream" then read(found, result)
  when "raw"
    result.update("status" => found.status, "headers" => found.headers, "text" => found.body)
    result.update("requestId" => found.request_id, "value" => plain(found.parse))
  end
end

def read(stream, result)
  result["events"] = []
  stream.each do |event|
    result["events"] << { "event" => event.event, "id" => event.id, "data" => plain(event.data) }
  end
ensure
  result["lastEventId"] = stream.last_event_id
  result["end"] = stream.end && {
    "reason" => stream.end.reason, "status" => stream.end.status, "exitCode" => stream.end.exit_code
  }
end

scenario = JSON.parse($stdin.read)
begin
  client = Cygni::Client.new(**symbols(scenario["client"])) if scenario.key?("client")
  puts JSON.generate("calls" => scenario["calls"].map { |asked| carry_out(client, asked) })
rescue Cygni::ConfigurationError => e
  puts JSON.generate("client" => { "error" => said(e) })
end
