#pragma once

#include <cstddef>
#include <span>
#include <string>

#include "troupe/runtime/export.hpp"

namespace troupe::runtime {

/// Why these bytes are no complete shared object for this machine, in words; empty when they are one as far
/// as its headers tell. The dynamic linker believes the headers: a truncated file would be a SIGBUS inside
/// it.
TROUPE_API std::string elf_defect(std::span<const std::byte> file);

}  // namespace troupe::runtime
