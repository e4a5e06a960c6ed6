#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace troupe::actors {

/// Puts numbers behind each other, the same on every machine: seven bits to a byte, the lowest first, so that
/// small numbers, which most are, take one.
class PlanWriter {
 public:
  void byte(std::uint8_t value) { bytes_.push_back(static_cast<std::byte>(value)); }
  void number(std::uint64_t value) {
    for (; value > 0x7F; value >>= 7U) byte(static_cast<std::uint8_t>(value | 0x80U));
    byte(static_cast<std::uint8_t>(value));
  }
  /// One that may be negative.
  void signed_number(std::int64_t value) {
    const auto twice = static_cast<std::uint64_t>(value) << 1U;
    number(value < 0 ? ~twice : twice);
  }
  void raw(std::span<const std::byte> bytes) { bytes_.insert(bytes_.end(), bytes.begin(), bytes.end()); }
  void text(std::string_view words) {
    number(words.size());
    raw(std::as_bytes(std::span(words)));
  }
  std::vector<std::byte> take() { return std::move(bytes_); }

 private:
  std::vector<std::byte> bytes_;
};

/// Takes them out of bytes that may be anything. What is not there, or is no number, is zero, and `fine` is
/// false from then on.
class PlanReader {
 public:
  explicit PlanReader(std::span<const std::byte> bytes) : left_(bytes) {}

  std::uint8_t byte() {
    const auto from = raw(1);
    return from.empty() ? std::uint8_t{0} : static_cast<std::uint8_t>(from[0]);
  }
  /// The one way to write a number is the shortest.
  std::uint64_t number() {
    std::uint64_t value = 0;
    for (unsigned shift = 0; shift < 64; shift += 7) {
      const auto next = byte();
      const std::uint64_t bits = next & 0x7FU;
      if ((bits << shift) >> shift != bits || (next == 0 && shift > 0)) return fail();
      value |= bits << shift;
      if ((next & 0x80U) == 0) return fine_ ? value : 0;
    }
    return fail();
  }
  /// One of at most `most`.
  std::uint64_t number_to(std::uint64_t most) {
    const auto value = number();
    return value <= most ? value : fail();
  }
  std::int64_t signed_number() {
    const auto value = number();
    const auto half = static_cast<std::int64_t>(value >> 1U);
    return (value & 1U) != 0 ? ~half : half;
  }
  /// How many things follow that take at least `bytes` each: never more than there is room for.
  std::size_t count(std::size_t bytes = 1) {
    return static_cast<std::size_t>(number_to(left_.size() / bytes));
  }
  /// Empty when there are fewer.
  std::span<const std::byte> raw(std::size_t bytes) {
    if (bytes > left_.size()) (void)fail();
    if (!fine_) return {};
    const auto taken = left_.first(bytes);
    left_ = left_.subspan(bytes);
    return taken;
  }
  std::string text() {
    const auto from = raw(count());
    return {reinterpret_cast<const char*>(from.data()), from.size()};
  }
  bool fine() const { return fine_; }
  std::uint64_t fail() {
    fine_ = false;
    return 0;
  }
  /// Everything was there, and nothing is left.
  bool complete() const { return fine_ && left_.empty(); }

 private:
  std::span<const std::byte> left_;
  bool fine_ = true;
};

}  // namespace troupe::actors
