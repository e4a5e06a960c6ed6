#pragma once

#include <cstddef>

#include "collective/reduce.hpp"

namespace troupe::comm::collective {

/// False off x86, and where the processor lacks AVX2 or F16C; the two below may then not be called.
bool have_avx2() noexcept;
void reduce_avx2(const Reduction& reduction) noexcept;
/// Writes around the caches.
void copy_avx2(void* target, const void* source, std::size_t bytes) noexcept;

}  // namespace troupe::comm::collective
