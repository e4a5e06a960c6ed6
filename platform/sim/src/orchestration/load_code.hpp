#pragma once

#include <cstddef>
#include <memory>
#include <span>
#include <string_view>

#include "code/code.hpp"
#include "common.hpp"
#include "troupe/runtime/result.hpp"

namespace troupe::platform::sim {

/// Code of a simulated chip from bytes: a kernel object, an orchestration object, or either of them packed.
[[nodiscard]] Result<std::unique_ptr<LoadedCode>> load_code(std::string_view name,
                                                            std::span<const std::byte> bytes);

}  // namespace troupe::platform::sim
