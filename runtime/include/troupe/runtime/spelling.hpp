#pragma once

// For hints: the word that a misspelt one may have been meant to be. Pure functions, safe on any thread.

#include <span>
#include <string>
#include <string_view>

#include "troupe/runtime/export.hpp"

namespace troupe::runtime {

/// The known word nearest to `written`: at most two letters off (added, left out, changed, or two neighbours
/// swapped), in a short word one. Capitals and small letters are the same, so are `-` and `_`. Empty: none is
/// near, or it is one of them as it stands.
[[nodiscard]] TROUPE_API std::string nearest_word(std::string_view written,
                                                  std::span<const std::string> known);

/// "did you mean chips? ", to stand before what there is; empty when none is near.
[[nodiscard]] TROUPE_API std::string did_you_mean(std::string_view written,
                                                  std::span<const std::string> known);

}  // namespace troupe::runtime
