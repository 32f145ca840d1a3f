# frozen_string_literal: true

require "zlib"

module Cygni
  # A directory as the archive that a deployment is built from. Order, times, owners and modes are fixed, so that the
  # same files give the same bytes on every machine, and an unchanged directory is recognised by its hash.
  module Archive
    PART_BYTES = 1 << 20
    private_constant :PART_BYTES

    module_function

    # Writes a gzipped tar of the directory to the file, without what its ignore files leave out. Raises ArchiveError
    # for a directory without files, with a link that leads out of it, or with what cannot be read.
    def pack(directory, file)
      zipped = Zlib::GzipWriter.new(file, 6)
      zipped.mtime = 0
      write_tar(directory, zipped)
      zipped.finish
    end

    # The tar that pack compresses.
    def write_tar(directory, file)
      raise ArchiveError, "#{directory} is not a directory." unless File.directory?(directory)

      names = list(directory, "", [])
      raise ArchiveError, "#{directory} has no files to deploy, or its ignore files leave none." if names.empty?

      names.each { |name| add(directory, name, file) }
      file.write(Tar.trailer)
    end

    # Files and links in the order of their names' bytes. Git's rules: a deeper ignore file overrules a higher one, and
    # nothing below an ignored folder comes back.
    def list(directory, inside, rules)
      folder = File.join(directory.to_s.b, inside)
      own = Ignore.read(folder, inside)
      rules = [own, *rules] unless own.empty?
      Dir.children(folder, encoding: Encoding::BINARY).sort.flat_map do |child|
        name = inside + child
        status = File.lstat(File.join(folder, child))
        if Behavior::ALWAYS_IGNORED.include?(child.dup.force_encoding(Encoding::UTF_8)) || ignored?(name, status, rules)
          []
        elsif status.directory?
          list(directory, "#{name}/", rules)
        else
          # sockets, pipes and devices are left out, as git leaves them out
          status.file? || status.symlink? ? [name] : []
        end
      end
    rescue SystemCallError => e
      raise not_packed(inside, e)
    end

    def ignored?(name, status, rules)
      rules.each do |each|
        verdict = each.verdict(name, status.directory?)
        return verdict unless verdict.nil?
      end
      false
    end

    def add(directory, name, file)
      path = File.join(directory.to_s.b, name)
      status = File.lstat(path)
      return add_link(name, File.readlink(path).b, file) if status.symlink?

      mode = status.mode.anybits?(0o100) ? Behavior::ARCHIVE_EXECUTABLE_MODE : Behavior::ARCHIVE_FILE_MODE
      File.open(path, "rb") do |content|
        size = content.size
        file.write(Tar.header(name, mode, size: size))
        copy(content, size, file)
        file.write(Tar.padding(size))
      end
    rescue SystemCallError, EOFError => e
      raise not_packed(name, e)
    end

    # As long as it was: a file that grows meanwhile is cut.
    def copy(content, size, file)
      until size.zero?
        part = content.read([size, PART_BYTES].min) or raise EOFError, "it became shorter while it was read"
        size -= part.bytesize
        file.write(part)
      end
    end

    def add_link(name, target, file)
      depth = File.dirname(name).split("/").count { |part| part != "." }
      leaves = target.start_with?("/") || target.split("/").any? do |part|
        depth += { "" => 0, "." => 0, ".." => -1 }.fetch(part, 1)
        depth.negative?
      end
      if leaves
        raise ArchiveError, "#{text(name)} is a link to #{text(target)}, outside of the directory: only what is " \
                            "inside is deployed."
      end

      file.write(Tar.header(name, Behavior::ARCHIVE_LINK_MODE, link: target))
    end

    def not_packed(name, error) = ArchiveError.new("#{text(name)} cannot be packed: #{error.message}.")

    def text(bytes) = bytes.dup.force_encoding(Encoding::UTF_8).scrub

    private_class_method :list, :ignored?, :add, :copy, :add_link, :not_packed, :text
  end
end
