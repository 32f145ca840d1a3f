# frozen_string_literal: true

module Cygni
  # Tar archives whose bytes are the same whoever writes them: the ones of sdk/README.md, field by field.
  module Tar
    BLOCK = 512
    LARGEST = (8**11) - 1
    NAME_SIZE = 100
    private_constant :LARGEST, :NAME_SIZE

    module_function

    # A member's header; before it a pax header, where its name, link or size do not fit or are not ASCII. link is
    # where a symbolic link leads; nil for a file.
    def header(name, mode, size: 0, link: nil)
      name = name.b
      link = link&.b
      records = "".b
      records << record("path", name) if record?(name)
      records << record("linkpath", link) if link && record?(link)
      records << record("size", size.to_s) if size > LARGEST
      own = block(fitting(name), mode, size > LARGEST ? 0 : size, link ? "2" : "0", link ? fitting(link) : "")
      return own if records.empty?

      block("././@PaxHeader", 0o644, records.bytesize, "x", "") + records + padding(records.bytesize) + own
    end

    # What fills a content of this size up to whole blocks.
    def padding(size) = "\0".b * (-size % BLOCK)

    # What ends an archive.
    def trailer = "\0".b * (2 * BLOCK)

    def block(name, mode, size, kind, link)
      head = [name].pack("a100") + octal(mode, 8) + (octal(0, 8) * 2) + octal(size, 12) +
             octal(Behavior::ARCHIVE_MODIFIED_AT, 12)
      tail = kind.b + [link].pack("a100") + "ustar\x0000".b + ("\0".b * 64) + (octal(0, 8) * 2) + ("\0".b * 167)
      sum = (head + tail).sum(0) + (8 * " ".ord)
      head + format("%06o\0 ", sum).b + tail
    end

    def octal(number, width) = format("%0*o\0", width - 1, number).b

    def record?(text) = text.bytesize > NAME_SIZE || !text.ascii_only?

    # For readers that know no pax: what is not ASCII as ?, byte by byte, and the first 100 bytes.
    def fitting(text) = text.byteslice(0, NAME_SIZE).gsub(/[^\x00-\x7F]/n, "?")

    # Length, key and value in a line, where the length counts its own digits.
    def record(key, value)
      rest = key.bytesize + value.bytesize + 3
      length = rest + rest.to_s.size
      length = rest + length.to_s.size
      "#{length} #{key}=".b + value.b + "\n".b
    end

    private_class_method :block, :octal, :record?, :fitting, :record
  end
end
