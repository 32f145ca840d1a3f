# frozen_string_literal: true

# calls.rb PROJECT ROUNDS CALLS: the medians of each round, as JSON.
require "cygni"
require "json"
require "net/http"

project, rounds, calls = ARGV
client = Cygni::Client.new
headers = {
  "Accept" => "application/json",
  "Accept-Encoding" => "identity",
  "User-Agent" => "cygni-ruby/0.1.0 (ruby/3.1.2)",
  "X-Cygni-Client" => '{"name":"sdk-ruby","sdk":"ruby/0.1.0","runtime":"ruby/3.1.2"}',
  "Authorization" => "Bearer #{ENV.fetch("CYGNI_API_KEY")}"
}
url = URI("#{ENV.fetch("CYGNI_API_URL")}/projects/#{project}")
http = Net::HTTP.new(url.hostname, url.port).start

ways = {
  "sdk" => -> { client.projects.get(project).id },
  "bare" => lambda do
    answer = http.get(url.path, headers)
    raise "#{url}: #{answer.code}" unless answer.is_a?(Net::HTTPSuccess)

    JSON.parse(answer.body).fetch("data").fetch("id")
  end
}

def now = Process.clock_gettime(Process::CLOCK_MONOTONIC, :float_millisecond)
def median(values) = values.sort[values.size / 2]

medians = ways.transform_values { [] }
(-1...rounds.to_i).each do |round|
  times = ways.transform_values { [] }
  calls.to_i.times do
    ways.each do |name, way|
      began = now
      way.call
      times[name] << (now - began)
    end
  end
  # the first round warms up
  times.each { |name, taken| medians[name] << median(taken) } unless round.negative?
end
puts JSON.generate(medians)
