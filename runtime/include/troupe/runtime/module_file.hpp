#pragma once

#include <cstddef>
#include <span>
#include <string>

#include "troupe/runtime/export.hpp"

namespace troupe::runtime {

/// Why these bytes cannot be a complete shared object for this machine, in words ("it ends inside segment
/// 2"); empty when they are one as far as its headers tell. To be asked before dlopen: the dynamic linker
/// believes the headers, and a truncated file would be a SIGBUS inside it.
[[nodiscard]] TROUPE_API std::string module_file_defect(std::span<const std::byte> file);

}  // namespace troupe::runtime
