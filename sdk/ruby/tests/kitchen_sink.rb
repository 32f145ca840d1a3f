# frozen_string_literal: true

# Everything that a program does with Cygni, against a real installation. Arguments: a folder to deploy, the port of the
# applications. Prints what it saw.
require "cygni"
require "json"
require "net/http"

folder, port = ARGV

# The application's page; its name leads nowhere outside of browsers.
def visit(url, port)
  host = URI(url).hostname
  Net::HTTP.start("127.0.0.1", port.to_i) { |http| http.get("/", "Host" => "#{host}:#{port}").body.strip }
end

owner = Cygni::Client.new
scopes = %w[projects:* deployments:* env:* logs:read tokens:*]
client = Cygni::Client.new(api_key: owner.tokens.create(name: "kitchen sink", scopes: scopes).secret)

project = client.projects.create(name: "ruby-sink", labels: { "made-by" => "a test" })
progress = []
upload = client.uploads.from_directory(folder) { |sent, total| progress << [sent, total] }
raise "other bytes" if client.uploads.from_directory(folder).sha256 != upload.sha256

first = client.deployments.create(project_id: project.id, upload_id: upload.id)
lines = client.deployments.stream_logs(first.id)
line_count = lines.count { |event| event.event == "log" }
live = client.deployments.wait(first.id, timeout: 600)
pages = [visit(live.url, port)]

variable = client.env.create(
  project_id: project.id, key: "COLOR", value: "grün", environments: ["production"], type: "plain"
)
client.deployments.wait(client.deployments.redeploy(first.id).id, timeout: 600)
pages << visit(live.url, port)

back = client.deployments.wait(client.projects.rollback(project.id).id, timeout: 600)
pages << visit(live.url, port)

Array.new(5) do |worker|
  Thread.new { 50.times { |at| client.tokens.create(name: "many #{worker} #{at}", scopes: ["logs:read"]) } }
end.each(&:join)
many = client.tokens.list(limit: 100, search: "many")

refused = begin
  client.env.update(variable.id, value: "x", options: { if_match: '"stale.0"' })
rescue Cygni::APIStatusError => e
  e.code
end
client.env.delete(variable.id)
deleted = client.raw.projects.delete(project.id, confirm: "ruby-sink").status
missing = begin
  client.projects.get("nothing-of-the-kind")
rescue Cygni::NotFoundError => e
  [e.code, e.request_id == e.last_response.header("X-Request-Id")]
end

puts JSON.generate(
  "labels" => project.labels, "pages" => pages, "lines" => line_count, "end" => lines.end.to_h,
  "rollback" => [back.type, back.status], "many" => [many.map(&:id).uniq.size, many.pages.count],
  "refused" => refused, "deleted" => deleted, "missing" => missing,
  "progress" => [progress.first[0], progress.last == [upload.size_bytes, upload.size_bytes]]
)
