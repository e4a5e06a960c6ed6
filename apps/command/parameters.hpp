#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "examples/catalogue.hpp"
#include "troupe/runtime/result.hpp"

namespace troupe::apps {

/// The argument words of a program, from what stood behind --param.
///
/// `signature` is the program's own ("f64,u32"): what each value must be. `known` names the parameters and
/// gives defaults; where it is empty, parameters are called 0, 1, ….
/// Everything that does not fit is an error that says what would: an unknown or repeated name, a missing
/// value, a number that does not parse or does not fit its type, a program that wants tensors.
[[nodiscard]] Result<std::vector<std::uint64_t>> bind_parameters(std::string_view program,
                                                                 std::string_view signature,
                                                                 std::span<const Parameter> known,
                                                                 const std::vector<std::string>& given);

/// What a program takes, in a line: "size (u32, 128 unless given), rate (f32)", or "no parameters".
[[nodiscard]] std::string parameter_list(std::string_view signature, std::span<const Parameter> known);

/// The argument word for a value of a type word of a signature ("f32"); nothing: it is none of that type.
[[nodiscard]] std::optional<std::uint64_t> word_of(std::string_view type, std::string_view text);

/// "f64,u32" in its words.
[[nodiscard]] std::vector<std::string_view> types_of(std::string_view signature);

}  // namespace troupe::apps
