#pragma once

// Checks of ELF objects that are to be loaded. Pure functions over bytes that the caller owns; safe on any
// thread, and for any bytes: that is what they are for. unique_symbols() wants an object without defect.

#include <cstddef>
#include <span>
#include <string>
#include <vector>

#include "troupe/runtime/export.hpp"

namespace troupe::runtime {

/// Why the dynamic linker must not see these bytes, in words ("it ends inside segment 2"); empty when they
/// are a complete shared object for this machine as far as its headers and tables tell. Call it before
/// dlopen, which trusts the bytes that it reads: a truncated file is a SIGBUS inside it, and a table that
/// points elsewhere a read or a write there. Code and data are not looked at. Linear in the size of the
/// tables.
[[nodiscard]] TROUPE_API std::string object_defect(std::span<const std::byte> file);

/// Where in an object without defect the binding of each unique symbol (STB_GNU_UNIQUE) stands: the byte
/// `st_info`. Such symbols exist once in the whole process, however often the object is loaded, and keep it
/// mapped for ever.
[[nodiscard]] TROUPE_API std::vector<std::size_t> unique_symbols(std::span<const std::byte> file);

}  // namespace troupe::runtime
