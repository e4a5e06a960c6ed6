#include "command/parameters.hpp"

#include <charconv>
#include <cmath>
#include <limits>
#include <optional>

#include "errc.hpp"
#include "troupe/runtime/half.hpp"
#include "troupe/runtime/spelling.hpp"
#include "troupe/runtime/task_args.hpp"

namespace troupe::apps {
namespace {

template <class T>
std::optional<std::uint64_t> word(std::string_view text) {
  T value{};
  const auto [end, problem] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (problem != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return runtime::to_u64(value);
}

/// Rounded once; a number that is too large for the type is none of it.
template <class Half>
std::optional<std::uint64_t> half_word(std::string_view text) {
  const auto parsed = word<float>(text);
  if (!parsed) return std::nullopt;
  const auto value = runtime::from_u64<float>(*parsed);
  const Half stored(value);
  if (std::isfinite(value) && !std::isfinite(static_cast<float>(stored))) return std::nullopt;
  return runtime::to_u64(stored);
}

template <class T>
std::string from_to() {
  return "a whole number from " + std::to_string(std::numeric_limits<T>::min()) + " to " +
         std::to_string(std::numeric_limits<T>::max());
}

/// What a value of a type word may be, for who wrote one that it is not.
std::string values_of(std::string_view type) {
  if (type == "f32" || type == "f64" || type == "f16" || type == "bf16")
    return "a number such as 0.5 or 1e-3";
  if (type == "i8") return from_to<std::int8_t>();
  if (type == "u8") return from_to<std::uint8_t>();
  if (type == "i16") return from_to<std::int16_t>();
  if (type == "u16") return from_to<std::uint16_t>();
  if (type == "i32") return from_to<std::int32_t>();
  if (type == "u32") return from_to<std::uint32_t>();
  if (type == "i64") return from_to<std::int64_t>();
  if (type == "u64") return from_to<std::uint64_t>();
  return "true or false";
}

std::string name_of(std::span<const Parameter> known, std::size_t i) {
  return known.empty() ? std::to_string(i) : std::string(known[i].name);
}

}  // namespace

std::string parameter_list(std::string_view signature, std::span<const Parameter> known) {
  const auto types = types_of(signature);
  std::string list;
  for (std::size_t i = 0; i < types.size(); ++i) {
    list += (i == 0 ? "" : ", ") + name_of(known, i) + " (" + std::string(types[i]);
    if (!known.empty() && known[i].value) list += ", " + std::string(*known[i].value) + " unless given";
    list += ")";
  }
  return list.empty() ? "no parameters" : list;
}

std::optional<std::uint64_t> word_of(std::string_view type, std::string_view text) {
  if (type == "f32") return word<float>(text);
  if (type == "f64") return word<double>(text);
  if (type == "f16") return half_word<runtime::Float16>(text);
  if (type == "bf16") return half_word<runtime::BFloat16>(text);
  if (type == "i8") return word<std::int8_t>(text);
  if (type == "u8") return word<std::uint8_t>(text);
  if (type == "i16") return word<std::int16_t>(text);
  if (type == "u16") return word<std::uint16_t>(text);
  if (type == "i32") return word<std::int32_t>(text);
  if (type == "u32") return word<std::uint32_t>(text);
  if (type == "i64") return word<std::int64_t>(text);
  if (type == "u64") return word<std::uint64_t>(text);
  if (type == "bool" && (text == "true" || text == "1")) return runtime::to_u64(true);
  if (type == "bool" && (text == "false" || text == "0")) return runtime::to_u64(false);
  return std::nullopt;
}

std::vector<std::string_view> types_of(std::string_view signature) {
  std::vector<std::string_view> words;
  while (!signature.empty()) {
    const auto comma = signature.find(',');
    words.push_back(signature.substr(0, comma));
    signature = comma == std::string_view::npos ? "" : signature.substr(comma + 1);
  }
  return words;
}

Result<std::vector<std::uint64_t>> bind_parameters(std::string_view program, std::string_view signature,
                                                   std::span<const Parameter> known,
                                                   const std::vector<std::string>& given) {
  const auto bad = [&](const std::string& what, const std::string& hint) {
    return Error(Errc::bad_parameter, "program \"" + std::string(program) + "\" " + what, hint);
  };
  const std::vector<std::string_view> types = types_of(signature);
  for (const auto type : types) {
    if (type == "tensor") {
      return bad("wants a tensor, which cannot be given on a command line",
                 "submit it from a program of your own, or give it a program around it");
    }
  }
  std::vector<std::string> names;
  for (std::size_t i = 0; i < types.size(); ++i) names.push_back(name_of(known, i));
  const std::string hint =
      types.empty() ? "leave --param away" : "it takes: " + parameter_list(signature, known);

  std::vector<std::optional<std::string>> values(types.size());
  for (const auto& text : given) {
    const auto equals = text.find('=');
    if (equals == std::string::npos || equals == 0) {
      return bad("got --param \"" + text + "\", which is not name=value", hint);
    }
    const std::string written = text.substr(0, equals);
    std::size_t i = 0;
    while (i < types.size() && names[i] != written) ++i;
    if (i == types.size()) {
      return bad("has no parameter \"" + written + "\"", runtime::did_you_mean(written, names) + hint);
    }
    if (values[i]) return bad("got its parameter \"" + names[i] + "\" twice", hint);
    values[i] = text.substr(equals + 1);
  }
  std::vector<std::uint64_t> words;
  for (std::size_t i = 0; i < types.size(); ++i) {
    if (!values[i] && (known.empty() || !known[i].value)) {
      return bad("needs its parameter \"" + names[i] + "\"",
                 "--param " + names[i] + "=…, " + values_of(types[i]));
    }
    const std::string value = values[i] ? *values[i] : std::string(*known[i].value);
    const auto parsed = word_of(types[i], value);
    if (!parsed) {
      return bad("cannot take \"" + value + "\" for its parameter \"" + names[i] + "\"",
                 "it is of type " + std::string(types[i]) + ": " + values_of(types[i]));
    }
    words.push_back(*parsed);
  }
  return words;
}

}  // namespace troupe::apps
