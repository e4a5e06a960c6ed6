#include "troupe/runtime/scalar.hpp"

#include <charconv>
#include <cmath>
#include <iterator>
#include <string>

#include "text.hpp"
#include "troupe/runtime/errc.hpp"

namespace troupe::runtime {
namespace {

struct KindText {
  std::string_view name, type;
};
constexpr KindText kinds[] = {{"any", ""},
                              {"i8", "std::int8_t"},
                              {"u8", "std::uint8_t"},
                              {"i16", "std::int16_t"},
                              {"u16", "std::uint16_t"},
                              {"i32", "std::int32_t"},
                              {"u32", "std::uint32_t"},
                              {"i64", "std::int64_t"},
                              {"u64", "std::uint64_t"},
                              {"bool", "bool"},
                              {"f32", "float"},
                              {"f64", "double"},
                              {"f16", "Float16"},
                              {"bf16", "BFloat16"}};

const KindText& text_of(ScalarKind kind) noexcept {
  static constexpr KindText unknown{"?", ""};
  const auto index = static_cast<std::size_t>(kind);
  return index < std::size(kinds) ? kinds[index] : unknown;
}

bool is_integer(ScalarKind kind) noexcept { return kind >= ScalarKind::i8 && kind <= ScalarKind::boolean; }
bool is_float(ScalarKind kind) noexcept { return kind == ScalarKind::f32 || kind == ScalarKind::f64; }
bool is_signed(ScalarKind kind) noexcept {
  return is_integer(kind) && kind != ScalarKind::boolean &&
         (static_cast<int>(kind) - static_cast<int>(ScalarKind::i8)) % 2 == 0;
}
/// Bits of an integer kind.
unsigned bits_of(ScalarKind kind) noexcept {
  if (kind == ScalarKind::boolean) return 1;
  return 8U << ((static_cast<unsigned>(kind) - static_cast<unsigned>(ScalarKind::i8)) / 2);
}

/// An integer of any kind.
struct Integer {
  bool negative = false;
  std::uint64_t word = 0;  ///< two's complement, extended to 64 bits
};
Integer integer_of(std::uint64_t word, ScalarKind kind) noexcept {
  const unsigned bits = kind == ScalarKind::boolean ? 8 : bits_of(kind);
  const std::uint64_t mask = bits == 64 ? ~std::uint64_t{0} : (std::uint64_t{1} << bits) - 1;
  word &= mask;
  const bool negative = is_signed(kind) && (word >> (bits - 1U)) != 0;
  return {negative, negative ? word | ~mask : word};
}

/// The word of that kind of integer; false: it does not hold it.
bool put(Integer value, ScalarKind wanted, std::uint64_t& word) noexcept {
  const unsigned bits = bits_of(wanted);
  const std::uint64_t mask = bits == 64 ? ~std::uint64_t{0} : (std::uint64_t{1} << bits) - 1;
  const Integer cut = integer_of(value.word & mask, wanted);
  if (cut.negative != value.negative || cut.word != value.word) return false;
  word = value.word & mask;
  return true;
}

std::string number_text(std::uint64_t word, ScalarKind kind) {
  char text[40];
  const auto write = [&](auto value) {
    return std::string(text, std::to_chars(std::begin(text), std::end(text), value).ptr);
  };
  if (kind == ScalarKind::f32) return write(from_u64<float>(word));
  if (kind == ScalarKind::f64) return write(from_u64<double>(word));
  if (kind == ScalarKind::f16) return write(static_cast<float>(from_u64<Float16>(word)));
  if (kind == ScalarKind::bf16) return write(static_cast<float>(from_u64<BFloat16>(word)));
  if (!is_integer(kind)) return "?";
  const auto value = integer_of(word, kind);
  return value.negative ? write(static_cast<std::int64_t>(value.word)) : write(value.word);
}

}  // namespace

std::string_view name_of(ScalarKind kind) noexcept { return text_of(kind).name; }

namespace detail {

bool integer_fits(std::uint64_t& word, ScalarKind given, ScalarKind wanted) noexcept {
  if (!is_integer(given) || !is_integer(wanted)) return false;
  return put(integer_of(word, given), wanted, word);
}

bool number_fits(std::uint64_t& word, ScalarKind given, ScalarKind wanted) noexcept {
  if (integer_fits(word, given, wanted)) return true;
  // Through double, which holds every float exactly; what comes back is compared.
  double value = 0;
  if (is_float(given)) {
    value = given == ScalarKind::f32 ? static_cast<double>(from_u64<float>(word)) : from_u64<double>(word);
  } else if (is_integer(given)) {
    const auto integer = integer_of(word, given);
    value = integer.negative ? static_cast<double>(static_cast<std::int64_t>(integer.word))
                             : static_cast<double>(integer.word);
    std::uint64_t back = 0;
    back = to_u64(value);
    if (!number_fits(back, ScalarKind::f64, given) || back != word) return false;
  } else {
    return false;
  }
  if (wanted == ScalarKind::f64) {
    word = to_u64(value);
    return true;
  }
  if (wanted == ScalarKind::f32) {
    const bool large = std::isfinite(value) && std::fabs(value) > 3.4028234663852886e38;
    const auto narrow = large ? 0.0F : static_cast<float>(value);
    if (large || (static_cast<double>(narrow) != value && !std::isnan(value))) return false;
    word = to_u64(narrow);
    return true;
  }
  if (!is_integer(wanted) || !is_float(given) || std::trunc(value) != value) return false;
  constexpr double two_to_63 = 9223372036854775808.0;
  if (value < -two_to_63 || value >= 2 * two_to_63) return false;
  const Integer integer = value < 0
                              ? Integer{true, static_cast<std::uint64_t>(static_cast<std::int64_t>(value))}
                              : Integer{false, static_cast<std::uint64_t>(value)};
  return put(integer, wanted, word);
}

void refuse_scalar(std::uint64_t word, ScalarKind given, ScalarKind wanted, std::size_t index) {
  const auto value = number_text(word, given);
  throw Error(Errc::dtype_mismatch,
              text("scalar argument ", index, " was given as ", name_of(given), " (", value, ") and read as ",
                   name_of(wanted)),
              text("give scalar<", text_of(wanted).type, ">(", value, "), or read it as ",
                   text_of(given).type.empty() ? name_of(given) : text_of(given).type));
}

}  // namespace detail
}  // namespace troupe::runtime
