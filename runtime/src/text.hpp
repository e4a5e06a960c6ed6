#pragma once

#include <string>
#include <string_view>
#include <type_traits>

namespace troupe::runtime {

/// Builds the sentences of errors: text("extent ", 3, " is ", big).
template <class... Parts>
std::string text(const Parts&... parts) {
  std::string result;
  const auto append = [&result](const auto& part) {
    if constexpr (std::is_arithmetic_v<std::decay_t<decltype(part)>>) {
      result += std::to_string(part);
    } else {
      result += std::string_view(part);
    }
  };
  (append(parts), ...);
  return result;
}

}  // namespace troupe::runtime
