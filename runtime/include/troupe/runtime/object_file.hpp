#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <vector>

#include "troupe/runtime/export.hpp"

namespace troupe::runtime {

/// Why the dynamic linker must not see these bytes, in words ("it ends inside segment 2"); empty when they
/// are a complete shared object for this machine as far as its headers and tables tell. To be asked before
/// dlopen, which believes what it reads: a truncated file is a SIGBUS inside it, and a table that points
/// elsewhere a read or a write there. Code and data are not looked at. Linear in the size of the tables.
[[nodiscard]] TROUPE_API std::string object_defect(std::span<const std::byte> file);

/// Where in an object without defect the binding of each unique symbol (STB_GNU_UNIQUE) stands: the byte
/// `st_info`. Such symbols are one for the whole process, whoever loads the object and how often, and keep it
/// mapped for ever.
[[nodiscard]] TROUPE_API std::vector<std::size_t> unique_symbols(std::span<const std::byte> file);

}  // namespace troupe::runtime
