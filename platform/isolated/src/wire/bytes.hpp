#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

namespace troupe::platform::isolation {

/// Puts values behind each other, as they lie in memory: both ends are of one build.
class Writer {
 public:
  template <class T>
  requires std::is_trivially_copyable_v<T> Writer& put(const T& value) { return raw(&value, sizeof value); }
  Writer& raw(const void* from, std::size_t bytes) {
    const auto at = bytes_.size();
    bytes_.resize(at + bytes);
    if (bytes != 0) std::memcpy(bytes_.data() + at, from, bytes);
    return *this;
  }
  /// Its length, then its characters.
  Writer& text(std::string_view words) {
    put(static_cast<std::uint32_t>(words.size()));
    return raw(words.data(), words.size());
  }
  std::span<const std::byte> bytes() const { return bytes_; }
  void clear() { bytes_.clear(); }

 private:
  std::vector<std::byte> bytes_;
};

/// Takes values out of bytes that may be anything. What is not there is zero, and `fine` is false from then
/// on.
class Reader {
 public:
  explicit Reader(std::span<const std::byte> bytes) : left_(bytes) {}

  template <class T>
  requires std::is_trivially_copyable_v<T> T get() {
    T value{};
    if (const auto from = take(sizeof value); fine_) std::memcpy(&value, from.data(), sizeof value);
    return value;
  }
  std::string_view text() {
    const auto from = take(get<std::uint32_t>());
    return {reinterpret_cast<const char*>(from.data()), from.size()};
  }
  /// Appends `count` values. Nothing is reserved for values that are not there.
  template <class T>
  bool values(std::vector<T>& to, std::uint64_t count) {
    if (count > left_.size() / sizeof(T)) fine_ = false;
    if (!fine_ || count == 0) return fine_;
    const auto from = take(static_cast<std::size_t>(count) * sizeof(T));
    const auto at = to.size();
    to.resize(at + static_cast<std::size_t>(count));
    std::memcpy(to.data() + at, from.data(), from.size());
    return true;
  }
  /// Empty when there are fewer.
  std::span<const std::byte> take(std::size_t bytes) {
    if (bytes > left_.size()) fine_ = false;
    if (!fine_) return {};
    const auto taken = left_.first(bytes);
    left_ = left_.subspan(bytes);
    return taken;
  }
  std::size_t left() const { return left_.size(); }
  bool fine() const { return fine_; }
  /// Everything was there, and nothing is left.
  bool complete() const { return fine_ && left_.empty(); }

 private:
  std::span<const std::byte> left_;
  bool fine_ = true;
};

}  // namespace troupe::platform::isolation
