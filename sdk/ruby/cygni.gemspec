# frozen_string_literal: true

require_relative "lib/cygni/behavior"

Gem::Specification.new do |spec|
  spec.name = "cygni"
  spec.version = Cygni::Behavior::VERSION
  spec.summary = "The Cygni API from Ruby"
  spec.description = "A client for Cygni, the open-source deploy platform, on Ruby's standard library alone."
  spec.authors = ["The Cygni authors"]
  spec.license = "Apache-2.0"
  spec.homepage = "https://cygni.dev"
  spec.required_ruby_version = ">= 3.1"
  spec.files = Dir.chdir(__dir__) { Dir["lib/**/*.rb", "sig/**/*.{rbs,yaml}", "README.md"].sort }
  spec.metadata["rubygems_mfa_required"] = "true"
end
