#pragma once

#include <elf.h>

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "object_image.hpp"

namespace troupe::runtime {

/// What the dynamic linker follows inside an object: its dynamic table and whatever that names. `check` says
/// what would lead it astray, in the order in which it would come to it.
class ObjectTables {
 public:
  explicit ObjectTables(const ObjectImage& image) : image_(image) {}

  /// Empty: sound. To be called once.
  std::string check();

  // Once it was found sound:
  std::size_t symbol_table() const noexcept { return symbols_; }
  std::size_t symbol_count() const noexcept { return symbol_count_; }

 private:
  struct Table {
    std::size_t offset = 0;
    std::size_t count = 0;
    std::uint64_t address = 0;
  };

  static constexpr std::uint64_t word = sizeof(std::uint64_t);

  std::string read_dynamic();
  std::string read_strings();
  std::string read_hash();
  std::string read_gnu_hash();
  std::string read_versions();
  std::string read_needed_versions();
  std::string read_own_versions();
  std::string check_symbols();
  std::string check_symbol(std::size_t number) const;
  std::string check_relocations(std::int64_t address_tag, std::int64_t size_tag, const char* what);
  std::string check_relocation(const Elf64_Rela& relocation, const std::string& where);
  std::string check_target(std::uint32_t type, std::uint64_t symbol);
  std::string check_packed_relocations();
  std::string check_overlaps();
  std::string check_functions();
  std::string check_function_array(std::int64_t address_tag, std::int64_t size_tag, const char* what);

  std::optional<std::uint64_t> value(std::int64_t tag) const noexcept;
  /// The table of two tags, address and bytes; no rows when it is not there. Nothing: it is not in the file.
  std::optional<Table> table(std::int64_t address_tag, std::int64_t size_tag, std::size_t row) const noexcept;
  /// Where in the file the bytes of one of the tables come from; nothing: it cannot be there.
  std::optional<std::size_t> offset_of_table(std::uint64_t address, std::uint64_t bytes) const noexcept;
  bool is_string(std::uint64_t offset) const noexcept { return offset < string_bytes_; }
  std::string_view string(std::uint64_t offset) const noexcept;
  bool has_relocated_text() const noexcept;
  bool may_be_written(std::uint64_t address, std::uint64_t bytes) const noexcept;

  const ObjectImage& image_;
  std::vector<Elf64_Dyn> dynamic_;
  std::size_t strings_ = 0, string_bytes_ = 0;
  std::size_t symbols_ = 0, symbol_count_ = 0;
  std::uint32_t last_version_ = 0;
  /// What a relocation gives a value to, and the value where it is known: of the tables of functions.
  struct Written {
    std::uint64_t address = 0, bytes = 0;
    std::optional<std::uint64_t> value;
  };
  std::vector<Written> set_;
};

}  // namespace troupe::runtime
