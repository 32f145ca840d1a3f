# frozen_string_literal: true

module Cygni
  # The rules of one folder, as gitignore(5) describes them: .cygniignore after .gitignore, so that it can take back
  # what git ignores.
  class Ignore
    Rule = Struct.new(:pattern, :is_negated, :is_for_folders)
    private_constant :Rule

    # The rules in this folder, whose names are looked at from base on ("" or a path with a slash behind).
    def self.read(folder, base)
      lines = Behavior::IGNORE_FILES.flat_map do |name|
        path = File.join(folder, name)
        File.file?(path) ? File.binread(path).force_encoding(Encoding::UTF_8).scrub.split(/[\r\n]+/) : []
      end
      new(base, lines)
    end

    def initialize(base, lines)
      @base = base
      @rules = lines.filter_map { |line| rule(line) }
    end

    def empty? = @rules.empty?

    # true, false, or nil where no rule says anything: the last one that matches decides.
    def verdict(name, is_folder)
      below = name.delete_prefix(@base).dup.force_encoding(Encoding::UTF_8).scrub
      found = @rules.reverse_each.find do |rule|
        (is_folder || !rule.is_for_folders) && rule.pattern.match?(below)
      end
      found && !found.is_negated
    end

    private

    def rule(line)
      line = without_trailing_spaces(line)
      return if line.empty? || line.start_with?("#")

      is_negated = line.start_with?("!")
      line = line.delete_prefix("!")
      is_for_folders = line.end_with?("/")
      line = line.delete_suffix("/")
      # A slash before the end ties the rule to its folder; else it holds at any depth.
      is_tied = line.include?("/")
      line = line.delete_prefix("/")
      return if line.empty?

      Rule.new(/\A#{expression(is_tied ? line : "**/#{line}")}\z/m, is_negated, is_for_folders)
    rescue RegexpError
      nil # such as an unclosed bracket, which matches nothing
    end

    def without_trailing_spaces(line)
      trimmed = line.sub(/ +\z/, "")
      trimmed.end_with?("\\") && trimmed.size < line.size ? "#{trimmed} " : trimmed
    end

    # A glob as a regular expression: ** means folders only where it stands between slashes.
    def expression(glob)
      out = +""
      at = 0
      while at < glob.size
        rest = glob[at..]
        part, length = token(rest, at.zero? || glob[at - 1] == "/")
        out << part
        at += length
      end
      out
    end

    def token(rest, is_at_start)
      return ["(?:.*/)?", 3] if is_at_start && rest.start_with?("**/")
      return [".+", 2] if is_at_start && rest == "**"

      case rest[0]
      when "*" then ["[^/]*", 1]
      when "?" then ["[^/]", 1]
      when "[" then bracket(rest)
      when "\\" then rest.size > 1 ? [Regexp.escape(rest[1]), 2] : ["\\\\", 1]
      else [Regexp.escape(rest[0]), 1]
      end
    end

    # A bracket expression; one that is not closed is a lone bracket, which is no regular expression.
    def bracket(rest)
      found = rest.match(/\A\[([!^]?)(\]?(?:\\.|[^\]\\])*)\]/m) or return ["[", 1]
      inner = found[2].gsub(/\A\]|\[|&/) { |char| "\\#{char}" }
      ["[#{"^/" unless found[1].empty?}#{inner}]", found[0].size]
    end
  end
end
