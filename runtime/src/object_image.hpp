#pragma once

#include <elf.h>

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace troupe::runtime {

/// The bytes of a shared object and where the dynamic linker will map them. Every read is checked, so the
/// bytes may be anything. Addresses are those in the file, before it is moved to its place.
class ObjectImage {
 public:
  explicit ObjectImage(std::span<const std::byte> file) : file_(file) {}

  /// Reads the headers. Empty: the segments can be mapped as they say. Else why not; then nothing else here
  /// is to be asked.
  std::string read_headers();

  std::size_t size() const noexcept { return file_.size(); }
  std::span<const Elf64_Phdr> segments() const noexcept { return segments_; }
  /// The last of that type, which is the one that the linker takes; null when there is none.
  const Elf64_Phdr* segment(std::uint32_t type) const noexcept;

  /// Where in the file the `bytes` at `address` come from; nothing unless they all come from there.
  std::optional<std::size_t> offset_of(std::uint64_t address, std::uint64_t bytes) const noexcept;
  /// Whether they all are in the memory of one segment, zeroed ends included, that has these rights (PF_…).
  bool holds(std::uint64_t address, std::uint64_t bytes, std::uint32_t rights) const noexcept;
  bool is_code(std::uint64_t address) const noexcept { return holds(address, 1, PF_X); }

  /// `offset` is known to be good: offset_of gave it.
  template <class T>
  T read(std::size_t offset) const noexcept {
    T value;
    std::memcpy(&value, file_.data() + offset, sizeof value);
    return value;
  }
  std::string_view text_at(std::size_t offset, std::size_t length) const noexcept {
    return {reinterpret_cast<const char*>(file_.data()) + offset, length};
  }
  /// One of a table whose whole extent is known to be good.
  template <class T>
  T entry(std::size_t table, std::size_t index) const noexcept {
    return read<T>(table + index * sizeof(T));
  }

 private:
  std::string check_segment(std::size_t number, const Elf64_Phdr& segment) const;
  std::string check_extent(std::size_t number, const Elf64_Phdr& segment) const;

  bool protects_own(const Elf64_Phdr& relro) const noexcept;

  std::span<const std::byte> file_;
  std::vector<Elf64_Phdr> segments_;
};

}  // namespace troupe::runtime
